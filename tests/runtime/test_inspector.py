from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgeinspect
from edgeinspect.bundle import Bundle, install_calibration, read_bundle
from edgeinspect.config import Normalisation, ResizeRule, Rule, ScoringConfig
from edgeinspect.errors import ConfigError, ImageError, NotCalibratedError
from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import Scores, Session, open_session
from tests.bundles import bad_picture, good_picture, make_bundle

N_STATISTICS = ScoringConfig().n_statistics(n_scales=3)
BATCH_TOLERANCE = 1e-5  # sums of float32 are split differently in another batch


class FakeSession:
    """Gives the scores it was told, tile after tile, whatever the images."""

    name = "fake"

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, np.float32)
        self.n_calls = 0

    def infer(self, images: np.ndarray, tile: np.ndarray, map_above: float | None = None) -> Scores:
        n = len(images)
        now, self.scores = self.scores[:n], self.scores[n:]
        self.n_calls += 1
        return Scores(
            score=now,
            local_score=now,
            global_score=-now,
            scale=np.arange(n, dtype=np.int32),
            anomaly_map=np.zeros((n, 64, 64), np.float32),
            statistics=np.zeros((n, N_STATISTICS), np.float32),
        )

    def close(self) -> None:
        pass


class MapKeeper:
    """A session that leaves maps on the device unless they are wanted, as a GPU's does."""

    name = "keeper"

    def __init__(self, session: Session) -> None:
        self.session = session
        self.n_calls = 0

    def infer(self, images: np.ndarray, tile: np.ndarray, map_above: float | None = None) -> Scores:
        self.n_calls += 1
        scores = self.session.infer(images, tile)
        if map_above is None:
            return scores
        has_map = scores.score > map_above
        maps = np.where(has_map[:, None, None], scores.anomaly_map, np.float32(0))
        return dataclasses.replace(scores, anomaly_map=maps, has_map=has_map)

    def close(self) -> None:
        self.session.close()


@pytest.fixture(scope="module")
def squashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("squash"))


@pytest.fixture(scope="module")
def tiling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("tile"), resize=ResizeRule.TILE)


@pytest.fixture(scope="module")
def tiling_bundle(tiling: Path) -> Bundle:
    return read_bundle(tiling)


def judge(bundle: Bundle, scores: list[float], *, batch: int = 1) -> Inspection:
    """A picture of three tiles under made-up scores; the threshold of the bundle is about 4."""
    inspector = Inspector(bundle, FakeSession(scores), batch=batch)
    return inspector(good_picture(0, (64, 160)))


