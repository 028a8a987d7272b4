"""`fit`: how pictures are divided, what is promised, and that nothing half-made stays."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeinspect.bundle import bundle_lock, read_bundle
from edgeinspect.calibration.training_pictures import untrained_pictures
from edgeinspect.cli.main import build_app
from edgeinspect.config import ResizeRule
from edgeinspect.data.images import read_picture, save_picture
from edgeinspect.data.synthetic.pasting import paste_defect
from edgeinspect.digests import file_sha256
from edgeinspect.errors import (
    BundleError,
    CalibrationError,
    ConfigError,
    DataError,
    OutputError,
    TrainingError,
)
from edgeinspect.fitting import (
    SEVERITIES,
    DetectionTrial,
    Fit,
    Split,
    fit,
    split_good,
    try_detection,
)
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import open_inspector
from edgeinspect.training.planning import Duration
from tests.backbones import FEATURES
from tests.bundles import good_picture, make_bundle
from tests.data.picture_files import write
from tests.training.settings import SMALL, small_config, write_good

N_GOOD = 44
LOSSES = {"adversarial": "0", "latent": "0"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("data") / "good", n=N_GOOD)


@pytest.fixture(scope="module")
def fitted(good: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A bundle made by the command, and what the command printed as JSON."""
    bundle = tmp_path_factory.mktemp("fitted") / "part.bundle"
    settings = [w for k, v in {**SMALL, **LOSSES}.items() for w in ("--set", f"{k}={v}")]
    words = ["fit", str(good), str(bundle), "--preset", "nano", "--steps", "4", *settings]
    done = CliRunner().invoke(build_app("fit"), [*words, "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    return bundle, json.loads(done.stdout)


@pytest.fixture(scope="module", params=["features", "both"])
def fitted_features(
    request: pytest.FixtureRequest, good: Path, backbone_file: Path, tmp_path_factory
) -> Path:
    """The same with features of the tiny backbone as the target."""
    bundle: Path = tmp_path_factory.mktemp(request.param) / "part.bundle"
    settings = [
        w for k, v in {**SMALL, **LOSSES, **FEATURES}.items() for w in ("--set", f"{k}={v}")
    ]
    words = ["fit", str(good), str(bundle), "--preset", "nano", "--steps", "4", *settings]
    words += ["--target", request.param, "--backbone-weights", str(backbone_file)]
    done = CliRunner().invoke(build_app("fit"), [*words, "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    return bundle


def test_targets_with_features_are_calibrated_by_all_their_measures(fitted_features):
    bundle = read_bundle(fitted_features)
    target = bundle.config.generator.target
    assert target.value == fitted_features.parent.name.rstrip("0123456789")
    assert bundle.calibration is not None
    of_pixels = ("l1", "ssim", "msgms") if target.has_pixels else ()
    assert bundle.calibration.measures == (*of_pixels, "features", "whole")


def test_a_bundle_of_features_judges(good, fitted_features):
    with open_inspector(fitted_features) as inspector:
        inspections = [inspector(read_picture(path)) for path in sorted(good.iterdir())[:6]]
    assert all(np.isfinite(inspection.score) for inspection in inspections)
    assert sum(inspection.verdict is Verdict.OK for inspection in inspections) > 3


def test_a_bundle_of_features_tells_where_its_backbone_came_from(fitted_features, backbone_file):
    told = read_bundle(fitted_features).manifest.provenance["backbone_weights"]
    assert told == {"file": backbone_file.name, "sha256": file_sha256(backbone_file)}


def test_every_picture_has_exactly_one_use(good):
    split = split_good(sorted(good.iterdir()), 0.1)
    together = split.training + split.selection + split.calibration
    assert sorted(together) == sorted(good.iterdir())
    assert len(split.calibration) == round(0.3 * N_GOOD)


def test_the_pictures_that_select_never_train(good, fitted):
    path, _ = fitted
    split = split_good(sorted(good.iterdir()), float(SMALL["holdout"]))
    told = read_bundle(path).manifest.provenance
    assert set(told["training_pictures"].values()) == {p.name for p in split.training}
    assert set(told["holdout_pictures"].values()) == {p.name for p in split.selection}


def test_a_copy_of_a_picture_is_left_out_before_the_pictures_are_divided(tmp_path, caplog):
    paths = sorted(write_good(tmp_path / "good", n=N_GOOD).iterdir())
    copy = tmp_path / "good" / "zz_copy.png"
    shutil.copy(paths[0], copy)
    split = split_good([*paths, copy], 0.1)
    assert sorted(split.training + split.selection + split.calibration) == paths
    assert f"1 of the pictures are copies of others and left out ({copy} is one)" in caplog.text


def test_defects_are_not_pasted_onto_pictures_that_are_ng_without_them(tmp_path, good):
    class Judge:
        bundle = read_bundle(make_bundle(tmp_path, size=64))
        white_level_16bit = 65535

        def __call__(self, picture):
            return SimpleNamespace(verdict=Verdict.NG)

    assert try_detection(Judge(), sorted(good.iterdir())[:4], seed=0) == ()


def test_neighbours_are_used_together(good):
    paths = sorted(good.iterdir())
    calibration = {paths.index(p) for p in split_good(paths, 0.1).calibration}
    lonely = [i for i in calibration if not {i - 1, i + 1} & calibration]
    assert lonely == []


def test_too_few_pictures_to_divide_are_refused(tmp_path):
    paths = sorted(write_good(tmp_path / "good", n=12).iterdir())
    with pytest.raises(DataError, match=r"12 good pictures can be read.*at least 40"):
        split_good(paths, 0.1)


def test_the_command_leaves_a_calibrated_bundle_and_says_what_to_expect(fitted):
    path, printed = fitted
    bundle = read_bundle(path)
    assert bundle.calibration is not None
    assert printed["threshold"] == pytest.approx(bundle.calibration.threshold.value)
    assert printed["n_calibration"] == bundle.calibration.threshold.n_good
    assert len(printed["synthetic_defects"]) == len(SEVERITIES)
    assert path.with_suffix(".run").is_dir()


def test_the_card_tells_pictures_training_and_calibration(good, fitted):
    card = (fitted[0] / "card.md").read_text()
    split = split_good(sorted(good.iterdir()), 0.34)
    assert f"| trained the generator | {len(split.training)} | `" in card
    assert f"| calibrated constants and threshold | {len(split.calibration)} | `" in card
    assert "| hardware | " in card
    assert "| steps | " in card
    assert "| false rejects asked | " in card
    assert str(good.parent) not in card


def test_good_pictures_of_two_exposures_are_warned_of_before_training(tmp_path, caplog):
    paths = sorted(write_good(tmp_path / "good", n=N_GOOD).iterdir())
    for path in paths[: N_GOOD // 2]:
        save_picture(path, read_picture(path) // 4)
    nowhere = tmp_path / "part.bundle"
    with pytest.raises(ConfigError, match="cannot be used"):
        fit(
            tmp_path / "good", nowhere, tmp_path / "run", small_config(**LOSSES),
            Duration(steps=1), device="abacus",
        )  # fmt: skip
    assert "44 good pictures fall into two groups by" in caplog.text


def test_the_rate_is_the_least_that_the_pictures_support(fitted):
    _, printed = fitted
    assert printed["false_reject_rate"] == pytest.approx(1 / (printed["n_calibration"] + 1))


def test_pictures_that_calibrated_did_not_train(good, fitted):
    provenance = read_bundle(fitted[0]).manifest.provenance
    calibration = split_good(sorted(good.iterdir()), 0.34).calibration
    assert list(untrained_pictures(calibration, provenance)) == calibration


def test_a_rate_beyond_the_pictures_leaves_no_bundle(good, tmp_path):
    bundle = tmp_path / "part.bundle"
    with pytest.raises(CalibrationError, match="cannot support a false-reject rate"):
        fit(
            good, bundle, tmp_path / "run", small_config(**LOSSES), Duration(steps=1),
            false_reject_rate=0.001, device="cpu",
        )  # fmt: skip
    assert not bundle.exists()
    assert not (tmp_path / "run").exists()


def test_a_run_that_an_earlier_fit_left_is_kept_and_how_to_go_on_is_said(good, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    with pytest.raises(OutputError, match="start anew with --force, or go on with: edgeinspect"):
        fit(good, tmp_path / "b", run, small_config(), Duration(steps=1), device="cpu")


def test_a_rate_of_zero_is_refused_like_any_other(good, tmp_path):
    with pytest.raises(CalibrationError, match="the false-reject rate is 0"):
        fit(
            good, tmp_path / "part.bundle", tmp_path / "run", small_config(**LOSSES),
            Duration(steps=1), false_reject_rate=0.0, device="cpu",
        )  # fmt: skip


def test_a_bundle_that_stood_there_survives_a_failure(good, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise CalibrationError("no")

    monkeypatch.setattr("edgeinspect.fitting.calibrate", refuse)
    bundle = make_bundle(tmp_path, size=64)
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(CalibrationError, match="no"):
        fit(
            good, bundle, tmp_path / "run", small_config(**LOSSES), Duration(steps=1),
            device="cpu", force=True,
        )  # fmt: skip
    assert (bundle / "manifest.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [bundle.name, "run"]


def test_a_bundle_that_someone_else_changes_is_not_replaced(good, tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path, size=64)

    def copy_instead(_: Path, draft: Path, **__: object) -> None:
        shutil.copytree(bundle, draft)

    monkeypatch.setattr("edgeinspect.fitting.export_run", copy_instead)
    for step in ("train", "calibrate"):
        made = SimpleNamespace(seconds=1.0)
        monkeypatch.setattr(f"edgeinspect.fitting.{step}", lambda *_, made=made, **__: made)
    at_once = functools.partial(bundle_lock, timeout_s=0)
    monkeypatch.setattr("edgeinspect.bundle.writing.bundle_lock", at_once)
    with bundle_lock(bundle), pytest.raises(BundleError, match="is being changed by another"):
        fit(
            good, bundle, tmp_path / "run", small_config(**LOSSES), Duration(steps=1),
            device="cpu", force=True,
        )  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == [bundle.name]


def test_stronger_synthetic_defects_are_not_found_less_often(good, fitted):
    with open_inspector(fitted[0]) as inspector:
        trials = try_detection(inspector, sorted(good.iterdir())[:4], seed=0)
    assert [trial.severity for trial in trials] == list(SEVERITIES)
    assert trials[-1].n_found >= trials[0].n_found


@pytest.mark.parametrize(
    ("found", "faintest"),
    [((0, 5, 16), 2), ((0, 16, 16), 1), ((16, 5, 16), 2), ((0, 0, 5), None)],
)
def test_the_faintest_found_has_only_found_ones_above_it(found, faintest):
    trials = tuple(
        DetectionTrial(severity=i, contrast=i, area_px=9, n_pasted=16, n_found=n)
        for i, n in enumerate(found)
    )
    nothing = Split(training=[], selection=[], calibration=[])
    result = Fit(split=nothing, training=None, calibration=None, trials=trials)  # type: ignore[arg-type]
    got = result.faintest_found
    assert (None if got is None else got.severity) == faintest


def test_defects_are_pasted_onto_pictures_as_the_bundle_reads_them(tmp_path, monkeypatch):
    """12-bit pictures, of a bundle that knows their white, are not pasted onto as black ones."""
    pixels = good_picture(0)[..., 0].astype(np.uint16) * 16
    path = write(tmp_path / "a.png", pixels)
    bundle = make_bundle(tmp_path, size=64, white_level_16bit=4095)
    shown = []
    with open_inspector(bundle) as inspector:
        monkeypatch.setattr(
            "edgeinspect.fitting.paste_defect",
            lambda picture, rng, severity: (
                shown.append(picture) or paste_defect(picture, rng, severity=severity)
            ),
        )
        try_detection(inspector, [path], seed=0)
    assert shown
    for picture in shown:
        assert picture.mean() == pytest.approx(pixels.mean() / 4095 * 255, abs=1)


@pytest.mark.parametrize(
    ("words", "resize"),
    [([], None), (["--tile"], ResizeRule.TILE), (["--no-tile"], ResizeRule.SQUASH)],
)
def test_how_pictures_become_images_can_be_said(good, tmp_path, monkeypatch, words, resize):
    asked = []

    def train(*_: object, **options: object) -> None:
        asked.append(options["resize"])
        raise TrainingError("enough")

    monkeypatch.setattr("edgeinspect.fitting.train", train)
    CliRunner().invoke(build_app("fit"), ["fit", str(good), str(tmp_path / "b"), *words])
    assert asked == [resize]


@pytest.mark.parametrize("run", ["part", "part/run"])
def test_a_run_that_the_bundle_would_replace_is_refused(good, tmp_path, run):
    with pytest.raises(OutputError, match="would take the place of its training run"):
        fit(
            good, tmp_path / "part", tmp_path / run, small_config(**LOSSES), Duration(steps=1),
            device="cpu",
        )  # fmt: skip
    assert not (tmp_path / "part").exists()


def test_a_fit_without_pictures_that_select_is_refused(good, tmp_path):
    with pytest.raises(ConfigError, match="with holdout=0 no picture selects the checkpoint"):
        fit(
            good, tmp_path / "part.bundle", tmp_path / "run",
            small_config(**{**LOSSES, "holdout": "0"}), Duration(steps=1), device="cpu",
        )  # fmt: skip
