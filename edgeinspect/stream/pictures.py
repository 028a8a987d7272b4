"""Pictures of a run on the disk, and never more of them than asked for: the oldest go first.

    OUT/overlays/SEQ_NAME.jpg   the whole part with heat, boxes and verdict
    OUT/maps/SEQ_NAME.png       its anomaly map
    OUT/crops/SEQ_NAME_1.jpg    what its strongest regions look like, in the camera's own pixels

Pictures are for people. When they cannot be written, it is said once, and the run goes on: its
records are what counts.
"""

from __future__ import annotations

import contextlib
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import OutputError
from edgeinspect.report.overlays import draw_overlay, encode_jpeg, encode_map
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.regions import Region
from edgeinspect.stream.records import FOLDERS, OVERLAYS, Record, RecordFolder
from edgeinspect.writing import output_errors, write_atomically

__all__ = ["KEEP_GIB", "PictureStore"]

_log = logging.getLogger(__name__)

KEEP_GIB = 10.0
N_CROPS = 3
CROP_MARGIN = 0.5  # of a region's longer side, on each side of it
SMALLEST_MARGIN_PX = 16
LONGEST_CROP_PX = 65_500  # a side of a JPEG file


class PictureStore:
    """Saves the pictures of records into a run's folder; call it from one thread.

    Attributes:
        n_bytes: of all pictures that are kept now.
    """

    def __init__(self, folder: RecordFolder, *, keep_gib: float = KEEP_GIB) -> None:
        """What an earlier run left in the folder counts as well, by its age."""
        self._folder = folder
        self._keep_bytes = keep_gib * 2**30
        self._kept = dict(_pictures_by_age(folder.path))
        self._can_write = True
        self.n_bytes = sum(self._kept.values())

    @property
    def n_overlays(self) -> int:
        """Overlays that are kept now."""
        return sum(path.parent.name == OVERLAYS for path in self._kept)

    def save(self, record: Record) -> Record:
        """Save overlay and map of a record, crops if it is NG; gives it with the map's path."""
        if record.frame.picture is None:
            return record
        try:
            saved = self._save(record, record.frame.picture)
        except OutputError as error:
            if self._can_write:
                _log.warning("pictures are not saved: %s", error)
            self._can_write = False
            return record
        self._can_write = True
        return saved

    def _save(self, record: Record, picture: NDArray[np.uint8]) -> Record:
        found, frame = record.inspection, record.frame
        overlay = draw_overlay(picture, found, title=Path(frame.source).name)
        self._write(self._folder.overlay(frame), encode_jpeg(overlay))
        regions = found.regions[:N_CROPS] if found.verdict is Verdict.NG else ()
        for number, region in enumerate(regions, start=1):
            crop = encode_jpeg(_crop(picture, region))
            self._write(self._folder.crop(frame, number), crop)
        if found.anomaly_map is None:
            return record
        path = self._folder.map(frame)
        self._write(path, encode_map(found.anomaly_map))
        return record.with_map(path.relative_to(self._folder.path).as_posix())

    def _write(self, path: Path, data: bytes) -> None:
        self._make_room(len(data))
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data, is_synced=False)
        self.n_bytes += len(data) - self._kept.pop(path, 0)  # a part that is judged anew has one
        self._kept[path] = len(data)

    def _make_room(self, n_bytes: int) -> None:
        """Remove the oldest until so many more may be kept. Raises: OutputError."""
        while self._kept and self.n_bytes + n_bytes > self._keep_bytes:
            oldest = next(iter(self._kept))
            with output_errors(oldest):
                oldest.unlink(missing_ok=True)
            self.n_bytes -= self._kept.pop(oldest)
        if n_bytes > self._keep_bytes:
            raise OutputError("one alone takes more than is to be kept", hint="raise --keep-gib")


def _crop(picture: NDArray[np.uint8], region: Region) -> NDArray[np.uint8]:
    """A region with what is around it, (h, w, 3); the first part of one that is too long."""
    x, y, width, height = region.box
    margin = max(SMALLEST_MARGIN_PX, round(CROP_MARGIN * max(width, height)))
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    return picture[rows, columns][:LONGEST_CROP_PX, :LONGEST_CROP_PX]


def _pictures_by_age(folder: Path) -> Iterator[tuple[Path, int]]:
    """(path, bytes) of the pictures in a run's folder, the oldest first."""
    found = []
    for path in (path for name in FOLDERS for path in (folder / name).glob("*")):
        with contextlib.suppress(FileNotFoundError):  # somebody tidies up
            found.append((path, path.lstat()))
    for path, state in sorted(found, key=lambda pair: pair[1].st_mtime_ns):
        if stat.S_ISREG(state.st_mode):
            yield path, state.st_size
