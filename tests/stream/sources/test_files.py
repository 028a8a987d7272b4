from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeinspect.errors import DataError
from edgeinspect.stream.frames import Recorded
from edgeinspect.stream.sources import VideoSource, open_source
from edgeinspect.stream.sources.files import read_frame
from tests.bundles import good_picture
from tests.stream.made_frames import make_pictures, make_video


def names(text: str | Path) -> list[str]:
    return [Path(frame.source).name for frame in open_source(str(text)).frames()]


def test_a_folder_delivers_its_pictures_in_natural_order(tmp_path):
    for name in ("part10.png", "part2.png", "part1.png"):
        make_pictures(tmp_path / name[:-4], ["good"])
    assert [f.source for f in open_source(str(tmp_path)).frames()] == [
        str(tmp_path / f"part{i}" / "000_good.png") for i in (1, 2, 10)
    ]


def test_a_glob_delivers_what_matches_and_leaves_other_files(tmp_path):
    make_pictures(tmp_path / "in", ["good", "bad", "good"])
    (tmp_path / "in" / "002_notes.txt").write_text("no picture")
    assert names(tmp_path / "in" / "00[02]*") == ["000_good.png", "002_good.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "good"])
    odd = (folder / "000_good.png").rename(folder / "part[1].png")
    assert names(odd) == ["part[1].png"]


def test_a_broken_picture_is_a_frame_with_its_error(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "broken", "good"])
    frames = list(open_source(str(folder)).frames())
    assert [frame.picture is None for frame in frames] == [False, True, False]
    assert "001_broken.png" in str(frames[1].error)
    assert [frame.seq for frame in frames] == [0, 1, 2]


def test_a_name_that_no_file_can_have_is_a_frame_with_an_error():
    frame = read_frame(Path("a.png\0b.png"), 65535)
    assert "'a.png\\x00b.png' is no name of a file" in str(frame.error)


def test_a_video_delivers_its_frames_in_rgb(tmp_path):
    source = open_source(str(make_video(tmp_path / "clip.avi", 4)))
    assert source.n_frames == 4
    frames = list(source.frames())
    assert [Path(f.source).name for f in frames] == [f"clip.avi#{i}" for i in range(4)]
    reds = [f.picture[..., 0].mean() for f in frames if f.picture is not None]
    assert reds == pytest.approx([0, 60, 120, 180], abs=5)
    assert all(f.picture[..., 2].mean() < 10 for f in frames if f.picture is not None)


def left_of(video: Path, recorded: Recorded) -> tuple[int | None, list[str]]:
    source = VideoSource(video)
    source.skip(recorded)
    return source.n_frames, [Path(frame.source).name for frame in source.frames()]


def test_a_video_goes_on_behind_the_last_frame_that_has_a_record(tmp_path):
    clip = make_video(tmp_path / "clip.avi", 4)
    recorded = Recorded(next_seq=2, sources=Counter([f"{clip}#0", f"{clip}#1"]))
    assert left_of(clip, recorded) == (2, ["clip.avi#2", "clip.avi#3"])


def test_records_of_another_video_leave_no_frame_out(tmp_path):
    clip = make_video(tmp_path / "clip.avi", 2)
    recorded = Recorded(next_seq=1, sources=Counter([f"{tmp_path}/other.avi#0"]))
    assert left_of(clip, recorded) == (2, ["clip.avi#0", "clip.avi#1"])


def test_a_video_of_which_each_nth_frame_is_taken_goes_on_with_the_next_of_these(tmp_path):
    clip = make_video(tmp_path / "clip.avi", 5)
    recorded = Recorded(next_seq=1, sources=Counter([f"{clip}#0"]), every=2)
    assert left_of(clip, recorded) == (3, [f"clip.avi#{i}" for i in (2, 3, 4)])


def test_a_video_that_breaks_off_is_an_error_after_its_last_frame(tmp_path):
    clip = make_video(tmp_path / "clip.avi", 60)
    os.truncate(clip, clip.stat().st_size // 2)
    delivery = VideoSource(clip).frames()
    assert sum(1 for _ in itertools.islice(delivery, 10)) == 10
    with pytest.raises(DataError, match=r"promises 60 frames, \d+ could be read: it breaks off"):
        list(delivery)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mkv", "mp4v"), ("a.webm", "VP80")]
)
def test_a_whole_video_in_any_container_is_none_that_breaks_off(tmp_path, name, codec):
    clip = make_video(tmp_path / name, 20, codec)
    assert len(list(VideoSource(clip).frames())) == 20


def test_a_file_that_only_claims_to_be_a_video_is_refused(tmp_path, capfd):
    (tmp_path / "clip.avi").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="no frame that can be read"):
        VideoSource(tmp_path / "clip.avi")


def test_a_missing_source_suggests_the_near_name(tmp_path):
    make_pictures(tmp_path / "pictures", ["good"])
    with pytest.raises(DataError, match=r"did you mean .*pictures\?"):
        open_source(str(tmp_path / "picturs"))


def test_an_empty_folder_and_a_glob_without_match_are_errors(tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        open_source(str(tmp_path))
    with pytest.raises(DataError, match="no picture matches"):
        open_source(str(tmp_path / "*.png"))


def test_white_of_a_16_bit_camera_comes_from_the_settings(tmp_path):
    grey = good_picture(0)[..., 0].astype(np.uint16) * 16
    cv2.imwrite(str(tmp_path / "deep.png"), grey)
    (frame,) = open_source(str(tmp_path / "deep.png"), white_level_16bit=4095).frames()
    assert frame.picture is not None
    assert abs(frame.picture.mean() - good_picture(0).mean()) < 1


def test_a_broken_video_is_told_by_the_error_alone(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"xxxx" * 100)
    code = f"from edgeinspect.stream.sources import open_source as o; o({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("Traceback")
    assert "holds no frame that can be read" in done.stderr
