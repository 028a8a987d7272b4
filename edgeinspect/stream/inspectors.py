"""The inspector in use, and the one that follows it: swapped between two parts.

A bundle that changed on disk (calibrated again, or another one put in its place) is read, held to
its golden images and opened beside the one in use, on a thread of its own; a bad one is refused
and the old one stays. A session that failed is opened once more.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from edgeinspect.bundle import CARD, MANIFEST, Manifest, read_bundle, read_manifest
from edgeinspect.errors import EdgeInspectError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import Notice, NoticeKind

__all__ = ["Inspectors"]

_log = logging.getLogger(__name__)

_Stamp: TypeAlias = dict[str, tuple[int, int, int]]  # mtime in ns, size, inode of each file

GOOD_BATCHES = 1000  # after so many a session that failed may be opened again once more


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
        self._stamp: _Stamp | None = None  # of what was looked at last
        self._seen: _Stamp | None = None  # at the last check
        self._refusal = ""  # what spoke against it, if it was refused
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
        """Begin to load the bundle if it changed on disk or was asked for.

        One that was refused may be half of one that is being copied: it is looked at again once
        it has changed and stands still.
        """
        if self._reopen is None or (self._loading is not None and self._loading.is_alive()):
            return
        before, self._seen = self._seen, _stamp(self._path)
        if self._seen is None or (self._seen == self._stamp and not self._is_asked):
            return
        if self._refusal and self._seen != before:
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
            self._opened.pop(0).close()

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
                self._refusal = ""
                return
            new = self._reopen()
        except EdgeInspectError as error:
            self._refuse(str(error), is_asked=is_asked)
            return
        self._refusal = ""
        self._opened.append(new)
        self._current = new
        self._say(
            NoticeKind.BUNDLE,
            f"parts are judged by the changed bundle, threshold {new.threshold:.4g}",
            judge=new,
        )

    def _refuse(self, why: str, *, is_asked: bool) -> None:
        """The old one stays; said once of a bundle that is still being copied."""
        if is_asked or why != self._refusal:
            self._say(NoticeKind.BUNDLE, f"the changed bundle is refused, the old one stays: {why}")
        self._refusal = why

    def _is_the_same(self, manifest: Manifest) -> bool:
        return _what_judges(manifest) == _what_judges(self._current.bundle.manifest)

    def _say(self, kind: NoticeKind, text: str, *, judge: Inspector | None = None) -> None:
        """`judge` is what judges from now on, where that changed."""
        _log.warning("%s", text)
        values = {} if judge is None else Judge.of(judge).to_plain()
        self.note(Notice.now(kind, text, values=values))

    def __enter__(self) -> Inspectors:
        return self

    def __exit__(self, *error: object) -> None:
        if self._loading is not None:
            self._loading.join()
        for inspector in self._opened:
            inspector.close()


def _stamp(path: Path) -> _Stamp | None:
    """What differs once a file of a bundle was changed; None while there is no whole one."""
    try:
        with os.scandir(path) as files:
            found = {file.name: file.stat() for file in files if file.is_file()}
    except OSError:
        return None
    if MANIFEST not in found:
        return None
    return {name: (f.st_mtime_ns, f.st_size, f.st_ino) for name, f in found.items()}


def _what_judges(manifest: Manifest) -> Manifest:
    """A manifest without what no verdict depends on."""
    files = {name: digest for name, digest in manifest.files.items() if name != CARD}
    return dataclasses.replace(manifest, files=files, provenance={})
