"""A bundle over a test folder, end to end: figures, what is left out, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import ResizeRule
from edgeinspect.digests import file_sha256
from edgeinspect.errors import DataError, NotCalibratedError
from edgeinspect.evaluation import Evaluation, EvaluationSettings, evaluate
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.results import WarningKind
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import Scores, Session, open_session
from tests.bundles import good_picture, make_bundle
from tests.evaluation.parts_folder import N_GOOD, N_LINE, N_SPOT, N_TRAIN, make_parts, put

QUICK = EvaluationSettings(runtime="onnxruntime", threads=1, n_resamples=20)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    make_parts(folder / "parts")
    make_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(place: Path) -> Bundle:
    return read_bundle(place / "part.bundle")


@pytest.fixture(scope="module")
def result(place: Path, bundle: Bundle) -> Evaluation:
    return evaluate(bundle, place / "parts", settings=QUICK)


def told(evaluation: Evaluation) -> list[str]:
    return [str(warning) for warning in evaluation.warnings]


def kinds(evaluation: Evaluation) -> list[WarningKind]:
    return [warning.kind for warning in evaluation.warnings]


def test_every_test_picture_becomes_one_result_with_its_label(result: Evaluation) -> None:
    labels = [part.label for part in result.parts]
    assert labels == ["good"] * N_GOOD + ["line"] * N_LINE + ["spot"] * N_SPOT
    assert dict(result.counts.by_class) == {"good": N_GOOD, "line": N_LINE, "spot": N_SPOT}
    assert result.parts[0].name == "test/good/0.png"


def test_scores_and_verdicts_are_those_of_the_inspector(
    result: Evaluation, bundle: Bundle, place: Path
) -> None:
    session = open_session(bundle, threads=1)
    with Inspector(bundle, session) as inspector:
        expected = inspector(good_picture(100))
    assert result.parts[0].score == expected.score
    assert result.parts[0].verdict is expected.verdict


def test_the_auroc_is_that_of_the_scores(result: Evaluation) -> None:
    defect = [part.is_defect for part in result.parts]
    expected = roc_auc_score(defect, [part.global_score for part in result.parts])
    assert result.summary.global_.auroc.value == pytest.approx(expected)


def test_squares_are_found_and_located(result: Evaluation) -> None:
    spot = result.summary.classes["spot"]
    assert spot.image.recall_at_threshold is not None
    assert spot.image.recall_at_threshold.value == 1
    assert (spot.pixel.auroc, spot.pixel.n_regions) == (pytest.approx(1), N_SPOT)


def test_defects_without_masks_are_counted_and_left_out_of_pixel_figures(
    result: Evaluation,
) -> None:
    assert len(result.counts.masks_missing) == N_LINE
    assert result.summary.pixel.n_pictures == N_GOOD + N_SPOT
    assert result.summary.classes["line"].pixel.aupro is None


def test_all_baselines_stand_beside_the_score_before_and_after_equalising(
    result: Evaluation,
) -> None:
    assert set(result.summary.baselines) == set(Baseline)
    assert all(one.equalised is not None for one in result.summary.baselines.values())
    assert result.counts.n_reference == N_TRAIN


def test_the_warning_about_contrast_is_logged_and_kept(
    place: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        got = evaluate(bundle, place / "parts", settings=QUICK)
    assert any("contrast alone (higher for defects)" in text for text in told(got))
    assert set(told(got)) <= set(caplog.messages)


def test_the_batch_changes_no_score(place: Path, bundle: Bundle, result: Evaluation) -> None:
    one = evaluate(bundle, place / "parts", settings=dataclasses.replace(QUICK, batch=1))
    np.testing.assert_allclose(
        [p.score for p in one.parts], [p.score for p in result.parts], rtol=1e-5
    )


def test_no_equalised_judges_every_picture_once(place: Path, bundle: Bundle) -> None:
    got = evaluate(bundle, place / "parts", settings=dataclasses.replace(QUICK, equalised=False))
    assert got.summary.equalised is None
    assert np.isnan([part.equalised_score for part in got.parts]).all()
    assert all(one.equalised is None for one in got.summary.baselines.values())


def test_a_picture_far_brighter_gets_its_score_back_by_equalising(
    tmp_path: Path, bundle: Bundle
) -> None:
    make_parts(tmp_path)
    brighter = np.clip(good_picture(100).astype(int) * 2 - 60, 0, 255).astype(np.uint8)
    put(tmp_path / "test/good/0.png", brighter)
    part = evaluate(bundle, tmp_path, settings=QUICK).parts[0]
    assert part.verdict is Verdict.NG
    assert part.equalised_score < part.score / 2


def test_broken_pictures_are_named_counted_and_left_out(tmp_path: Path, bundle: Bundle) -> None:
    make_parts(tmp_path)
    (tmp_path / "test/spot/broken.png").write_bytes(b"")
    got = evaluate(bundle, tmp_path, settings=QUICK)
    assert got.counts.unreadable == ("test/spot/broken.png",)
    assert got.counts.by_class["spot"] == N_SPOT


def test_only_broken_pictures_are_an_error(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "test/good").mkdir(parents=True)
    (tmp_path / "test/good/a.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 1 test pictures"):
        evaluate(bundle, tmp_path, settings=QUICK)


def test_without_good_pictures_the_rest_is_evaluated_and_it_says_so(
    tmp_path: Path, bundle: Bundle
) -> None:
    got = evaluate(bundle, make_parts(tmp_path, train=False), settings=QUICK)
    assert set(got.summary.baselines) == {Baseline.MEAN, Baseline.CONTRAST}
    assert got.summary.equalised is None
    assert kinds(got)[0] is WarningKind.NO_GOOD_PICTURES
    assert "give good pictures with --good" in told(got)[0]


def test_good_pictures_may_lie_elsewhere(tmp_path: Path, place: Path, bundle: Bundle) -> None:
    parts = make_parts(tmp_path, train=False)
    got = evaluate(bundle, parts, good=place / "parts/train/good", settings=QUICK)
    assert got.counts.n_reference == N_TRAIN


def test_good_pictures_that_are_test_pictures_are_warned_of(place: Path, bundle: Bundle) -> None:
    parts = place / "parts"
    got = evaluate(bundle, parts, good=parts / "test/good", settings=QUICK)
    assert any(f"good ones given as well: {N_GOOD} of" in text for text in told(got))


def test_test_pictures_that_were_trained_on_are_warned_of(place: Path, bundle: Bundle) -> None:
    trained = file_sha256(place / "parts/test/good/0.png")
    provenance = {"training_pictures": {trained: "0.png"}}
    manifest = dataclasses.replace(bundle.manifest, provenance=provenance)
    got = evaluate(dataclasses.replace(bundle, manifest=manifest), place / "parts", settings=QUICK)
    assert any("test pictures that trained the model: 1 of" in text for text in told(got))


def test_labels_that_contradict_or_lack_are_warned_of(tmp_path: Path, bundle: Bundle) -> None:
    parts = make_parts(tmp_path)
    shutil.copy(parts / "test/good/0.png", parts / "test/spot/again.png")
    shutil.copy(parts / "test/good/1.png", parts / "test/loose.png")
    got = evaluate(bundle, parts, settings=QUICK)
    assert any("(test/spot/again.png is test/good/0.png)" in text for text in told(got))
    assert any("were not evaluated: 1 (test/loose.png is one)" in text for text in told(got))


def test_good_test_pictures_unlike_the_good_ones_given_are_warned_of(
    tmp_path: Path, bundle: Bundle
) -> None:
    for i in range(20):
        put(tmp_path / f"test/good/{i}.png", good_picture(i) - np.uint8(20))
        put(tmp_path / f"train/good/{i}.png", good_picture(100 + i))
    got = evaluate(bundle, tmp_path, settings=dataclasses.replace(QUICK, equalised=False))
    (text,) = [str(w) for w in got.warnings if w.kind is WarningKind.TEST_GOOD_DIFFER]
    assert "of the 20 good test pictures 100 % have a mean intensity below 11" in text
    assert "of the 20 good ones given 0 %" in text


def test_a_generator_that_has_learnt_nothing_is_warned_of(place: Path, bundle: Bundle) -> None:
    provenance = {"training": {"best_error": 0.05, "fill_error": 0.04}}
    manifest = dataclasses.replace(bundle.manifest, provenance=provenance)
    got = evaluate(dataclasses.replace(bundle, manifest=manifest), place / "parts", settings=QUICK)
    assert WarningKind.NOT_LEARNT in kinds(got)


def test_the_map_of_a_square_peaks_on_it_and_of_an_unmasked_line_somewhere(
    result: Evaluation,
) -> None:
    peaks = {part.label: part.map_peak for part in result.parts}
    spot, line, good = peaks["spot"], peaks["line"], peaks["good"]
    assert spot is not None
    assert spot.distance_px == 0
    assert spot.region.box == (40, 32, 8, 8)
    assert line is not None
    assert line.distance_px is None
    assert good is not None
    assert good.distance_px is None


def test_long_parts_are_tiled_and_their_maps_stitched(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "parts", shape=(64, 150))
    long = read_bundle(make_bundle(tmp_path, resize=ResizeRule.TILE))
    got = evaluate(long, parts, settings=QUICK)
    assert got.summary.classes["spot"].pixel.auroc == pytest.approx(1, abs=1e-3)


def test_a_picture_whose_size_cannot_be_judged_is_left_out(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "parts")
    put(parts / "test/good/0.png", good_picture(1, (5, 5)))
    got = evaluate(read_bundle(make_bundle(tmp_path)), parts, settings=QUICK)
    assert got.counts.unreadable == ("test/good/0.png",)


class BrightIsNan:
    """A session that loses its numbers on bright images."""

    def __init__(self, session: Session) -> None:
        self.name = session.name
        self._session = session

    def infer(
        self, images: NDArray[np.uint8], tile: NDArray[np.int32], map_above: float | None = None
    ) -> Scores:
        scores = self._session.infer(images, tile)
        is_bright = images.mean(axis=(1, 2, 3)) > 200
        return dataclasses.replace(scores, score=np.where(is_bright, np.nan, scores.score))

    def close(self) -> None:
        self._session.close()


def test_a_score_that_is_not_finite_is_counted_and_left_out(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(make_parts(tmp_path) / "test/good/0.png", np.full((64, 64, 3), 220, np.uint8))
    monkeypatch.setattr(
        importlib.import_module("edgeinspect.evaluation.evaluate"),
        "open_session",
        lambda *args, **options: BrightIsNan(open_session(*args, **options)),
    )
    got = evaluate(bundle, tmp_path, settings=QUICK)
    assert got.counts.not_finite == ("test/good/0.png",)
    assert got.counts.by_class["good"] == N_GOOD - 1
    assert got.parts[0].verdict is Verdict.NOT_INSPECTED
    assert got.summary.pixel.n_pictures == N_GOOD - 1 + N_SPOT


def test_a_bundle_without_calibration_is_refused(tmp_path: Path, place: Path) -> None:
    bare = read_bundle(make_bundle(tmp_path, calibrated=False))
    with pytest.raises(NotCalibratedError, match="edgeinspect calibrate"):
        evaluate(bare, place / "parts", settings=QUICK)


def test_data_without_test_pictures_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    put(tmp_path / "train/good/0.png", good_picture(0))
    with pytest.raises(DataError, match="has no test pictures"):
        evaluate(bundle, tmp_path, settings=QUICK)


def test_progress_names_each_step_and_counts(place: Path, bundle: Bundle) -> None:
    seen: list[tuple[str, int, int]] = []
    evaluate(
        bundle,
        place / "parts",
        settings=QUICK,
        on_progress=lambda what, done, total: seen.append((what, done, total)),
    )
    n_test = N_GOOD + N_SPOT + N_LINE
    assert ("test pictures", n_test, n_test) in seen
    assert ("good pictures", 0, N_TRAIN) in seen
