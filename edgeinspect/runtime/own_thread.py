"""A session with a thread of its own: opened, used and closed there, from wherever it is called.

GPU sessions belong to the thread that opened them. With this one a stream opens the next session
beside the one in use, and opens one again after it failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from edgeinspect.errors import EdgeInspectError, EngineError
from edgeinspect.runtime.session import Images, Ints, Scores, Session

__all__ = ["OwnThreadSession"]


class OwnThreadSession:
    """See `Session`; `open_inner` is called on the new thread, now and at every restart."""

    def __init__(self, open_inner: Callable[[], Session]) -> None:
        """Raises: what `open_inner` raises."""
        self._open_inner = open_inner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session")
        self._is_closed = False
        self._inner: Session | None = None
        with contextlib.ExitStack() as undo:
            undo.callback(self._thread.shutdown)
            self._thread.submit(self._open).result()
            undo.pop_all()

    @property
    def max_batch(self) -> int | None:
        return None if self._inner is None else self._inner.max_batch

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; from any thread."""
        inner = self._inner
        if inner is None or self._is_closed:
            raise EngineError("the session is closed")
        return self._thread.submit(inner.infer, images, tile, map_above=map_above).result()

    def restart(self) -> None:
        """Close the session, whatever state it is in, and open it again.

        Raises: EngineError and what else opening raises; it is then closed.
        """
        self._thread.submit(self._restart).result()

    def _restart(self) -> None:
        broken, self._inner = self._inner, None
        if broken is not None:
            with contextlib.suppress(EdgeInspectError):
                broken.close()
        self._open()

    def _open(self) -> None:
        self._inner = inner = self._open_inner()
        self.name, self.precision, self.engine = inner.name, inner.precision, inner.engine

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._inner is not None:
                self._thread.submit(self._inner.close).result()
        finally:
            self._thread.shutdown()

    def __enter__(self) -> OwnThreadSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
