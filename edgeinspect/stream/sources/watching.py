"""A folder that a camera program drops pictures into: each file is taken once it is complete.

What lies there at the start comes first, in natural order. After that files come in the order in
which they appear. A file is complete when its size stands still and it decodes, or has stood
still for so long that it will not become better: then it is a frame with an error. The files after
it wait for it, but not for longer than that.

A folder that goes away (a network drive, somebody who tidies up) is an outage: it is waited for.
Folders inside it are not looked into, and that is said: a camera program may begin one each day.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeinspect.data.images import existing_folder, is_picture, natural_key, warn_of_unread
from edgeinspect.stream.frames import Delivery, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.plain import printable
from edgeinspect.stream.sources.files import read_frame
from edgeinspect.stream.sources.frozen import FrozenWatch

__all__ = ["WatchedFolder"]

_log = logging.getLogger(__name__)

SETTLE_S = 0.05  # a size that stood still for so long is looked at
LOOK_S = 5.0  # between two looks at the whole folder
BACK_S = 0.5  # between two looks whether the folder is back
PATIENCE_S = 2.0  # a file that cannot be decoded may still be written


class WatchedFolder:
    """Pictures as they appear in a folder; never ends by itself."""

    is_live = True  # a part's time runs from when its file is complete
    is_lossless = True
    n_frames = None

    def __init__(self, folder: Path, *, white_level_16bit: int) -> None:
        """Raises: DataError if there is no such folder; MissingPackageError."""
        import watchfiles  # noqa: F401 (to say now that it is missing)

        self._folder = existing_folder(folder)
        self._white_level_16bit = white_level_16bit
        self._recorded = Recorded()
        self._frozen = FrozenWatch()
        self._taken: dict[str, tuple[int, int]] = {}  # by their names
        self._growing: dict[Path, _Growing] = {}  # in the order in which they appeared
        self._inner: set[Path] = set()  # folders inside, once they were told of
        self._has_told_of_unread = False
        self._next_look_s = 0.0

    @property
    def folders(self) -> set[Path]:
        return {self._folder}

    def skip(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        stop = stop or threading.Event()
        yield from self._frames_of(self._there(), stop)
        while not stop.is_set():
            for paths in self._appearing(stop):
                yield from self._frames_of(paths, stop)
            yield from self._await_folder(stop)

    def _there(self) -> list[Path]:
        """Files without record that lie in the folder at the start."""
        found = set(self._folder.iterdir())
        self._tell_of_left_out(found)
        paths = sorted(filter(is_picture, found), key=natural_key)
        left = [Path(name) for name in self._recorded.without(map(str, paths))]
        self._recorded = Recorded()  # which may be long
        for path in set(paths) - set(left):
            self._mark(path)
        return left

    def _appearing(self, stop: threading.Event) -> Iterator[list[Path]]:
        """Files that appeared or changed, a group at a time, while the folder stays the same."""
        folder = _number(self._folder)
        if folder is None:
            return
        self._next_look_s = 0.0
        for names in self._events(stop):
            if _number(self._folder) != folder:
                return
            named = {self._folder / name for name in names}
            if time.perf_counter() >= self._next_look_s:
                named |= self._overlooked()
            yield sorted((p for p in named if _is_so(is_picture, p)), key=_appeared)

    def _events(self, stop: threading.Event) -> Iterator[set[str]]:
        """Names of files that were written, a group at a time, and often none; a gone folder ends.

        Events name files by the folder's real place; a file has one name here.
        """
        from watchfiles import Change, watch

        try:
            for changes in watch(
                self._folder,
                stop_event=stop,
                recursive=False,
                debounce=50,
                step=10,
                rust_timeout=200,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                yield {Path(name).name for change, name in changes if change is not Change.deleted}
        except OSError as error:  # it may be back already
            if not isinstance(error, FileNotFoundError) and _number(self._folder) is not None:
                raise

    def _await_folder(self, stop: threading.Event) -> Iterator[Notice]:
        """The outage, if the folder is gone, until it is back or the run ends."""
        if stop.is_set() or _number(self._folder) is not None:
            return
        since_s = time.perf_counter()
        yield self._notice(NoticeKind.OUTAGE, "is gone; it is waited for")
        while _number(self._folder) is None:
            if stop.wait(BACK_S):
                return
        yield self._notice(NoticeKind.RECOVERED, "is back", time.perf_counter() - since_s)

    def _notice(self, kind: NoticeKind, what: str, seconds: float | None = None) -> Notice:
        lasted = "" if seconds is None else f" after {seconds:.1f} s"
        return Notice.now(kind, f"{self._name} {what}{lasted}", seconds=seconds)

    @property
    def _name(self) -> str:
        return f"the folder {printable(str(self._folder))}"

    def _overlooked(self) -> set[Path]:
        """What no event told of: files that came while the watch began, or of network drives."""
        self._next_look_s = time.perf_counter() + LOOK_S
        try:
            with os.scandir(self._folder) as entries:  # there may be 100 000
                there = {entry.name: _stamp(entry) for entry in entries}
        except OSError as error:  # it goes away at this moment, which is noticed next
            _log.debug("%s cannot be looked at: %s", self._folder, error)
            return set()
        self._taken = {name: stamp for name, stamp in self._taken.items() if name in there}
        changed = (name for name, stamp in there.items() if stamp != self._taken.get(name))
        new = {self._folder / name for name in changed}
        self._tell_of_left_out(new)
        return new

    def _tell_of_left_out(self, paths: set[Path]) -> None:
        """Folders, each once, and the first pictures of a kind that is not read."""
        if not self._has_told_of_unread:
            self._has_told_of_unread = warn_of_unread(sorted(paths), str(self._folder))
        for path in sorted(paths - self._inner):
            if not path.name.startswith(".") and _is_so(Path.is_dir, path):
                self._inner.add(path)
                _log.warning(
                    "%s is a folder inside the watched one: pictures in it are not inspected", path
                )

    def _frames_of(self, paths: list[Path], stop: threading.Event) -> Delivery:
        """Frames of files that appeared, and of those before them that have become complete."""
        for path in paths:
            self._expect(path)
        while self._growing and not stop.is_set():
            yield from self._complete(stop)
            if all(file.is_late for file in self._growing.values()):
                return
            stop.wait(SETTLE_S)

    def _expect(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp is not None and not path.name.startswith("."):
            self._growing.setdefault(path, _Growing(stamp))

    def _complete(self, stop: threading.Event) -> Delivery:
        """Frames in their order, up to a file that is not complete; a late one lets others by."""
        for path, file in list(self._growing.items()):
            stamp = _stamp(path)
            if stamp is None or stamp == self._taken.get(path.name):
                del self._growing[path]
                continue
            file.look(stamp)
            frame = read_frame(path, self._white_level_16bit) if file.is_still else None
            if stop.is_set():
                return
            if frame is not None and (frame.picture is not None or file.is_given_up):
                del self._growing[path]
                self._taken[path.name] = stamp
                yield from self._frozen.check(frame, self._name)
            elif not file.is_late:
                return
            elif not file.is_told:
                file.is_told = True
                _log.warning("%s is still being written; other files go first", path)

    def _mark(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp is not None:
            self._taken[path.name] = stamp


class _Growing:
    """A file that may still be written to; `look` is told its stamp now and then."""

    def __init__(self, stamp: tuple[int, int]) -> None:
        self.is_told = False
        self._stamp = stamp
        self._first_s = self._since_s = time.perf_counter()

    def look(self, stamp: tuple[int, int]) -> None:
        if stamp != self._stamp:
            self._stamp, self._since_s = stamp, time.perf_counter()

    @property
    def is_still(self) -> bool:
        return time.perf_counter() - self._since_s >= SETTLE_S

    @property
    def is_given_up(self) -> bool:
        """It will not become better."""
        return time.perf_counter() - self._since_s > PATIENCE_S

    @property
    def is_late(self) -> bool:
        """Others have waited for it long enough."""
        return time.perf_counter() - self._first_s > PATIENCE_S


def _stamp(path: Path | os.DirEntry[str]) -> tuple[int, int] | None:
    """(mtime in ns, size); None if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _is_so(ask: Callable[[Path], bool], path: Path) -> bool:
    """False as well while a drive does not answer; what lies there is looked for again."""
    try:
        return ask(path)
    except OSError as error:
        _log.debug("%s cannot be looked at: %s", path, error)
        return False


def _number(folder: Path) -> int | None:
    """By which the system knows a folder; None if it is not there."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _appeared(path: Path) -> tuple[int, tuple[object, ...]]:
    stamp = _stamp(path)
    return (0 if stamp is None else stamp[0]), natural_key(path)
