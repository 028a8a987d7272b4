"""Engine sessions on a driver that fails on what a GPU would not forgive."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import ScoringConfig
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import EngineError
from edgeinspect.runtime import tensorrt
from edgeinspect.runtime.session import (
    OUTPUTS,
    DeviceTimes,
    Scores,
    TimedSession,
    open_session,
)
from edgeinspect.runtime.tensorrt import TensorRtSession
from tests.bundles import bad_picture, good_picture, make_bundle
from tests.engines.receipts import RECEIPT
from tests.runtime.fake_cuda import FakeDriver
from tests.runtime.fake_tensorrt import FakeEngine, fake_tensorrt

IMAGES = np.stack([good_picture(0), bad_picture(1), good_picture(2), bad_picture(3)])
TILE = np.zeros(4, np.int32)
MAP_BYTES = 64 * 64 * 4
TOLERANCE = 1e-5  # sums of float32 are split differently in another batch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def expected(bundle: Bundle) -> Scores:
    with open_session(bundle, threads=1) as session:
        return session.infer(IMAGES, TILE)


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    """Whatever a test does, nothing may be left on the device."""
    driver = FakeDriver()
    yield driver
    driver.assert_nothing_is_held()
    assert driver.is_closed


def open_engine(
    bundle: Bundle, driver: FakeDriver, constants: RuleConstants | None = None, **changes: Any
) -> TensorRtSession:
    engine = FakeEngine(bundle.graph_path(), driver, **changes)
    constants = constants or bundle.require_calibration().constants
    return TensorRtSession(fake_tensorrt(), engine, constants, driver=driver)


def assert_same(found: Scores, expected: Scores, n: int) -> None:
    for name in OUTPUTS:
        left, right = getattr(found, name), getattr(expected, name)[:n]
        assert left.dtype == right.dtype
        assert np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE), name


@pytest.mark.parametrize("n", [1, 3, 4])
def test_scores_are_those_of_the_graph(
    bundle: Bundle, driver: FakeDriver, expected: Scores, n: int
) -> None:
    with open_engine(bundle, driver) as session:
        for _ in range(3):  # step by step, then twice as a graph
            assert_same(session.infer(IMAGES[:n], TILE[:n]), expected, n)


def test_batch_sizes_may_alternate(bundle: Bundle, driver: FakeDriver, expected: Scores) -> None:
    with open_engine(bundle, driver) as session:
        for n in (4, 1, 2, 4, 1, 2):
            assert_same(session.infer(IMAGES[:n], TILE[:n]), expected, n)


def test_a_batch_is_one_launch_and_one_wait_once_its_size_is_known(
    bundle: Bundle, driver: FakeDriver
) -> None:
    with open_engine(bundle, driver) as session:
        session.infer(IMAGES, TILE)
        driver.calls.clear()
        session.infer(IMAGES, TILE)
        session.infer(IMAGES, TILE, map_above=np.inf)
        assert driver.calls == ["synchronise", "synchronise"]


def test_answers_of_a_batch_do_not_change_with_the_next(
    bundle: Bundle, driver: FakeDriver, expected: Scores
) -> None:
    with open_engine(bundle, driver) as session:
        first = session.infer(IMAGES[:2], TILE[:2])
        session.infer(IMAGES[2:], TILE[2:])
        assert_same(first, expected, 2)


def test_only_maps_of_scores_above_the_level_are_copied(
    bundle: Bundle, driver: FakeDriver, expected: Scores
) -> None:
    with open_engine(bundle, driver) as session:
        level = bundle.require_calibration().threshold.value
        session.infer(IMAGES, TILE)
        before = driver.n_bytes_out
        scores = session.infer(IMAGES, TILE, map_above=level)
        small = sum(getattr(expected, n).nbytes for n in OUTPUTS if n != "anomaly_map")
        assert driver.n_bytes_out - before == small + 2 * MAP_BYTES
    assert scores.has_map.tolist() == [False, True, False, True]
    assert np.allclose(scores.anomaly_map[1], expected.anomaly_map[1], atol=TOLERANCE)
    assert not scores.anomaly_map[0].any()


def test_each_image_meets_the_maps_of_its_own_tile_position(
    bundle: Bundle, driver: FakeDriver
) -> None:
    neutral = RuleConstants.neutral(
        n_measures=3,
        n_scales=3,
        size=64,
        n_statistics=ScoringConfig().n_statistics(n_scales=3),
        n_tiles=2,
    ).as_inputs()
    neutral["map_mean"][1] = 5.0
    with open_engine(bundle, driver, RuleConstants(**neutral)) as session:
        scores = session.infer(IMAGES[[0, 0]], np.array([0, 1], np.int32))
    difference = scores.anomaly_map[0].mean() - scores.anomaly_map[1].mean()
    assert difference == pytest.approx(5.0, abs=0.1)


def test_a_batch_below_the_smallest_is_filled_up(
    bundle: Bundle, driver: FakeDriver, expected: Scores
) -> None:
    with open_engine(bundle, driver, batch=(4, 4)) as session:
        assert_same(session.infer(IMAGES[:3], TILE[:3]), expected, 3)


def test_a_batch_above_the_largest_says_what_was_built(bundle: Bundle, driver: FakeDriver) -> None:
    words = r"a batch of 4 images, the engine takes 1 to 3; .*--batch 1,4"
    with (
        open_engine(bundle, driver, batch=(1, 3)) as session,
        pytest.raises(EngineError, match=words),
    ):
        session.infer(IMAGES, TILE)


def test_another_thread_is_refused(bundle: Bundle, driver: FakeDriver) -> None:
    caught: list[EngineError] = []

    def use(session: TensorRtSession) -> None:
        try:
            session.infer(IMAGES, TILE)
        except EngineError as error:
            caught.append(error)

    with open_engine(bundle, driver) as session:
        thread = threading.Thread(target=use, args=(session,))
        thread.start()
        thread.join()
    assert "another thread than the one that opened it; open one session" in str(caught[0])


def test_sessions_of_two_threads_do_not_disturb_each_other(
    bundle: Bundle, expected: Scores
) -> None:
    def use(found: list[Scores]) -> None:
        driver = FakeDriver()
        with open_engine(bundle, driver) as session:
            found += [session.infer(IMAGES, TILE) for _ in range(3)]
        driver.assert_nothing_is_held()

    found: tuple[list[Scores], list[Scores]] = ([], [])
    threads = [threading.Thread(target=use, args=(one,)) for one in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scores in (*found[0], *found[1]):
        assert_same(scores, expected, 4)


def test_a_closed_session_says_so_and_closes_once(bundle: Bundle, driver: FakeDriver) -> None:
    session = open_engine(bundle, driver)
    session.close()
    session.close()
    with pytest.raises(EngineError, match="session is closed"):
        session.infer(IMAGES, TILE)


@pytest.mark.parametrize("refusal", ["binding", "driver", "tensorrt"])
def test_an_engine_that_cannot_be_recorded_runs_step_by_step_and_says_so(
    bundle: Bundle,
    driver: FakeDriver,
    expected: Scores,
    caplog: pytest.LogCaptureFixture,
    refusal: str,
) -> None:
    driver.has_graphs = refusal != "binding"
    driver.refuses_capture = refusal == "driver"
    with caplog.at_level(logging.WARNING), open_engine(bundle, driver) as session:
        session._engine.is_capturable = refusal != "tensorrt"
        for _ in range(3):
            assert_same(session.infer(IMAGES, TILE), expected, 4)
    assert [r.message.partition(",")[0] for r in caplog.records] == [
        "batches of 4 run without a CUDA graph"
    ]


def test_a_batch_that_fails_gives_the_reason_and_frees_everything(
    bundle: Bundle, driver: FakeDriver
) -> None:
    with open_engine(bundle, driver) as session:
        session._engine.fails_to_run = True
        with pytest.raises(EngineError, match="tensorrt cannot run a batch"):
            session.infer(IMAGES, TILE)


def test_a_context_that_is_lost_is_let_go_all_the_same(bundle: Bundle, driver: FakeDriver) -> None:
    class Lost(FakeDriver):
        def make_current(self) -> None:
            raise EngineError("the CUDA driver failed in cuCtxSetCurrent: illegal address")

    lost = Lost()
    session = open_engine(bundle, lost)
    with pytest.raises(EngineError, match="illegal address"):
        session.close()
    lost.assert_nothing_is_held()
    assert lost.is_closed
    driver.close()


def test_too_little_memory_leaves_nothing_behind(bundle: Bundle, driver: FakeDriver) -> None:
    class Full(FakeDriver):
        def allocate(self, n_bytes: int) -> int:
            if n_bytes == IMAGES.nbytes:
                raise EngineError("the CUDA driver failed in cuMemAlloc: out of memory")
            return super().allocate(n_bytes)

    full = Full()
    with pytest.raises(EngineError, match="out of memory"):
        open_engine(bundle, full)
    full.assert_nothing_is_held()
    assert full.is_closed
    driver.close()


def test_more_tile_positions_than_were_built_are_refused(
    bundle: Bundle, driver: FakeDriver
) -> None:
    shape = {"n_measures": 3, "n_scales": 3, "size": 64, "n_tiles": 3}
    n_statistics = ScoringConfig().n_statistics(n_scales=3)
    constants = RuleConstants.neutral(n_statistics=n_statistics, **shape)
    with pytest.raises(EngineError, match="with at most 2 tile positions"):
        open_engine(bundle, driver, constants)


def test_an_engine_of_another_graph_is_refused(bundle: Bundle, driver: FakeDriver) -> None:
    engine = FakeEngine(bundle.maps_path, driver)
    constants = bundle.require_calibration().constants
    with pytest.raises(EngineError, match="not of this version's graph: see anomaly_map"):
        TensorRtSession(fake_tensorrt(), engine, constants, driver=driver)


@pytest.mark.parametrize("opens", [True, False], ids=["opened", "refused"])
def test_a_plan_that_is_not_opened_leaves_no_driver_open(
    bundle: Bundle, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    trt = fake_tensorrt(FakeEngine(bundle.maps_path, driver) if opens else None)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(tensorrt, "open_driver", lambda: driver)
    constants = bundle.require_calibration().constants
    refusal = "not of this version's graph" if opens else "the plan is of another version"
    with pytest.raises(EngineError, match=refusal):
        tensorrt.open_plan(b"plan" if opens else b"another", RECEIPT, constants)
    assert driver.is_closed


def test_a_time_on_the_device_is_measured_between_events(
    bundle: Bundle, driver: FakeDriver
) -> None:
    with open_engine(bundle, driver) as session:
        session.infer(IMAGES, TILE)
        assert session.device_ms(4, 3) == [1.0, 1.0, 1.0]


def test_the_device_tells_copies_from_computing(bundle: Bundle, driver: FakeDriver) -> None:
    step = DeviceTimes(copy_in_ms=1.0, compute_ms=1.0, copy_out_ms=1.0)
    with open_engine(bundle, driver) as session:
        session.infer(IMAGES, TILE)
        assert isinstance(session, TimedSession)
        assert session.device_times(4, 2) == [step, step]


def test_the_fake_driver_sees_what_a_gpu_would_not_forgive() -> None:
    driver = FakeDriver()
    memory, pinned, stream = driver.allocate(8), driver.allocate_pinned(8), driver.open_stream()
    driver.copy_in(memory, pinned, stream)
    driver.copy_out(pinned, memory, stream)
    with pytest.raises(AssertionError, match="while work is under way"):
        driver.free(memory)
    driver.synchronise(stream)
    driver.free(memory)
    with pytest.raises(AssertionError, match="freed twice"):
        driver.free(memory)
    driver.copy_out(pinned, memory, stream)
    with pytest.raises(AssertionError, match="used after it was freed"):
        driver.synchronise(stream)


def test_the_fake_driver_sees_leaks() -> None:
    driver = FakeDriver()
    driver.allocate_pinned(8)
    with pytest.raises(AssertionError):
        driver.assert_nothing_is_held()


def test_what_was_copied_out_is_stale_until_the_stream_was_waited_for() -> None:
    driver = FakeDriver()
    memory, pinned, stream = driver.allocate(4), driver.allocate_pinned(4), driver.open_stream()
    pinned[:] = 7
    driver.copy_in(memory, pinned, stream)
    driver.synchronise(stream)
    pinned[:] = 1
    driver.copy_out(pinned, memory, stream)
    assert pinned.tolist() == [1, 1, 1, 1]
    driver.synchronise(stream)
    assert pinned.tolist() == [7, 7, 7, 7]
