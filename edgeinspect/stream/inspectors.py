"""The inspector in use, and the one that follows it: swapped between two parts.

A bundle that changed on disk (calibrated again, or another one put in its place) is read once its
files stand still, held to its golden images and opened beside the one in use, on a thread of its
own; a bad one is refused and the old one stays. A session that failed is opened once more.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edgeinspect.bundle import CARD, Manifest, read_bundle, read_manifest
from edgeinspect.errors import EdgeInspectError, EngineError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import Notice, NoticeKind, tell

__all__ = ["Inspectors"]

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[str, int, int, int], ...]  # name, mtime in ns, size, inode of each file

GOOD_BATCHES = 1000  # after so many a session that failed may be opened again once more
LOOK_S = 1.0  # between two looks at the bundle; files that are copied differ from one to the next


class Inspectors:
    """Use it inside a `with`; it closes what it opened, and not the first one."""

    def __init__(
        self,
        first: Inspector,
        reopen: Callable[[], Inspector] | None = None,
    ) -> None:
        """`reopen` opens and proves the bundle anew; None: it is never swapped.

        `note` is whom to tell of a swap or a failure; nobody at first.
        """
        self._current = self._in_use = first
        self._opened: list[Inspector] = []  # those that follow the first, in their order
        self._reopen = reopen
        self.note: Callable[[Notice], None] = lambda notice: None
        self._path = first.bundle.path
        # When it was last loaded, or looked at: not yet, for it may have changed since it was read.
        self._stamp = self._seen = _Stamp()
        self._next_look_s = 0.0
        self._refusal = ""  # what was said last of a bundle that stays as it is
        self._loading: threading.Thread | None = None
        self._is_asked = False
        self._may_restart = True
        self._n_good = 0

    @property
    def current(self) -> Inspector:
        """The one for the next part."""
        return self._current

    def ask(self) -> None:
        """Look at the bundle at the next `check`, changed or not; for signal handlers."""
        self._is_asked = True

    def check(self) -> None:
        """Begin to load the bundle if it was asked for, or changed on disk and now stands still."""
        if self._reopen is None or (self._loading is not None and self._loading.is_alive()):
            return
        now_s = time.monotonic()
        if now_s < self._next_look_s and not self._is_asked:
            return
        self._next_look_s = now_s + LOOK_S
        before, self._seen = self._seen, _stamp(self._path)
        has_changed = self._seen != self._stamp and self._seen == before
        if not self._seen or not (has_changed or self._is_asked):
            return
        self._stamp = self._seen
        is_asked, self._is_asked = self._is_asked, False
        self._loading = threading.Thread(
            target=self._load, args=(is_asked,), name="bundle", daemon=True
        )
        self._loading.start()

    def used(self, inspector: Inspector) -> None:
        """An inspector has its turn at the session: those before it are closed."""
        if inspector is self._in_use:
            return
        self._in_use = inspector
        while self._opened[0] is not inspector:
            try:
                self._opened.pop(0).close()
            except EngineError as error:  # the one that follows judges all the same
                _log.warning("the session before cannot be closed: %s", error)

    def succeeded(self) -> None:
        """A batch went well."""
        self._n_good += 1
        if self._n_good >= GOOD_BATCHES:
            self._may_restart = True

    def restart(self, inspector: Inspector, error: EdgeInspectError) -> EdgeInspectError | None:
        """Open the session of an inspector again; what speaks against it, or None.

        One that is not for the next part any more is left as it is: its last parts go unjudged.
        """
        self._say(NoticeKind.ENGINE, f"a batch failed: {error}")
        if inspector is not self._current:
            return None  # the parts that follow have another one
        if not self._may_restart or not inspector.can_restart:
            return error
        self._may_restart, self._n_good = False, 0
        try:
            inspector.restart()
        except EdgeInspectError as second:
            return second
        self._say(NoticeKind.ENGINE, "the session was opened again", judge=inspector)
        return None

    def _load(self, is_asked: bool) -> None:
        assert self._reopen is not None
        try:
            if self._is_the_same(read_manifest(self._path)):
                if is_asked:
                    read_bundle(self._path)
                    _log.info("%s is the bundle in use: nothing changes", self._path)
                return
            new = self._reopen()
        except (EdgeInspectError, OSError, MemoryError) as error:
            text = f"the changed bundle is refused, the old one stays: {error}"
            if is_asked or text != self._refusal:
                self._say(NoticeKind.BUNDLE, text)
            self._refusal = text
            return
        self._refusal = ""
        self._opened.append(new)
        self._current = new
        self._say(
            NoticeKind.BUNDLE,
            f"parts are judged by the changed bundle, threshold {new.threshold:.4g}",
            judge=new,
        )

    def _is_the_same(self, manifest: Manifest) -> bool:
        return _what_judges(manifest) == _what_judges(self._current.bundle.manifest)

    def _say(self, kind: NoticeKind, text: str, *, judge: Inspector | None = None) -> None:
        """`judge` is what judges from now on, where that changed."""
        values = {} if judge is None else Judge.of(judge).to_plain()
        tell(self.note, Notice.now(kind, text, values=values))

    def __enter__(self) -> Inspectors:
        return self

    def __exit__(self, *error: object) -> None:
        if self._loading is not None:
            self._loading.join()
        for inspector in self._opened:
            inspector.close()


def _stamp(path: Path) -> _Stamp:
    """What differs once a file of a bundle was changed; empty while there is none."""
    try:
        found = sorted((file.name, file.stat()) for file in path.iterdir() if file.is_file())
    except OSError:
        return ()
    return tuple((name, of.st_mtime_ns, of.st_size, of.st_ino) for name, of in found)


def _what_judges(manifest: Manifest) -> Manifest:
    """A manifest without what no verdict depends on."""
    files = {name: digest for name, digest in manifest.files.items() if name != CARD}
    return dataclasses.replace(manifest, files=files, provenance={})
