"""From good pictures to a calibrated bundle, with a stand-in graph."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import edgeinspect
from edgeinspect.bundle import MANIFEST, Bundle, Manifest, read_bundle, read_manifest
from edgeinspect.calibration import calibrate as calibrate_module
from edgeinspect.calibration.calibrate import calibrate
from edgeinspect.calibration.candidates import Candidate
from edgeinspect.calibration.crossfit import map_statistics
from edgeinspect.calibration.rules import score
from edgeinspect.calibration.selection import Selection, Selector, select_candidate
from edgeinspect.config import Normalisation, ResizeRule, Rule
from edgeinspect.constants import Calibration
from edgeinspect.data.images import save_picture
from edgeinspect.digests import file_sha256
from edgeinspect.errors import BundleError, CalibrationError
from edgeinspect.runtime.session import open_maps, open_session
from tests.bundles import bad_picture, good_picture, make_bundle

N = 24
RATE = 0.05
GRAPH_ROUNDING = 1e-3  # float32 sums of 4096 pixels in another order, in units of z
WIDE = (64, 112)


def save_good(folder: Path, n: int = N, shape: tuple[int, int] = (64, 64)) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"part_{i:02d}.png" for i in range(n)]
    for i, path in enumerate(paths):
        save_picture(path, good_picture(i, shape))
    return paths


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, calibrated=False)


@pytest.fixture
def tiled(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, calibrated=False, resize=ResizeRule.TILE)


def calibrated(path: Path, good: list[Path], **keys: object) -> Calibration:
    settings = {"false_reject_rate": RATE, "threads": 1, **keys}
    return calibrate(path, good, **settings)  # type: ignore[arg-type]


def note_training(path: Path, pictures: list[Path]) -> None:
    """Make the bundle's manifest say that these pictures trained it."""
    manifest = read_manifest(path)
    trained = {file_sha256(p): p.name for p in pictures}
    after: Manifest = dataclasses.replace(manifest, provenance={"training_pictures": trained})
    (path / MANIFEST).write_bytes(after.to_bytes())


def test_the_bundle_judges_good_parts_ok_and_bad_ones_ng(bundle: Path, tmp_path: Path) -> None:
    calibrated(bundle, save_good(tmp_path / "good"))
    with edgeinspect.open(bundle, threads=1) as inspector:
        good = [inspector(good_picture(seed)).verdict.value for seed in range(500, 520)]
        bad = [inspector(bad_picture(seed)).verdict.value for seed in range(500, 520)]
    assert good.count("OK") >= 17
    assert bad.count("NG") == 20


def test_what_is_returned_is_what_the_bundle_holds(bundle: Path, tmp_path: Path) -> None:
    returned = calibrated(bundle, save_good(tmp_path / "good"))
    held = read_bundle(bundle).require_calibration()
    assert held.to_bytes() == returned.to_bytes()
    assert held.good_names == tuple(f"part_{i:02d}.png" for i in range(N))
    assert held.threshold.n_good == N


