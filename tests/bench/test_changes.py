"""What a plan refuses before it exports anything anew."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgeinspect.bench import changes
from edgeinspect.bench.changes import list_changes, make_changed
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import PRESETS, Target, preset
from edgeinspect.data.images import save_picture
from edgeinspect.digests import file_sha256
from edgeinspect.errors import CalibrationError
from edgeinspect.progress import no_progress
from tests.bundles import good_picture, make_bundle

N_GOOD = 12


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(make_bundle(tmp_path / "bundle"))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    for i in range(N_GOOD):
        save_picture(folder / f"{i:02}.png", good_picture(i))
    return folder


@pytest.mark.parametrize(
    ("n_trained", "words"),
    [
        (N_GOOD - 2, "2 good pictures are too few"),
        (1, r"11 good pictures cannot support a false-reject rate of 0\.05"),
    ],
)
def test_pictures_too_few_to_calibrate_with_are_refused_before_an_export(
    bundle: Bundle, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    n_trained: int, words: str,
) -> None:  # fmt: skip
    trained = {file_sha256(path): path.name for path in sorted(good.iterdir())[:n_trained]}
    run = (None, bundle.config, {"training_pictures": trained})
    monkeypatch.setattr(changes, "load_generator", lambda folder: run)
    with pytest.raises(CalibrationError, match=words):
        make_changed(bundle, tmp_path / "run", good, tmp_path, merge=(4,), on_progress=no_progress)
    assert not list(tmp_path.glob("change-*"))


def test_each_change_is_made_alone_and_is_one(bundle: Bundle) -> None:
    changes, refused = list_changes(bundle.config, merge=(2,))
    found = {change.name: change.config for change in changes}
    assert found["scales 1,2"].generator.mask_scales == (1, 2)
    assert found["scales 1,2"].preprocess == bundle.config.preprocess
    assert bundle.config not in found.values()
    assert not refused


def test_merging_that_the_settings_refuse_is_named_with_the_reason(bundle: Bundle) -> None:
    changes, refused = list_changes(bundle.config, merge=(1000,))
    assert "merging 1000" not in {change.name for change in changes}
    assert [name for name, _ in refused] == ["merging 1000"]
    assert "can merge at most" in refused[0][1]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("target", list(Target))
def test_usual_merging_suits_every_preset(name: str, target: Target) -> None:
    config = preset(name, target)
    changes, refused = list_changes(config, merge=None)
    assert f"merging {config.generator.n_tokens_encoded // 8}" in {one.name for one in changes}
    assert not refused


def test_a_change_is_named_before_what_is_said_of_it(
    bundle: Bundle, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Weights:
        def eval(self) -> Weights:
            return self

        state_dict = load_state_dict = lambda self, *_: None

    def warn(path: Path, *_: object, **__: object) -> None:
        logging.getLogger("edgeinspect").warning("doubt of %s", path.name)
        raise CalibrationError("not today")

    monkeypatch.setattr(changes, "load_generator", lambda _: (Weights(), bundle.config, {}))
    monkeypatch.setattr(changes, "Generator", lambda _: Weights())
    monkeypatch.setattr(changes, "write_bundle", lambda *_, **__: None)
    monkeypatch.setattr(changes, "check_count", lambda *_: None)
    monkeypatch.setattr(changes, "calibrate", warn)
    caplog.set_level(logging.INFO, "edgeinspect")
    _, failed = make_changed(bundle, tmp_path, good, tmp_path, merge=(), on_progress=no_progress)
    told = [line for line in caplog.messages if "doubt" in line or "exporting" in line]
    assert told[::2] == [f"{name}: exporting and calibrating" for name, _ in failed]
    assert told[1] == "doubt of change-0.bundle"
