"""Which parts are shown, and that a sheet shows them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.bundle import read_bundle
from edgeinspect.config import Equalisation
from edgeinspect.data.images import save_picture
from edgeinspect.data.layout import LabelledPicture
from edgeinspect.evaluation import rows
from edgeinspect.evaluation.results import PartResult
from edgeinspect.evaluation.rows import RowPictures, choose_parts, draw_sheet
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import open_maps, open_session
from tests.bundles import good_picture, make_bundle

WHITE = 255


def part(score: float, *, label: str = "pit", name: str = "test/pit/0.png") -> PartResult:
    return PartResult(
        name=name,
        label=label,
        is_defect=label != "good",
        verdict=Verdict.NG,
        score=score,
        local_score=score,
        global_score=score,
        scale=1,
        equalised_score=score,
        baselines={},
        equalised_baselines={},
    )


def row(shape: tuple[int, int], *, masked: bool = True, name: str = "a.png") -> RowPictures:
    return RowPictures(
        part=part(1.0, name=name),
        picture=np.full((*shape, 3), 90, np.uint8),
        reconstruction=np.full((*shape, 3), 120, np.uint8),
        residual=np.full(shape, 0.25, np.float32),
        anomaly_map=np.zeros(shape, np.float32),
        map_level=3.0,
        mask=np.ones(shape, bool) if masked else None,
    )


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=12, unique=True), st.integers(1, 6))
def test_parts_run_from_the_highest_score_to_the_lowest(scores: list[float], n: int) -> None:
    chosen = [p.score for p in choose_parts([part(s) for s in scores], n)]
    assert chosen == sorted(chosen, reverse=True)
    assert len(chosen) == min(n, len(scores))
    assert chosen[0] == max(scores)
    assert n == 1 or chosen[-1] == min(scores)


def test_parts_without_a_score_are_not_shown() -> None:
    parts = [part(float("nan")), part(1.0), part(2.0, label="good")]
    assert [p.score for p in choose_parts(parts, 5)] == [1.0, 2.0]


def test_a_row_shows_the_picture_that_was_reconstructed(tmp_path: Path) -> None:
    """Equalised: else the residual is the difference of exposure."""
    save_picture(tmp_path / "dark.png", good_picture(0) // 4)
    bundle = read_bundle(make_bundle(tmp_path))
    preprocess = dataclasses.replace(bundle.config.preprocess, equalise=Equalisation.SPREAD)
    config = dataclasses.replace(bundle.config, preprocess=preprocess)
    bundle = dataclasses.replace(bundle, config=config)
    labelled = LabelledPicture(path=tmp_path / "dark.png", label="good")
    session = open_session(bundle, threads=1)
    with Inspector(bundle, session) as inspector, open_maps(bundle, threads=1) as maps:
        shown = rows._row_of(part(1.0, label="good"), labelled, inspector, maps)
    assert shown.picture.mean() == pytest.approx(127.5, abs=3)
    difference = np.abs(shown.picture / 255 - shown.reconstruction / 255).mean(axis=-1)
    assert np.allclose(shown.residual, difference, atol=2 / 255)


def test_the_five_cells_stand_side_by_side() -> None:
    sheet = draw_sheet([row((64, 64))], title="pit", top_residual=0.5)
    cells = [sheet[150, 8 + column * 208 + 100, 0] for column in range(5)]
    assert cells[:3] == [90, 120, 128]
    assert cells[4] == WHITE


def test_a_missing_mask_is_grey_rather_than_black() -> None:
    sheet = draw_sheet([row((64, 64), masked=False)], title="pit", top_residual=0.5)
    assert sheet[150, 8 + 4 * 208 + 100].tolist() == [235, 235, 235]


@pytest.mark.parametrize("shape", [(64, 600), (600, 64), (64, 64), (1, 64)])
def test_parts_of_any_shape_fit_a_sheet(shape: tuple[int, int]) -> None:
    sheet = draw_sheet([row(shape), row((64, 64))], title="pit", top_residual=0.5)
    assert max(sheet.shape) < 5 * (360 + 8) + 100
    assert sheet.dtype == np.uint8


def test_a_long_or_foreign_name_does_not_stop_a_sheet() -> None:
    draw_sheet([row((64, 64), name="傷/" + "x" * 400)], title="ß" * 90, top_residual=0.5)


def test_a_low_row_takes_no_more_room_than_it_needs() -> None:
    tall, low = row((64, 16)), row((16, 64))
    alone = [draw_sheet([one], title="", top_residual=0.5).shape[0] for one in (tall, low)]
    both = draw_sheet([tall, low], title="", top_residual=0.5).shape[0]
    assert alone[0] > alone[1]
    assert both == sum(alone) - 30  # one header
