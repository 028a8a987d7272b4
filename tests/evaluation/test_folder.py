"""The folder of an evaluation is whole or not there, and its files say what was found."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edgeinspect.bundle import read_bundle
from edgeinspect.data.images import read_picture
from edgeinspect.errors import EdgeInspectError, OutputError
from edgeinspect.evaluation import Evaluation, EvaluationSettings, evaluate_into
from edgeinspect.evaluation.folder import METRICS, new_folder
from tests.bundles import make_bundle
from tests.evaluation.parts_folder import N_GOOD, N_LINE, N_SPOT, make_parts, put

QUICK = EvaluationSettings(runtime="onnxruntime", threads=1, n_resamples=20, n_rows_per_class=2)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    place = tmp_path_factory.mktemp("folder")
    parts, bundle = make_parts(place / "parts"), read_bundle(make_bundle(place))
    return evaluate_into(place / "out", bundle, parts, settings=QUICK), place / "out"


def test_all_files_are_there(written: tuple[Evaluation, Path]) -> None:
    _, out = written
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    charts, rows = ["roc.svg", "scores.svg"], ["rows/good.png", "rows/line.png", "rows/spot.png"]
    assert names == sorted([METRICS, "card.md", "scores.csv", *charts, *rows])


def test_metrics_json_has_the_documented_parts(written: tuple[Evaluation, Path]) -> None:
    plain = json.loads((written[1] / METRICS).read_text())
    assert {"image", "pixel", "classes", "baselines", "counts", "bundle", "warnings"} <= set(plain)
    image = {"auroc", "average_precision", "f1_max", "f1_at_threshold", "precision_at_threshold"}
    image |= {"recall_at_threshold", "false_reject_rate"}
    assert set(plain["image"]) == image | {f"{name}_ci95" for name in image}
    assert {"auroc", "aupro"} <= set(plain["pixel"])
    assert set(plain["classes"]) == {"line", "spot"}
    assert plain["baselines"]["mean_intensity"]["direction"] in "+-"
    assert plain["counts"]["judged"] == N_GOOD + N_LINE + N_SPOT


def test_warnings_have_a_kind_for_machines_and_a_sentence_for_people(
    written: tuple[Evaluation, Path],
) -> None:
    plain = json.loads((written[1] / METRICS).read_text())
    assert plain["warnings"]
    assert all(set(warning) == {"kind", "text"} for warning in plain["warnings"])
    assert "shortcut" in {warning["kind"] for warning in plain["warnings"]}


def test_scores_csv_gives_the_figures_again(written: tuple[Evaluation, Path]) -> None:
    evaluation, out = written
    with (out / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["picture"] for line in lines] == [part.name for part in evaluation.parts]
    rejected = [float(line["score"]) > float(line["threshold"]) for line in lines]
    assert rejected == [line["verdict"] == "NG" for line in lines]
    assert all(float(line["smooth_fill_equalised"]) for line in lines)


def test_charts_are_xml(written: tuple[Evaluation, Path]) -> None:
    for name in ("roc.svg", "scores.svg"):
        assert ElementTree.parse(written[1] / name).getroot().tag.endswith("svg")


def test_a_sheet_has_five_columns_and_a_row_for_each_part(written: tuple[Evaluation, Path]) -> None:
    sheet = read_picture(written[1] / "rows/spot.png")
    assert sheet.shape == (30 + 2 * (22 + 200), 8 + 5 * (200 + 8), 3)
    truth = sheet[52:252, 840:1040, 0]
    assert np.argwhere(truth > 128).mean(axis=0) == pytest.approx([112, 137], abs=2)


def test_a_mask_that_cannot_be_used_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts, bundle = make_parts(tmp_path / "parts"), read_bundle(make_bundle(tmp_path))
    put(parts / "ground_truth/line/0_mask.png", np.zeros((10, 10), np.uint8))
    evaluate_into(tmp_path / "out", bundle, parts, settings=QUICK)
    assert caplog.text.count("0_mask.png is 10 x 10 px") == 1


def test_an_older_evaluation_stays_without_force_and_goes_with_it(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out", force=False) as folder:
        (folder / METRICS).write_text("old")
    with (
        pytest.raises(OutputError, match="add --force"),
        new_folder(tmp_path / "out", force=False),
    ):
        raise AssertionError("must not get here")
    with new_folder(tmp_path / "out", force=True) as folder:
        (folder / METRICS).write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / METRICS).read_text() == "new"


def test_a_folder_that_is_not_an_evaluation_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with (
        pytest.raises(OutputError, match="is not an evaluation"),
        new_folder(tmp_path / "out", force=True),
    ):
        raise AssertionError("must not get here")


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out", force=False) as folder:
        (folder / METRICS).write_text("{}")
    assert (tmp_path / "out" / METRICS).exists()


def test_after_an_error_nothing_is_left_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / METRICS).write_text("old")

    def write_half() -> None:
        with new_folder(tmp_path / "out", force=True) as folder:
            (folder / METRICS).write_text("half")
            raise EdgeInspectError("half way")

    with pytest.raises(EdgeInspectError, match="half way"):
        write_half()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / METRICS).read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission"), new_folder(tmp_path / "out", force=False):
        raise AssertionError("must not get here")


def test_a_file_in_the_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot write"),
        new_folder(tmp_path / "file/out", force=False),
    ):
        raise AssertionError("must not get here")


def test_a_picture_whose_name_is_no_utf8_is_evaluated_like_any_other(tmp_path: Path) -> None:
    parts, bundle = make_parts(tmp_path / "parts"), read_bundle(make_bundle(tmp_path))
    name = os.fsdecode(b"part_\xff.png")
    first = min((parts / "test" / "spot").iterdir())
    first.rename(first.with_name(name))
    evaluate_into(tmp_path / "out", bundle, parts, settings=QUICK)
    assert r"test/spot/part_\udcff.png" in (tmp_path / "out" / "scores.csv").read_text("utf-8")