@pytest.mark.parametrize("winner", [0, 8, 9, 26])
def test_the_measure_is_that_of_the_statistic_that_stands_out(tiling_bundle, winner):
    """Nine statistics a measure: three of each of three scales."""
    session = FakeSession([9.0])
    scores = session.infer(np.zeros((1, 64, 64, 3), np.uint8), np.zeros(1, np.int32))
    scores.statistics[0, winner] = 1e6
    session.infer = lambda images, tile, map_above: scores  # type: ignore[method-assign]
    inspection = Inspector(tiling_bundle, session)(good_picture(0))
    assert inspection.measure is tiling_bundle.config.scoring.measures[winner // 9]


def test_under_the_papers_rule_the_map_shows_the_first_measure(tmp_path):
    with edgeinspect.open(make_bundle(tmp_path, rule=Rule.PAPER), threads=1) as inspector:
        measure = inspector(bad_picture(1)).measure
    assert measure is inspector.bundle.config.scoring.measures[0]


def test_good_parts_are_ok_and_marked_ones_ng(squashing):
    with edgeinspect.open(squashing, threads=1) as inspector:
        good, bad = inspector([good_picture(1), bad_picture(2)])
    assert (good.verdict, bad.verdict) == (Verdict.OK, Verdict.NG)
    assert good.regions == ()
    assert good.score is not None
    assert good.score <= good.threshold < bad.score


def test_the_region_of_an_ng_part_is_the_mark(squashing):
    with edgeinspect.open(squashing, threads=1) as inspector:
        inspection = inspector(bad_picture(2))
    assert [region.box for region in inspection.regions] == [(40, 32, 8, 8)]


@pytest.mark.parametrize("rule", list(Rule))
def test_every_rule_points_at_the_mark(tmp_path, rule):
    with edgeinspect.open(make_bundle(tmp_path, rule=rule), threads=1) as inspector:
        inspection = inspector(bad_picture(2))
    assert inspection.verdict is Verdict.NG
    assert inspection.regions[0].box == (40, 32, 8, 8)


def test_one_picture_gives_one_inspection_and_a_list_a_list(squashing):
    with edgeinspect.open(squashing, threads=1) as inspector:
        assert isinstance(inspector(good_picture(0)), Inspection)
        assert [type(i) for i in inspector([good_picture(0)])] == [Inspection]
        assert inspector([]) == []


def test_a_grey_picture_is_judged_as_its_rgb_repetition(squashing):
    picture = bad_picture(0)
    with edgeinspect.open(squashing, threads=1) as inspector:
        assert inspector(picture[..., 0]).score == inspector(picture).score


@given(
    shapes=st.lists(st.sampled_from([64, 100, 200]), min_size=1, max_size=4),
    batch=st.integers(1, 6),
)
def test_the_batch_changes_no_score(tiling_bundle, shapes, batch):
    pictures = [bad_picture(i, (64, width)) for i, width in enumerate(shapes)]
    with open_session(tiling_bundle, threads=1) as session:
        one_by_one = [Inspector(tiling_bundle, session)(picture) for picture in pictures]
        together = Inspector(tiling_bundle, session, batch=batch)(pictures)
    scores = [i.score for i in one_by_one]
    assert [i.score for i in together] == pytest.approx(scores, rel=BATCH_TOLERANCE)
    boxes = [[region.box for region in i.regions] for i in one_by_one]
    assert [[region.box for region in i.regions] for i in together] == boxes


def test_the_map_covers_the_picture(tiling):
    with edgeinspect.open(tiling, threads=1) as inspector:
        inspection = inspector(bad_picture(0, (128, 300)))
    assert inspection.anomaly_map is not None
    assert inspection.anomaly_map.shape == (64, 150)
    at_picture_size = inspection.map_at_picture_size()
    assert at_picture_size is not None
    assert at_picture_size.shape == (128, 300)
    y, x = np.unravel_index(at_picture_size.argmax(), at_picture_size.shape)
    box_x, box_y, width, height = inspection.regions[0].box
    assert box_x <= x < box_x + width
    assert box_y <= y < box_y + height


def test_a_part_is_as_bad_as_its_worst_tile(tiling_bundle):
    inspection = judge(tiling_bundle, [1.0, 9.0, 2.0], batch=3)
    assert inspection.verdict is Verdict.NG
    assert (inspection.score, inspection.local_score) == (9.0, 9.0)
    assert inspection.global_score == -1.0
    assert inspection.scale == 1


def test_a_score_on_the_threshold_is_ok(tiling_bundle):
    threshold = tiling_bundle.require_calibration().threshold.value
    assert judge(tiling_bundle, [threshold, 0.0, 0.0]).verdict is Verdict.OK
    above = float(np.nextafter(np.float32(threshold), np.float32(np.inf)))
    assert judge(tiling_bundle, [above, 0.0, 0.0]).verdict is Verdict.NG


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_never_ok(tiling_bundle, value, place):
    scores = [0.0, 0.0, 0.0]
    scores[place] = value
    inspection = judge(tiling_bundle, scores)
    assert inspection.verdict is Verdict.NOT_INSPECTED
    assert inspection.reason is Reason.NON_FINITE


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize(
    ("score", "verdict", "reason"),
    [
        (0.0, Verdict.NOT_INSPECTED, Reason.BLANK),
        (1e6, Verdict.NG, None),
        (np.nan, Verdict.NOT_INSPECTED, Reason.NON_FINITE),
    ],
)
def test_a_blank_picture_is_never_ok(tiling_bundle, level, score, verdict, reason):
    picture = np.full((64, 64), level, np.uint8)
    inspection = Inspector(tiling_bundle, FakeSession([score]))(picture)
    assert (inspection.verdict, inspection.reason) == (verdict, reason)


@pytest.mark.parametrize(("batch", "n_calls"), [(1, 3), (2, 2), (8, 1)])
def test_batch_counts_tiles(tiling_bundle, batch, n_calls):
    session = FakeSession([0.0, 0.0, 0.0])
    Inspector(tiling_bundle, session, batch=batch)(good_picture(0, (64, 160)))
    assert session.n_calls == n_calls


def test_a_picture_that_is_too_small_is_not_inspected_and_the_others_are(squashing):
    with edgeinspect.open(squashing, threads=1) as inspector:
        small, good = inspector([good_picture(0, (3, 4)), good_picture(0)])
    assert (small.verdict, small.reason) == (Verdict.NOT_INSPECTED, Reason.SIZE)
    assert small.detail is not None
    assert "4 x 3 px is too small" in small.detail
    assert small.score is None
    assert good.verdict is Verdict.OK


def test_a_grid_that_aligned_maps_do_not_know_is_not_inspected(tmp_path):
    path = make_bundle(
        tmp_path, resize=ResizeRule.TILE, normalisation=Normalisation.PIXEL, n_tiles=3
    )
    with edgeinspect.open(path, threads=1) as inspector:
        fits, other = inspector([good_picture(0, (64, 160)), good_picture(0, (64, 64))])
    assert fits.score is not None
    assert (other.verdict, other.reason) == (Verdict.NOT_INSPECTED, Reason.SIZE)


def test_as_many_tiles_in_other_places_are_not_inspected_either(tmp_path):
    path = make_bundle(
        tmp_path, resize=ResizeRule.TILE, normalisation=Normalisation.PIXEL, n_tiles=3
    )
    calibration = read_bundle(path).require_calibration()
    places = ((0, 0), (0, 48), (0, 96))
    install_calibration(read_bundle(path), dataclasses.replace(calibration, tile_places=places))
    with edgeinspect.open(path, threads=1) as inspector:
        fits, other = inspector([good_picture(0, (64, 160)), good_picture(0, (64, 158))])
    assert fits.reason is None
    assert other.reason is Reason.SIZE


@pytest.mark.parametrize("shape", [(64,), (64, 64, 4), (2, 64, 64, 3)])
def test_an_array_that_is_no_picture_is_an_error(squashing, shape):
    with (
        edgeinspect.open(squashing, threads=1) as inspector,
        pytest.raises(ImageError, match=r"pass uint8 \(H, W, 3\)"),
    ):
        inspector(np.zeros(shape, np.uint8))


def test_a_float_picture_is_an_error_and_not_guessed(squashing):
    with (
        edgeinspect.open(squashing, threads=1) as inspector,
        pytest.raises(ImageError, match="a picture is float32"),
    ):
        inspector(good_picture(0).astype(np.float32) / 255)


def test_an_uncalibrated_bundle_cannot_be_opened(tmp_path):
    with pytest.raises(NotCalibratedError, match="no threshold"):
        edgeinspect.open(make_bundle(tmp_path, calibrated=False))


def test_results_are_frozen(squashing):
    with edgeinspect.open(squashing, threads=1) as inspector:
        inspection = inspector(good_picture(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        inspection.verdict = Verdict.NG  # type: ignore[misc]


def test_importing_the_package_imports_no_library():
    code = (
        "import sys, edgeinspect;"
        "print([m for m in ('numpy', 'cv2', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_a_bundle_never_imports_torch(squashing):
    code = (
        "import sys, edgeinspect;"
        f"edgeinspect.open({str(squashing)!r}, threads=1).close();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", edgeinspect.__all__)
def test_every_exported_name_exists(name):
    assert getattr(edgeinspect, name) is not None


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'inspect'"):
        edgeinspect.inspect  # noqa: B018


def test_parts_that_are_ok_have_no_map_where_only_those_of_ng_are_wanted(squashing):
    bundle = read_bundle(squashing)
    keeper = MapKeeper(open_session(bundle, threads=1))
    with Inspector(bundle, keeper, batch=2, maps_of_all=False) as inspector:
        good, bad = inspector([good_picture(0), bad_picture(1)])
    assert (good.verdict, good.anomaly_map, good.map_level) == (Verdict.OK, None, None)
    assert bad.verdict is Verdict.NG
    assert bad.anomaly_map.max() > bad.map_level
    assert keeper.n_calls == 1


def test_an_ng_part_has_the_maps_of_its_good_tiles_as_well(tiling_bundle):
    picture = np.concatenate([good_picture(0), bad_picture(1)], axis=1)
    with Inspector(tiling_bundle, open_session(tiling_bundle, threads=1)) as inspector:
        expected = inspector(picture)
    keeper = MapKeeper(open_session(tiling_bundle, threads=1))
    with Inspector(tiling_bundle, keeper, maps_of_all=False) as inspector:
        found = inspector(picture)
    assert found.regions == expected.regions
    assert np.array_equal(found.anomaly_map, expected.anomaly_map)
    assert keeper.n_calls == 2 * inspector.plan(picture).n_tiles


@pytest.mark.parametrize("given", ["part.png", Path("part.png"), [Path("part.png")]])
def test_a_path_is_no_picture_and_the_error_says_what_reads_one(squashing, given):
    with (
        edgeinspect.open(squashing, threads=1) as inspector,
        pytest.raises(ImageError, match=r"not an array; .*read_picture\(path\) reads a file"),
    ):
        inspector(given)


def test_files_of_16_bits_are_read_by_the_white_level_of_the_bundle(tmp_path):
    bundle = make_bundle(tmp_path, white_level_16bit=4095)
    with edgeinspect.open(bundle, threads=1) as inspector:
        assert inspector.white_level_16bit == 4095


@pytest.mark.parametrize("batch", [0, 1_000_000])
def test_a_batch_that_no_call_has_is_refused(squashing, batch):
    with pytest.raises(ConfigError, match=f"batch is {batch}: it must lie in 1 to 1024"):
        edgeinspect.open(squashing, batch=batch)
