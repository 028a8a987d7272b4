from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.bundle import read_bundle
from edgeinspect.errors import EngineError
from edgeinspect.runtime.own_thread import OwnThreadSession
from edgeinspect.runtime.session import Scores, Session, check_thread, open_session
from tests.bundles import good_picture, make_bundle


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Session:
    bundle: Path = make_bundle(tmp_path_factory.mktemp("bundle"))
    return open_session(read_bundle(bundle), threads=1)


class Threaded:
    """A session that belongs to the thread that opened it, as those of GPUs do."""

    name = "threaded"
    precision = engine = None
    max_batch = 4

    def __init__(self, inner: Session) -> None:
        self.inner = inner
        self.owner = threading.get_ident()
        self.is_closed = False

    def infer(
        self, images: np.ndarray, tile: np.ndarray, *, map_above: float | None = None
    ) -> Scores:
        check_thread(self.owner)
        return self.inner.infer(images, tile)

    def close(self) -> None:
        check_thread(self.owner)
        self.is_closed = True

    def __enter__(self) -> Threaded:
        return self

    def __exit__(self, *error: object) -> None: ...


def infer(session: Session) -> Scores:
    return session.infer(good_picture(0)[None], np.zeros(1, np.int32))


def test_it_is_used_from_any_thread_and_closed_on_its_own(inner):
    opened: list[Threaded] = []

    def open_inner() -> Threaded:
        opened.append(Threaded(inner))
        return opened[-1]

    found: list[Scores] = []
    with OwnThreadSession(open_inner) as session:
        assert (session.name, session.max_batch) == ("threaded", 4)
        other = threading.Thread(target=lambda: found.append(infer(session)))
        other.start()
        other.join()
        assert np.array_equal(found[0].score, infer(session).score)
    assert opened[0].is_closed


def test_what_opening_raises_arrives_and_leaves_no_thread():
    def refuse() -> Session:
        raise EngineError("no GPU")

    before = set(threading.enumerate())
    with pytest.raises(EngineError, match="no GPU"):
        OwnThreadSession(refuse)
    assert set(threading.enumerate()) <= before


def test_a_restart_opens_a_new_one_even_when_the_old_cannot_be_closed(inner):
    class Broken(Threaded):
        def close(self) -> None:
            raise EngineError("the GPU fell off the bus")

    kinds = iter([Broken, Threaded])
    with OwnThreadSession(lambda: next(kinds)(inner)) as session:
        session.restart()
        assert np.isfinite(infer(session).score).all()


def test_after_a_restart_that_failed_it_is_closed(inner):
    sessions = iter([Threaded(inner)])

    def open_inner() -> Session:
        try:
            return next(sessions)
        except StopIteration:
            raise EngineError("no GPU any more") from None

    session = OwnThreadSession(open_inner)
    session._inner.close = lambda: None  # type: ignore[union-attr, method-assign]
    with pytest.raises(EngineError, match="any more"):
        session.restart()
    with pytest.raises(EngineError, match="closed"):
        infer(session)
    session.close()


def test_a_closed_session_says_so(inner):
    session = OwnThreadSession(lambda: Threaded(inner))
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        infer(session)


def test_a_session_that_cannot_be_opened_leaves_no_thread():
    opened_on: list[threading.Thread] = []

    def open_inner() -> Session:
        opened_on.append(threading.current_thread())
        raise EngineError("no GPU")

    with pytest.raises(EngineError, match="no GPU"):
        OwnThreadSession(open_inner)
    assert not opened_on[0].is_alive()


def test_a_session_that_cannot_be_closed_leaves_no_thread(inner):
    class Broken(Threaded):
        def close(self) -> None:
            raise EngineError("the GPU fell off the bus")

    before = set(threading.enumerate())
    session = OwnThreadSession(lambda: Broken(inner))
    with pytest.raises(EngineError, match="off the bus"):
        session.close()
    assert set(threading.enumerate()) <= before
