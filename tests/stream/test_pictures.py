from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeinspect.errors import OutputError
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.regions import Region
from edgeinspect.stream import pictures as pictures_module
from edgeinspect.stream.pictures import PictureStore
from edgeinspect.stream.records import Record, RecordFolder, prepare_record_folder
from tests.stream.made_records import made_record

REGION = Region(box=(50, 30, 10, 8), area_px=80, peak=9.0)


@pytest.fixture
def folder(tmp_path: Path) -> RecordFolder:
    return prepare_record_folder(tmp_path / "out", force=False, saves_pictures=True)


def ng_record(seq: int) -> Record:
    anomaly_map = np.zeros((64, 64), np.float32)
    return made_record(seq, Verdict.NG, regions=(REGION,), anomaly_map=anomaly_map, map_level=1.0)


def names(folder: RecordFolder) -> list[str]:
    return sorted(p.relative_to(folder.path).as_posix() for p in folder.path.glob("*/*"))


def test_an_ng_part_leaves_overlay_map_and_crops(folder):
    saved = PictureStore(folder).save(ng_record(3))
    assert saved.map == "maps/000003_3_bad.png"
    assert names(folder) == [
        "crops/000003_3_bad_1.jpg",
        "maps/000003_3_bad.png",
        "overlays/000003_3_bad.jpg",
    ]


def test_a_crop_holds_the_region_and_what_is_around_it(folder):
    PictureStore(folder).save(ng_record(0))
    crop = cv2.imread(str(folder.path / "crops/000000_0_bad_1.jpg"))
    assert crop.shape == (8 + 2 * 16, 16 + 14, 3)  # cut off at the picture's right edge


def test_a_region_longer_than_a_jpeg_can_be_is_cut_off(folder):
    record = ng_record(0)
    strip = np.zeros((20, 70_000, 3), np.uint8)
    scratch = Region(box=(0, 5, 70_000, 8), area_px=560_000, peak=9.0)
    record = dataclasses.replace(
        record,
        frame=dataclasses.replace(record.frame, picture=strip),
        inspection=dataclasses.replace(record.inspection, regions=(scratch,)),
    )
    PictureStore(folder).save(record)
    assert cv2.imread(str(folder.path / "crops/000000_0_bad_1.jpg")).shape == (20, 65_500, 3)


def test_the_oldest_pictures_go_when_the_disk_share_is_used_up(folder):
    first = PictureStore(folder)
    first.save(ng_record(0))
    share = 2.5 * first.n_bytes / 2**30
    store = PictureStore(folder, keep_gib=share)
    for seq in range(1, 8):
        store.save(ng_record(seq))
        on_disk = sum((folder.path / name).stat().st_size for name in names(folder))
        assert on_disk == store.n_bytes <= share * 2**30
    assert "overlays/000007_7_bad.jpg" in names(folder)
    assert store.n_overlays == sum(name.startswith("overlays/") for name in names(folder))
    assert "overlays/000000_0_bad.jpg" not in names(folder)


def test_pictures_of_an_earlier_run_count_by_their_age(folder):
    for name, age_s in (("new", 10), ("old", 20)):
        path = folder.path / "overlays" / f"{name}.jpg"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
    size = PictureStore(folder).n_bytes
    PictureStore(folder, keep_gib=(size + 20_000) / 2**30).save(ng_record(0))
    assert "overlays/new.jpg" in names(folder)
    n_bytes = sum((folder.path / name).stat().st_size for name in names(folder))
    PictureStore(folder, keep_gib=(n_bytes + 500) / 2**30).save(made_record(1, Verdict.NG))
    assert "overlays/old.jpg" not in names(folder)


def test_a_disk_that_is_full_is_said_once_and_stops_nothing(folder, monkeypatch, caplog):
    def full(*words: object, **keys: object) -> None:
        raise OutputError("cannot write it: no space is left on the disk")

    store = PictureStore(folder)
    with monkeypatch.context() as patch:
        patch.setattr(pictures_module, "write_atomically", full)
        assert [store.save(ng_record(seq)).map for seq in (0, 1)] == [None, None]
    assert caplog.text.count("pictures are not saved") == 1
    assert store.save(ng_record(2)).map is not None


def test_a_frame_without_a_picture_has_nothing_to_save(folder):
    record = made_record(0)
    frame = dataclasses.replace(record.frame, picture=None)
    PictureStore(folder).save(dataclasses.replace(record, frame=frame))
    assert names(folder) == []


def test_a_disk_from_which_nothing_can_be_removed_stops_nothing(folder, monkeypatch, caplog):
    def sick(*words: object, **keys: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    first = PictureStore(folder)
    first.save(ng_record(0))
    store = PictureStore(folder, keep_gib=first.n_bytes / 2**30)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", sick)
        assert [store.save(ng_record(seq)).map for seq in (1, 2)] == [None, None]
    assert caplog.text.count("pictures are not saved") == 1
    assert store.save(ng_record(3)).map is not None
    assert "overlays/000000_0_bad.jpg" not in names(folder)


def test_no_picture_is_kept_where_one_alone_is_too_much(folder, caplog):
    store = PictureStore(folder, keep_gib=0)
    assert store.save(ng_record(0)).map is None
    assert (names(folder), store.n_bytes) == ([], 0)
    assert "raise --keep-gib" in caplog.text


def test_a_part_that_is_judged_anew_has_its_pictures_once(folder):
    first = PictureStore(folder)
    first.save(ng_record(0))
    store = PictureStore(folder)
    store.save(ng_record(0))
    assert (store.n_bytes, store.n_overlays) == (first.n_bytes, 1)


def test_what_somebody_put_beside_the_pictures_is_left_alone(folder):
    (folder.path / "overlays" / "kept").mkdir()
    store = PictureStore(folder, keep_gib=0)
    store.save(ng_record(0))
    assert names(folder) == ["overlays/kept"]
