from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import watchfiles

from edgeinspect.errors import DataError
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.sources import open_source
from edgeinspect.stream.sources import watching as watching_module
from edgeinspect.stream.sources.files import read_frame
from edgeinspect.stream.sources.frozen import FrozenWatch
from edgeinspect.stream.sources.watching import WatchedFolder
from tests.stream.made_frames import make_pictures, picture_of
from tests.stream.made_records import HANGS_S


@contextmanager
def watching(
    folder: Path,
    recorded: Recorded | None = None,
    stop: threading.Event | None = None,
    frozen: FrozenWatch | None = None,
) -> Iterator[Delivery]:
    source = open_source(f"watch:{folder}")
    assert isinstance(source, WatchedFolder)
    source._frozen = frozen or FrozenWatch()
    source.skip(recorded or Recorded())
    stop = stop or threading.Event()
    ends = threading.Timer(HANGS_S, stop.set)  # a test that waits for nothing fails
    ends.start()
    try:
        yield source.frames(stop)
    finally:
        stop.set()
        ends.cancel()


def following(delivery: Delivery) -> str:
    frame = next(delivery)
    assert isinstance(frame, Frame)
    return Path(frame.source).name + ("" if frame.picture is not None else " without picture")


def png(seed: int) -> bytes:
    return cv2.imencode(".png", picture_of("good", seed))[1].tobytes()


def test_what_lies_there_comes_first_then_what_appears(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "good"])
    with watching(folder) as delivery:
        assert [following(delivery) for _ in range(2)] == ["000_good.png", "001_good.png"]
        (folder / "late.png").write_bytes(png(3))
        assert following(delivery) == "late.png"


