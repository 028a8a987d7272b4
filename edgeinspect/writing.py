"""Files and folders that exist whole or not at all; nothing that is not ours is replaced.

Everything that lands on disk goes through here: a temporary sibling is written, flushed to the
disk, and renamed over the target. Trouble of the operating system (no space, no permission, a
read-only disk) becomes an `OutputError` that names the place.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from edgeinspect.errors import OutputError

__all__ = [
    "LineFile",
    "alone_in",
    "draft_folder",
    "output_errors",
    "refuse_foreign",
    "replace_folder",
    "temporary_sibling",
    "to_utf8",
    "write_atomically",
    "write_synced",
]

_log = logging.getLogger(__name__)

_HINTS = {
    errno.ENOSPC: ("no space is left on the disk", "free some space, then run it again"),
    errno.EDQUOT: ("your disk quota is used up", "free some space, then run it again"),
    errno.EACCES: ("permission denied", "choose a place that you may write to"),
    errno.EPERM: ("permission denied", "choose a place that you may write to"),
    errno.EROFS: ("the file system is read-only", "choose a place that you may write to"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another place"),
    errno.EEXIST: ("a file of that name is in the way", "choose another place"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
}


@contextlib.contextmanager
def output_errors(path: Path, *, within: Path | None = None) -> Iterator[None]:
    """Turn an OSError met while `path` is written into an OutputError that names it.

    Given `within`, one that names a file elsewhere (which was read, say) stays as it is.
    """
    try:
        yield
    except OSError as error:
        if within is not None and _is_elsewhere(error, within):
            raise
        what, hint = _HINTS.get(error.errno or 0, (error.strerror or str(error), None))
        raise OutputError(f"cannot write {path}: {what}", hint=hint) from error


def _is_elsewhere(error: OSError, folder: Path) -> bool:
    """Whether it is of a file that is not in the folder; a copy's full disk names the source."""
    name = error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return False
    return isinstance(name, (str, os.PathLike)) and not Path(name).is_relative_to(folder)


def temporary_sibling(path: Path) -> Path:
    """A name beside `path` (same file system, so that a rename is atomic) that nothing uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(path: Path, data: bytes, *, is_synced: bool = True) -> None:
    """Replace `path` by `data`, or leave it as it was.

    `is_synced` False leaves it to the system when the bytes reach the disk: for pictures that
    can be made again. Raises: OutputError.
    """
    temporary = temporary_sibling(path)
    with output_errors(path):
        try:
            if is_synced:
                write_synced(temporary, data)
            else:
                temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if is_synced:
            _sync_folder(path.parent)


def to_utf8(text: str) -> bytes:
    """Text as UTF-8; what a file name has that is no UTF-8 becomes the escape of a surrogate.

    Inside a string of JSON that is the escape by which the very name is read back.
    """
    return text.encode(errors="backslashreplace")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and bring it to the disk. Raises: OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class LineFile:
    """A file that grows by whole lines, whatever the disk does. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._torn_at: int | None = None

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to it: nobody has moved or removed it.

        True where nobody can tell, such as on a network drive that does not answer.
        """
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            _log.debug("%s cannot be looked at: %s", self._path, error)
            return True

    def lock(self, *, user: str) -> None:
        """Hold it alone, as `alone_in` a folder. Raises: OutputError."""
        _lock(self._file.fileno(), self._path, user)

    def append(self, line: bytes, *, is_synced: bool = False) -> None:
        """Append all of it, or leave the file as it was."""
        if self._torn_at is not None:
            self._mend(self._torn_at)
        start = self._file.seek(0, os.SEEK_END)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            if is_synced:
                self.sync()
        except OSError:
            self._torn_at = start
            with contextlib.suppress(OSError):  # then it is mended before the next line
                self._mend(start)
            raise

    def sync(self) -> None:
        """Bring what was appended to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _mend(self, end: int) -> None:
        self._file.truncate(end)
        self._torn_at = None


@contextlib.contextmanager
def alone_in(path: Path, *, user: str) -> Iterator[None]:
    """Make a folder if there is none, and hold it alone; the system lets go of it after a kill.

    `user` is what may be in it once at a time, such as "run". Raises: OutputError.
    """
    with output_errors(path):
        if not os.path.lexists(path):
            path.mkdir(parents=True, exist_ok=True)
    if not path.is_dir() or not hasattr(os, "O_DIRECTORY"):
        yield
        return
    with output_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, path, user)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, user: str) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        hint = f"stop that {user}, or choose another place"
        raise OutputError(f"another {user} writes into {path}", hint=hint) from error
    except OSError as error:  # some network drives know no locks of folders
        _log.debug("%s cannot be locked: %s", path, error)


@contextlib.contextmanager
def draft_folder(path: Path, *, aside: Path | None = None) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` at the end; after an error it is gone.

    `aside` as for `replace_folder`. Raises: OutputError.
    """
    draft = temporary_sibling(path)
    try:
        with output_errors(path):
            draft.mkdir(parents=True)
        yield draft
        with output_errors(path):
            replace_folder(draft, path, aside=aside)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def replace_folder(draft: Path, path: Path, *, aside: Path | None = None) -> None:
    """Rename a finished folder to `path`; what stood there is moved aside first, then removed.

    Args:
        aside: where to, known to those who look for it after a crash in between; None: nobody is.
    Raises: OSError; what stood there is then back.
    """
    _sync_folder(draft)
    old = aside or temporary_sibling(path)
    if os.path.lexists(path):
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    try:
        draft.rename(path)
    except OSError:
        if os.path.lexists(old):
            old.rename(path)
        raise
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def refuse_foreign(
    path: Path,
    *,
    marker: str,
    foreign: str,
    force: bool,
    hint: str = "add --force to replace it",
) -> None:
    """Refuse to write a folder where something is that must not go.

    Args:
        marker: the file by which a folder of ours is known; only `force` gives one away.
        foreign: what to say of any other folder, such as "is not a bundle". An empty one may go.
        hint: how to go on where a folder of ours stands.
    Raises: OutputError.
    """
    with output_errors(path):
        if not os.path.lexists(path):
            return
        if not path.is_dir():
            raise OutputError(f"{path} is a file", hint="choose another place")
        if not any(path.iterdir()):
            return
        if not (path / marker).is_file():
            raise OutputError(f"{path} exists and {foreign}", hint="choose another place")
        if not force:
            raise OutputError(f"{path} exists", hint=hint)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries (a rename) to the disk, where the platform can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # what shared drives say that cannot
            raise
    finally:
        os.close(descriptor)