def test_the_pictures_are_told_by_one_hash(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good")
    digests = sorted(file_sha256(path) for path in good)
    lines = "".join(f"{digest}\n" for digest in digests)
    found = calibrated(bundle, good)
    assert found.good_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert f"`{found.good_sha256[:16]}`" in (bundle / "card.md").read_text()


def test_good_pictures_of_two_exposures_are_warned_of(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = save_good(tmp_path / "good")
    assert calibrated(bundle, good).warnings == ()
    for i, path in enumerate(good[::2]):
        save_picture(path, good_picture(i) + np.uint8(60))
    (warning,) = calibrated(bundle, good).warnings
    assert "24 good pictures fall into two groups by mean intensity: 12 below" in warning
    assert warning in caplog.messages
    assert warning in (bundle / "card.md").read_text()


def test_the_threshold_comes_from_the_good_scores(bundle: Path, tmp_path: Path) -> None:
    found = calibrated(bundle, save_good(tmp_path / "good"))
    assert found.threshold.value == pytest.approx(np.sort(found.good_scores)[-1])
    assert np.array_equal(found.good_scores, found.good_local)


def test_the_same_pictures_and_seed_give_the_same_calibration(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good")
    first, second = (calibrated(bundle, good, select=True, seed=3) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("rule", list(Rule))
def test_numpy_and_the_graph_score_alike(rule: Rule, bundle: Path, tmp_path: Path) -> None:
    constants = calibrated(bundle, save_good(tmp_path / "good"), rule=rule).constants
    read, images = read_bundle(bundle), np.stack([good_picture(900), bad_picture(901)])
    tile = np.zeros(2, np.int32)
    with open_maps(read, threads=1) as maps, open_session(read, threads=1) as session:
        expected = session.infer(images, tile)
        rows = map_statistics(maps.error_maps(images), constants, tile, read.config.scoring)
    found = score(rows, constants, read.config.scoring, 3)
    assert rows == pytest.approx(expected.statistics, rel=1e-4, abs=GRAPH_ROUNDING)
    assert found.score == pytest.approx(expected.score, rel=1e-3)
    assert found.local == pytest.approx(expected.local_score, rel=1e-3)
    assert found.scale.tolist() == expected.scale.tolist()


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        (Rule.PAPER, Normalisation.NONE),
        (Rule.PEAK, Normalisation.BLOCK),
        (Rule.MAHALANOBIS, Normalisation.BLOCK),
    ],
)
def test_each_rule_can_be_named(
    rule: Rule, how: Normalisation, bundle: Path, tmp_path: Path
) -> None:
    found = calibrated(bundle, save_good(tmp_path / "good"), rule=rule)
    assert (found.rule, found.normalisation, found.selection) == (rule, how, None)


def test_pixel_normalisation_has_a_map_for_each_tile_place(tiled: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", shape=WIDE)
    found = calibrated(tiled, good, normalisation=Normalisation.PIXEL)
    assert found.constants.n_tiles == 2
    assert found.tile_places == ((0, 0), (0, 48))


@pytest.mark.parametrize("how", [Normalisation.BLOCK, Normalisation.PIXEL])
def test_pictures_of_several_shapes_share_one_map(
    how: Normalisation, tiled: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good", shape=WIDE)
    save_picture(good[3], good_picture(3, (64, 150)))
    found = calibrated(tiled, good, normalisation=how)
    assert (found.normalisation, found.constants.n_tiles) == (how, 1)
    assert found.tile_places is None


@pytest.mark.parametrize(("spared", "n_tiles"), [(0, 2), (1, 1)])
def test_maps_of_too_many_values_are_shared_by_all_tile_places(
    spared: int, n_tiles: int, tiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = save_good(tmp_path / "good", shape=WIDE)
    with_all = calibrated(tiled, good, normalisation=Normalisation.PIXEL)
    needed = with_all.constants.map_mean.size
    monkeypatch.setattr(calibrate_module, "MAX_PIXEL_VALUES", needed - spared)
    found = calibrated(tiled, good, normalisation=Normalisation.PIXEL)
    assert found.constants.n_tiles == n_tiles
    assert (found.tile_places is None) == (n_tiles == 1)


def test_a_selection_is_kept_with_what_was_tried(bundle: Path, tmp_path: Path) -> None:
    found = calibrated(bundle, save_good(tmp_path / "good"), select=True)
    assert found.selection is not None
    assert len(found.selection["tried"]) == 11
    assert found.rule.value == found.selection["chosen"].split()[0]


def test_a_selection_may_end_on_the_papers_rule(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose_paper(selector: Selector, tried: list[Candidate]) -> Selection:
        (paper, *_) = [candidate for candidate in tried if candidate.rule is Rule.PAPER]
        return dataclasses.replace(select_candidate(selector, tried), chosen=paper)

    monkeypatch.setattr(calibrate_module, "select_candidate", choose_paper)
    good = save_good(tmp_path / "good")
    found = calibrated(bundle, good, select=True)
    assert (found.rule, found.normalisation) == (Rule.PAPER, Normalisation.NONE)
    with edgeinspect.open(bundle, threads=1) as inspector:
        assert inspector(good_picture(500)).verdict.value == "OK"
        assert inspector(bad_picture(500)).verdict.value == "NG"


def test_a_rule_and_a_selection_are_not_given_together(bundle: Path) -> None:
    with pytest.raises(CalibrationError, match="one of --rule and --select"):
        calibrated(bundle, [], rule=Rule.PEAK, select=True)


def test_the_papers_rule_takes_no_normalisation(bundle: Path) -> None:
    with pytest.raises(CalibrationError, match="reads error maps as they are"):
        calibrated(bundle, [], rule=Rule.PAPER, normalisation=Normalisation.BLOCK)


def test_training_pictures_are_refused_and_can_be_left_out(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good")
    note_training(bundle, good[:4])
    with pytest.raises(CalibrationError, match="4 of 24 good pictures trained this model"):
        calibrated(bundle, good)
    found = calibrated(bundle, good, skip_training_pictures=True)
    assert found.good_names == tuple(p.name for p in good[4:])


def test_a_bundle_whose_graph_scores_otherwise_is_refused(bundle: Path, tmp_path: Path) -> None:
    older = dataclasses.replace(read_manifest(bundle), schema=1)
    (bundle / MANIFEST).write_bytes(older.to_bytes())
    with pytest.raises(CalibrationError, match="whose graph scores otherwise"):
        calibrated(bundle, save_good(tmp_path / "good"))


def test_too_few_pictures_are_refused_before_the_graph_runs(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(bundle: Bundle, threads: int | None) -> None:
        raise AssertionError("the graph was opened")

    monkeypatch.setattr(calibrate_module, "open_maps", never)
    good = save_good(tmp_path / "good")
    with pytest.raises(CalibrationError, match="24 good pictures cannot support"):
        calibrated(bundle, good, false_reject_rate=0.01)
    with pytest.raises(CalibrationError, match="9 good pictures are too few"):
        calibrated(bundle, good[:9], false_reject_rate=0.2)


def test_broken_pictures_do_not_count(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", 20)
    for path in good[:2]:
        path.write_bytes(b"no picture")
    with pytest.raises(CalibrationError, match="18 good pictures cannot support"):
        calibrated(bundle, good)
    found = calibrated(bundle, good, false_reject_rate=0.1)
    assert found.threshold.n_good == 18


def test_a_refused_calibration_leaves_the_bundle_as_it_was(bundle: Path, tmp_path: Path) -> None:
    calibrated(bundle, save_good(tmp_path / "good"))
    before = {p.name: p.read_bytes() for p in bundle.iterdir()}
    with pytest.raises(CalibrationError):
        calibrated(bundle, save_good(tmp_path / "few", 12))
    assert {p.name: p.read_bytes() for p in bundle.iterdir()} == before


def test_a_bundle_that_is_exported_anew_meanwhile_is_left_without_a_threshold(
    bundle: Path, tmp_path: Path
) -> None:
    def export_again(step: str, done: int, total: int) -> None:
        if (step, done) == ("cross-fitting by block", total):
            shutil.rmtree(bundle)
            make_bundle(tmp_path, calibrated=False, n_scales=2)

    with pytest.raises(BundleError, match="exported anew while it was calibrated"):
        calibrated(bundle, save_good(tmp_path / "good"), on_progress=export_again)
    assert read_bundle(bundle).calibration is None


def test_progress_ends_where_it_said(bundle: Path, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def note(step: str, done: int, total: int) -> None:
        seen[step] = (done, total)

    calibrated(bundle, save_good(tmp_path / "good"), on_progress=note)
    steps = ("error maps", "cross-fitting by block", "cross-fitting by pixel")
    assert seen == dict.fromkeys(steps, (N, N))


def test_copies_of_a_picture_are_no_further_parts(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", n=12)
    copies = [path.with_name(f"copy_of_{path.name}") for path in good]
    for path, copy in zip(good, copies, strict=True):
        shutil.copyfile(path, copy)
    with pytest.raises(CalibrationError, match="12 good pictures cannot support"):
        calibrated(bundle, [*good, *copies])


def test_a_threshold_of_training_pictures_says_that_it_is_too_low(
    bundle: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good")
    note_training(bundle, good[:5])
    (warning,) = calibrated(bundle, good, allow_training_pictures=True).warnings
    assert "5 of the 24 good pictures trained the model: the threshold is too low" in warning


@pytest.mark.parametrize(("mean", "is_told"), [(0.45, False), (0.03, True), (0.97, True)])
def test_pictures_of_another_exposure_than_those_that_trained_are_told(
    bundle: Path, tmp_path: Path, mean: float, is_told: bool
) -> None:
    manifest = read_manifest(bundle)
    provenance = {"mean": mean, "spread": 0.1}
    after = dataclasses.replace(manifest, provenance=provenance)
    (bundle / MANIFEST).write_bytes(after.to_bytes())
    warnings = calibrated(bundle, save_good(tmp_path / "good")).warnings
    assert ["is it the same part, exposure" in told for told in warnings] == [True] * is_told


def test_a_defect_among_the_good_pictures_is_told_by_name(bundle: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good")
    assert calibrated(bundle, good).warnings == ()
    save_picture(good[7], bad_picture(0))
    (warning,) = calibrated(bundle, good).warnings
    assert "1 of the 24 good pictures score far above the others (part_07.png " in warning


def test_a_fifth_of_another_part_among_the_good_pictures_is_told(
    bundle: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good")
    for i, path in enumerate(good[:5]):
        save_picture(path, bad_picture(i))
    told = calibrated(bundle, good).warnings
    assert any("5 of the 24 good pictures score far above the others" in words for words in told)


def test_measures_that_the_graph_does_not_give_are_refused(bundle: Path, tmp_path: Path) -> None:
    manifest = read_manifest(bundle)
    scoring = {**manifest.config["scoring"], "measures": ["l1"]}
    config = {**manifest.config, "scoring": scoring}
    (bundle / MANIFEST).write_bytes(dataclasses.replace(manifest, config=config).to_bytes())
    with pytest.raises(BundleError, match="names the measures l1, and the graph gives 3"):
        calibrated(bundle, save_good(tmp_path / "good"))