def test_a_picture_that_is_dropped_over_and_over_is_told_and_not_inspected(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(11):
        (folder / f"{n}.png").write_bytes(png(0))
    (folder / "broken.png").touch()
    with watching(folder, frozen=FrozenWatch(n_same=3, after_s=0.0)) as delivery:
        items = list(itertools.islice(delivery, 13))
    kinds = [i.kind if isinstance(i, Notice) else i.reason for i in items]
    frozen, broken = [Reason.FROZEN] * 9, items[-1]
    assert kinds == [None, None, NoticeKind.FROZEN, *frozen, None]
    assert isinstance(broken, Frame)
    assert broken.error is not None


def test_of_folders_inside_it_is_said_once_that_nobody_looks_there(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(watching_module, "LOOK_S", 0.0)
    folder = make_pictures(tmp_path / "in", ["good"])
    (folder / "monday").mkdir()
    with watching(folder) as delivery:
        following(delivery)
        (folder / "tuesday").mkdir()
        for n in range(3):
            (folder / f"late{n}.png").write_bytes(png(n))
            following(delivery)
    told = [r.getMessage() for r in caplog.records if "not inspected" in r.getMessage()]
    assert [Path(text.split(" is a folder")[0]).name for text in told] == ["monday", "tuesday"]


@pytest.mark.parametrize("is_there_before", [True, False])
def test_of_pictures_that_are_not_read_is_said_once(tmp_path, monkeypatch, caplog, is_there_before):
    monkeypatch.setattr(watching_module, "LOOK_S", 0.0)
    folder = make_pictures(tmp_path / "in", ["good"])
    if is_there_before:
        (folder / "early.webp").touch()
    with watching(folder) as delivery:
        following(delivery)
        for n in range(3):
            (folder / f"late{n}.heic").touch()
            (folder / f"late{n}.png").write_bytes(png(n))
            following(delivery)
    (told,) = [r.getMessage() for r in caplog.records if "not read" in r.getMessage()]
    assert ("early.webp is one" in told) == is_there_before


def test_a_file_that_is_written_slowly_is_taken_when_it_is_complete(tmp_path, monkeypatch):
    data, tries = png(0), []
    monkeypatch.setattr(watching_module, "PATIENCE_S", HANGS_S)
    path = tmp_path / "slow.png"
    with watching(tmp_path) as delivery, path.open("wb") as file:
        file.write(data[:100])
        file.flush()

        def read_then_finish(path: Path, white_level_16bit: int) -> Frame:
            """The rest comes after the first try."""
            tries.append(read_frame(path, white_level_16bit))
            if len(tries) == 1:
                file.write(data[100:])
                file.flush()
            return tries[-1]

        monkeypatch.setattr(watching_module, "read_frame", read_then_finish)
        assert following(delivery) == "slow.png"
    assert [frame.picture is not None for frame in tries] == [False, True]


def test_a_file_that_never_becomes_a_picture_is_a_frame_with_its_error(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeinspect.stream.sources.watching.PATIENCE_S", 0.1)
    (tmp_path / "half.png").write_bytes(png(0)[:100])
    with watching(tmp_path) as delivery:
        assert following(delivery) == "half.png without picture"


@contextmanager
def rewriting(path: Path) -> Iterator[None]:
    """Another program that goes on writing a file, which is no picture before its end."""
    is_over = threading.Event()

    def rewrite() -> None:
        while not is_over.wait(0.005):
            with path.open("ab") as file:
                file.write(b"half")

    path.write_bytes(png(0)[:100])
    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def test_a_file_that_never_stands_still_does_not_hold_up_others(tmp_path, monkeypatch, caplog):
    stamp, times = watching_module._stamp, itertools.count()
    monkeypatch.setattr(
        watching_module,
        "_stamp",
        lambda path: (next(times), 0) if path.name == "a_preview.png" else stamp(path),
    )
    monkeypatch.setattr(watching_module, "PATIENCE_S", 0.2)
    (tmp_path / "a_preview.png").write_bytes(png(0)[:100])
    with watching(tmp_path) as delivery:
        (tmp_path / "part1.png").write_bytes(png(1))
        assert following(delivery) == "part1.png"
        (tmp_path / "part2.png").write_bytes(png(2))
        assert following(delivery) == "part2.png"
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a_preview.png'} is still being written; other files go first"
    ]


def test_a_file_that_no_event_told_of_is_found_though_events_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(watching_module, "PATIENCE_S", 0.2)
    (tmp_path / "first.png").write_bytes(png(0))
    with watching(tmp_path) as delivery:
        assert following(delivery) == "first.png"
        (tmp_path / "unseen.png").write_bytes(png(1))  # before the watch begins
        with rewriting(tmp_path / "z_preview.png"):
            assert following(delivery) == "unseen.png"


def test_files_that_appear_together_settle_together(tmp_path, monkeypatch):
    folder, stop = make_pictures(tmp_path / "in", ["good"] * 8), threading.Event()
    waits: list[float] = []
    wait = stop.wait
    monkeypatch.setattr(stop, "wait", lambda seconds: (waits.append(seconds), wait(seconds))[1])
    with watching(folder, stop=stop) as delivery:
        names = [following(delivery) for _ in range(8)]
    assert len(waits) <= 1
    assert names == [f"00{i}_good.png" for i in range(8)]


def test_a_name_that_is_used_again_is_a_new_picture(tmp_path):
    path = tmp_path / "last.png"
    path.write_bytes(png(0))
    with watching(tmp_path) as delivery:
        assert following(delivery) == "last.png"
        (tmp_path / ".last.tmp").write_bytes(png(1))
        os.replace(tmp_path / ".last.tmp", path)
        assert following(delivery) == "last.png"


@pytest.mark.parametrize("spelling", ["relative", "link"])
def test_a_picture_is_one_frame_however_the_folder_is_spelled(tmp_path, monkeypatch, spelling):
    monkeypatch.setattr(watching_module, "LOOK_S", 0.0)  # looks find what events told of
    monkeypatch.chdir(tmp_path)
    folder = make_pictures(tmp_path / "in", ["good"])
    (tmp_path / "link").symlink_to("in")
    given = Path("in" if spelling == "relative" else "link")
    seen = []
    with watching(given) as delivery:
        for i in range(1, 6):
            seen.append(next(delivery).source)
            (folder / f"00{i}_good.png").write_bytes(png(i))
        seen.append(next(delivery).source)
        (folder / "last.png").write_bytes(png(9))
        seen.append(next(delivery).source)
    assert seen == [*(str(given / f"00{i}_good.png") for i in range(6)), str(given / "last.png")]


def test_what_has_a_record_is_left_out_after_a_restart(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "good", "good"])
    done = Counter(str(folder / f"00{i}_good.png") for i in (0, 2))
    with watching(folder, Recorded(next_seq=2, sources=done)) as delivery:
        assert following(delivery) == "001_good.png"
        (folder / "003_good.png").write_bytes(png(3))
        assert following(delivery) == "003_good.png"


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        open_source(f"watch:{tmp_path / 'no'}")


def items_until(delivery: Delivery, name: str) -> list[str]:
    """Kinds of notices, and names of frames until the one asked for."""
    found: list[str] = []
    while name not in found:
        item = next(delivery)
        found.append(item.kind.value if isinstance(item, Notice) else Path(item.source).name)
    return found


def test_a_folder_that_goes_away_is_an_outage_that_ends_when_it_is_back(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good"])
    aside = make_pictures(tmp_path / "aside", ["good", "good"])
    os.utime(aside / "000_good.png", (1e9, 1e9))  # another time, however coarse the disk's clock
    with watching(folder) as delivery:
        assert following(delivery) == "000_good.png"
        shutil.rmtree(folder)
        lost = next(delivery)
        assert isinstance(lost, Notice)
        assert (lost.kind, lost.seconds) == (NoticeKind.OUTAGE, None)
        aside.rename(folder)
        assert items_until(delivery, "001_good.png") == [
            *("recovered", "000_good.png", "001_good.png")
        ]


def test_a_folder_that_goes_away_as_the_watch_begins_is_an_outage(tmp_path, monkeypatch):
    folder, watch = make_pictures(tmp_path / "in", ["good"]), watchfiles.watch

    def watch_late(*paths: Path, **keys: Any) -> Any:
        folder.rename(tmp_path / "aside")
        return watch(*paths, **keys)

    monkeypatch.setattr(watchfiles, "watch", watch_late)
    with watching(folder) as delivery:
        assert following(delivery) == "000_good.png"
        lost = next(delivery)
        assert isinstance(lost, Notice)
        assert lost.kind is NoticeKind.OUTAGE


def test_a_folder_that_is_replaced_is_watched_on(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good"])
    with watching(folder) as delivery:
        assert following(delivery) == "000_good.png"
        (folder / "next.png").write_bytes(png(2))
        assert following(delivery) == "next.png"
        new = make_pictures(tmp_path / "new", ["good"])
        folder.rename(tmp_path / "old")
        new.rename(folder)
        found = items_until(delivery, "000_good.png")
        (folder / "late.png").write_bytes(png(3))
        assert items_until(delivery, "late.png") == ["late.png"]
    assert set(found) <= {"outage", "recovered", "000_good.png"}


def test_a_drive_that_does_not_answer_for_a_moment_ends_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(watching_module, "LOOK_S", 0.0)
    is_file, n_asked = Path.is_file, itertools.count()

    def is_file_later(path: Path) -> bool:
        if path.name == "late.png" and next(n_asked) < 3:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return is_file(path)

    folder = make_pictures(tmp_path / "in", ["good"])
    monkeypatch.setattr(Path, "is_file", is_file_later)
    with watching(folder) as delivery:
        following(delivery)
        (folder / "late.png").write_bytes(png(3))
        assert following(delivery) == "late.png"
    assert next(n_asked) > 3


def test_a_folder_that_goes_as_it_begins_to_be_watched_is_waited_for(tmp_path, monkeypatch):
    watch, n_tries = watchfiles.watch, itertools.count()

    def watch_later(*words: Any, **keys: Any) -> Any:
        if next(n_tries) == 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return watch(*words, **keys)

    folder = make_pictures(tmp_path / "in", ["good"])
    monkeypatch.setattr(watchfiles, "watch", watch_later)
    with watching(folder) as delivery:
        following(delivery)
        (folder / "late.png").write_bytes(png(3))
        assert following(delivery) == "late.png"
