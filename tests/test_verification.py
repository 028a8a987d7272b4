"""`verify`: what it compares with what, which budgets it holds, and what it says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.cli.main import build_app, main
from edgeinspect.config import Precision, Rule
from edgeinspect.data.images import save_picture
from edgeinspect.errors import BundleError, ConfigError, DataError
from edgeinspect.runtime.session import open_session
from edgeinspect.verification import PictureParity, Verification, verify_bundle
from tests.bundles import bad_picture, good_picture, make_bundle
from tests.evaluation.parts_folder import make_parts
from tests.planted_faults import Edit, plant, swap_colours

N_PARTS = 13


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    make_bundle(folder, has_golden=True)
    make_parts(folder / "parts", train=False)
    return folder


@pytest.fixture
def bundle(made: Path) -> Bundle:
    return read_bundle(made / "part.bundle")


def faulty(made: Path, tmp_path: Path, edit: Edit) -> Bundle:
    path = Path(shutil.copytree(made / "part.bundle", tmp_path / "part.bundle"))
    plant(path, "graph_fp16.onnx", edit)
    return read_bundle(path)


def scale_errors(by: float) -> Edit:
    """All error maps are larger by a factor."""

    def edit(model: Any) -> None:
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.shape == () and array == np.float32(1 / 255):
                tensor.CopyFrom(numpy_helper.from_array(np.float32(by / 255), tensor.name))

    return edit


def verify(bundle: Bundle, precision: Precision, images: Path | None = None) -> Verification:
    return verify_bundle(
        bundle, runtime="onnxruntime", precision=precision, threads=1, images=images, batch=3
    )


def pictures_of(verification: Verification) -> PictureParity:
    assert verification.pictures is not None
    return verification.pictures


def test_the_reference_is_held_to_pytorch_as_well(bundle: Bundle) -> None:
    found = verify(bundle, Precision.FP16)
    assert found.is_within
    assert found.golden.n_images == 3
    assert found.reference is not None
    assert found.reference.score_error <= 1e-4


def test_the_reference_is_not_compared_with_itself(bundle: Bundle, made: Path) -> None:
    assert verify(bundle, Precision.FP32).reference is None
    with pytest.raises(ConfigError, match="what pictures are compared with; add --precision fp16"):
        verify(bundle, Precision.FP32, made / "parts")


def test_labelled_pictures_give_verdicts_and_auroc(bundle: Bundle, made: Path) -> None:
    pictures = pictures_of(verify(bundle, Precision.FP16, made / "parts"))
    assert (pictures.n_pictures, pictures.parity.n_images) == (N_PARTS, N_PARTS)
    assert pictures.flips == ()
    assert pictures.auroc is not None
    assert pictures.auroc[0] == pictures.auroc[1] > 0.9
    assert pictures.problems == ()


@pytest.mark.parametrize("rule", list(Rule))
def test_pictures_are_compared_under_each_rule(rule: Rule, made: Path, tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path, has_golden=True, rule=rule))
    pictures = pictures_of(verify(bundle, Precision.FP16, made / "parts"))
    assert (pictures.parity.n_images, pictures.problems) == (N_PARTS, ())


def test_pictures_without_labels_are_compared_without_auroc(bundle: Bundle, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", good_picture(5))
    save_picture(tmp_path / "b.png", bad_picture(6))
    pictures = pictures_of(verify(bundle, Precision.FP16, tmp_path))
    assert (pictures.n_pictures, pictures.auroc) == (2, None)


def test_a_verdict_that_flips_names_the_part(made: Path, tmp_path: Path) -> None:
    """Errors of a tenth leave defects below the threshold."""
    bundle = faulty(made, tmp_path, scale_errors(0.1))
    pictures = pictures_of(verify(bundle, Precision.FP16, made / "parts"))
    assert pictures.flips is not None
    assert "spot/0.png" in pictures.flips
    assert any("verdicts flip (" in problem for problem in pictures.problems)


def test_a_verdict_within_the_band_of_the_budget_may_flip(made: Path, tmp_path: Path) -> None:
    """The threshold is where a part's score is, and errors are a little larger."""
    bundle = faulty(made, tmp_path, scale_errors(1.0001))
    calibration = bundle.require_calibration()
    with open_session(bundle, threads=1) as session:
        image = bad_picture(200)[None]
        score = float(session.infer(image, np.zeros(1, np.int32)).score[0])
    threshold = dataclasses.replace(calibration.threshold, value=score)
    calibration = dataclasses.replace(calibration, threshold=threshold)
    bundle = dataclasses.replace(bundle, calibration=calibration)
    pictures = pictures_of(verify(bundle, Precision.FP16, made / "parts"))
    assert pictures.parity.score_error > 0
    assert pictures.flips == ()


