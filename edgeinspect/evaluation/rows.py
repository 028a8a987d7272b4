"""Picture rows as in the paper's Fig. 10: defect, reconstruction, residual, heat map, truth.

After the scores are known: a handful of pictures of each class, from its highest score to its
lowest, run once more through both graphs. Everything is shown as the model saw it, the
reconstruction at the mask scale that the verdict came from. Residuals have one grey scale for all
sheets of an evaluation, so that good parts and defects can be compared; heat begins earlier than in
the overlays of `run`, so that a defect that was missed shows what it left in the map.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.bundle import Bundle
from edgeinspect.data.equalise import equalise_images
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import LabelledPicture, find_test
from edgeinspect.data.splits import spread_places
from edgeinspect.data.tiling import cut_tiles, picture_from_tiles
from edgeinspect.evaluation.collecting import read_mask_at
from edgeinspect.evaluation.results import Evaluation, PartResult
from edgeinspect.evaluation.settings import EvaluationSettings
from edgeinspect.progress import OnProgress
from edgeinspect.report.overlays import blend_heat
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import MapSession, open_maps, open_session

__all__ = ["RowPictures", "choose_parts", "draw_sheet", "picture_rows"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

N_COLUMNS = 5
CELL_AREA_PX = 200 * 200
CELL_LONGEST_PX = 360
GAP_PX, HEADER_PX, CAPTION_PX = 8, 30, 22
PAPER, INK, MUTED, NG_INK = (255, 255, 255), (29, 39, 51), (101, 113, 127), (190, 60, 30)
HEAT_SHARE = 0.5  # of the map's level for NG: where heat reaches the middle of its colours
TOP_QUANTILE = 0.9995  # of the residuals shown: what becomes white


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowPictures:
    """What one row shows, all at (h, w), the size that the model saw.

    `picture`, `reconstruction` uint8 (h, w, 3); `residual` (h, w) |O - I| in [0, 1];
    `anomaly_map` (h, w) in z units, speaking for NG from `map_level` on; `mask` (h, w) bool, or
    None where none was drawn.
    """

    part: PartResult
    picture: Picture
    reconstruction: Picture
    residual: Floats
    anomaly_map: Floats
    map_level: float
    mask: NDArray[np.bool_] | None


def picture_rows(
    bundle: Bundle,
    data: Path,
    evaluation: Evaluation,
    settings: EvaluationSettings,
    on_progress: OnProgress,
) -> dict[str, Picture]:
    """One contact sheet (H, W, 3) a class, by its name; `evaluation` is of the same data."""
    chosen = choose_parts(evaluation.parts, settings.n_rows_per_class)
    found = {p.path.relative_to(data).as_posix(): p for p in find_test(data)}
    unmasked = set(evaluation.counts.masks_missing)  # told before
    by_name = {n: replace(p, mask_path=None) if n in unmasked else p for n, p in found.items()}
    session = open_session(
        bundle, runtime=settings.runtime, batch=settings.batch, threads=settings.threads
    )
    with (
        Inspector(bundle, session, batch=settings.batch) as inspector,
        open_maps(bundle, threads=settings.threads) as maps,
    ):
        rows = []
        for part in chosen:
            rows.append(_row_of(part, by_name[part.name], inspector, maps))
            on_progress("picture rows", len(rows), len(chosen))
    top_residual = _top([row.residual for row in rows])
    has_pixels = bundle.config.generator.target.has_pixels
    shown = "reconstruction" if has_pixels else "smooth fill"  # features cannot be looked at
    return {
        label: draw_sheet(list(group), title=label, shown=shown, top_residual=top_residual)
        for label, group in itertools.groupby(rows, key=lambda row: row.part.label)
    }


def choose_parts(parts: Sequence[PartResult], n_per_class: int) -> list[PartResult]:
    """At most `n_per_class` judged parts a class, evenly from the highest score to the lowest."""
    chosen: list[PartResult] = []
    for label in dict.fromkeys(part.label for part in parts):
        members = [p for p in parts if p.label == label and np.isfinite(p.score)]
        members.sort(key=lambda part: -part.score)
        chosen += [members[place] for place in spread_places(len(members), n_per_class)]
    return chosen


def _row_of(
    part: PartResult, labelled: LabelledPicture, inspector: Inspector, maps: MapSession
) -> RowPictures:
    preprocess = inspector.bundle.config.preprocess
    picture = read_picture(labelled.path, white_level_16bit=preprocess.white_level_16bit)
    grid = inspector.plan(picture)
    inspection = inspector(picture)
    anomaly_map, level = inspection.anomaly_map, inspection.map_level
    assert anomaly_map is not None, f"{part.name} was judged before"
    assert level is not None, f"{part.name} was judged before"
    tiles = cut_tiles(picture, grid)
    fused = list(_reconstruct(maps, tiles, part.scale, inspector.batch))
    reconstruction = picture_from_tiles(np.concatenate(fused), grid)
    seen = picture_from_tiles(equalise_images(tiles, preprocess.equalise), grid)
    residual = np.abs(reconstruction - seen).mean(axis=-1)
    return RowPictures(
        part=part,
        picture=_to_8_bits(seen),
        reconstruction=_to_8_bits(reconstruction),
        residual=residual.astype(np.float32),
        anomaly_map=anomaly_map,
        map_level=level,
        mask=read_mask_at(labelled, grid),
    )


def _to_8_bits(picture: Floats) -> Picture:
    return np.asarray(np.rint(picture.clip(0, 1) * 255), np.uint8)


def _reconstruct(maps: MapSession, tiles: Picture, scale: int, batch: int) -> Iterator[Floats]:
    """(n, H, W, 3) of one mask scale, a batch at a time."""
    for start in range(0, len(tiles), batch):
        yield maps.reconstruct(tiles[start : start + batch])[1][:, scale]


def _top(maps: Sequence[Floats]) -> float:
    """The residual that is drawn white: nearly the largest of all."""
    highest = max((float(np.quantile(one, TOP_QUANTILE)) for one in maps), default=1.0)
    return max(highest, 1e-6)


def draw_sheet(
    rows: Sequence[RowPictures],
    *,
    title: str,
    top_residual: float,
    shown: str = "reconstruction",
) -> Picture:
    """A sheet (H, W, 3): a header, then a caption and a row of five cells for each part.

    `shown` names what is beside the picture. The residual runs from black (0) to white
    (`top_residual`); a grey cell says that no ground truth was drawn.
    """
    cells = [_cells_of(row, top_residual) for row in rows]
    width = max(cell.shape[1] for row in cells for cell in row)
    sheet_width = GAP_PX + N_COLUMNS * (width + GAP_PX)
    bands = [_header(sheet_width, width, title, shown, top_residual)]
    for row, pictures in zip(rows, cells, strict=True):
        bands += [_caption(sheet_width, row.part), _band(sheet_width, width, pictures)]
    return np.concatenate(bands)


def _cells_of(row: RowPictures, top_residual: float) -> list[Picture]:
    grey = np.rint(np.clip(row.residual / top_residual, 0, 1) * 255).astype(np.uint8)
    if row.mask is None:
        truth = np.full((*row.residual.shape, 3), 235, np.uint8)
    else:
        truth = np.repeat(row.mask[..., None] * np.uint8(255), 3, axis=-1)
    heat = blend_heat(row.picture, row.anomaly_map, level=HEAT_SHARE * row.map_level)
    residual = np.repeat(grey[..., None], 3, axis=-1)
    return [_to_cell(c) for c in (row.picture, row.reconstruction, residual, heat, truth)]


def _to_cell(picture: Picture) -> Picture:
    """Any picture at about the same area, so that long parts stay legible."""
    height, width = picture.shape[:2]
    factor = min((CELL_AREA_PX / (height * width)) ** 0.5, CELL_LONGEST_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def _band(sheet_width: int, width: int, cells: Sequence[Picture]) -> Picture:
    band = _paper(max(cell.shape[0] for cell in cells), sheet_width)
    for column, cell in enumerate(cells):
        left = GAP_PX + column * (width + GAP_PX) + (width - cell.shape[1]) // 2
        band[: cell.shape[0], left : left + cell.shape[1]] = cell
    return band


def _header(sheet_width: int, width: int, title: str, shown: str, top_residual: float) -> Picture:
    band = _paper(HEADER_PX, sheet_width)
    residual = f"residual, 0 to {top_residual:.2g}"
    titles = (title, shown, residual, "heat map", "ground truth")
    for column, text in enumerate(titles):
        _write(band, text, GAP_PX + column * (width + GAP_PX), HEADER_PX - 8, INK, limit=width)
    return band


def _caption(sheet_width: int, part: PartResult) -> Picture:
    band = _paper(CAPTION_PX, sheet_width)
    is_wrong = (part.verdict is Verdict.NG) != part.is_defect
    text = f"{part.verdict.value}  score {part.score:.4g}  scale {part.scale}  {part.name}"
    _write(band, text, GAP_PX, CAPTION_PX - 6, NG_INK if is_wrong else MUTED, limit=sheet_width)
    return band


def _paper(height: int, width: int) -> Picture:
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def _write(
    band: Picture, text: str, left: int, base: int, colour: tuple[int, int, int], *, limit: int
) -> None:
    """Write on a band in place; characters beyond ASCII, which OpenCV lacks, become `?`."""
    plain = text.encode("ascii", "replace").decode()
    scale = 0.42
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (limit - GAP_PX) / max(width, 1))
    cv2.putText(band, plain, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