def test_a_change_of_auroc_is_a_problem(bundle: Bundle, made: Path) -> None:
    pictures = pictures_of(verify(bundle, Precision.FP16, made / "parts"))
    changed = PictureParity(
        n_pictures=pictures.n_pictures,
        parity=pictures.parity,
        flips=(),
        auroc=(0.95, 0.94),
        skipped=(),
    )
    assert changed.problems == ("AUROC changes by 0.0100 of 0.002",)


def test_before_calibration_there_are_no_verdicts(tmp_path: Path, made: Path) -> None:
    path = make_bundle(tmp_path, calibrated=False, has_golden=True)
    pictures = pictures_of(verify(read_bundle(path), Precision.FP16, made / "parts"))
    assert pictures.flips is None
    assert pictures.auroc is not None


def test_a_picture_that_cannot_be_read_is_skipped_and_told(bundle: Bundle, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", good_picture(5))
    (tmp_path / "b.png").write_bytes(b"no picture")
    pictures = pictures_of(verify(bundle, Precision.FP16, tmp_path))
    assert (pictures.n_pictures, len(pictures.skipped)) == (1, 1)
    assert "b.png" in pictures.skipped[0]


def test_a_folder_without_pictures_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        verify(bundle, Precision.FP16, tmp_path)


def test_a_bundle_without_golden_outputs_says_so(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path))
    with pytest.raises(BundleError, match=r"holds no golden\.npz"):
        verify(bundle, Precision.FP32)


def run(*words: object) -> Result:
    return CliRunner().invoke(build_app("verify"), ["verify", *map(str, words)])


def test_the_command_shows_a_row_for_each_comparison(made: Path) -> None:
    words = ("--precision", "fp16", "--threads", 1, "--images", made / "parts")
    result = run(made / "part.bundle", *words)
    assert result.exit_code == 0
    assert "golden images, against PyTorch" in result.stdout
    assert "reference, against PyTorch" in result.stdout
    assert "verdict flips: 0" in result.stdout
    assert "AUROC: 0.9" in result.stdout or "AUROC: 1.0" in result.stdout


def test_json_has_the_figures_and_the_problems(made: Path) -> None:
    result = run(made / "part.bundle", "--threads", 1, "--json")
    plain = json.loads(result.stdout)
    assert (plain["runtime"], plain["precision"], plain["is_within"]) == (
        "onnxruntime",
        "fp32",
        True,
    )
    assert plain["golden"]["n_images"] == 3


def test_beyond_the_budget_the_command_fails_in_one_line_that_names_the_images(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = faulty(made, tmp_path, swap_colours)
    with pytest.raises(SystemExit) as left:
        main(["verify", str(bundle.path), "--precision", "fp16", "--threads", "1"])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "does not compute what was trained: golden images:" in err
    assert "(noise)" in err


def test_a_runtime_that_answers_no_numbers_fails_with_json_as_well(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = faulty(made, tmp_path, scale_errors(float("nan")))
    with pytest.raises(SystemExit) as left:
        main(["verify", str(bundle.path), "--precision", "fp16", "--threads", "1", "--json"])
    assert left.value.code == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["golden"]["score_error"] is None
    assert "scores differ by inf of 0.01 (good.png, bad.png, noise)" in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "fp8"], "precision is 'fp8'; use fp32, fp16 or int8"),
        (["--precision", "int8"], "has no INT8 graph; run: edgeinspect calibrate"),
        (["--runtime", "gpu"], "there is no runtime 'gpu'"),
        (["--runtime", "tensorrt"], "needs the package tensorrt"),
    ],
)
def test_bad_input_is_one_line(
    made: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["verify", str(made / "part.bundle"), *words])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
