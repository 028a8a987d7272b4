from __future__ import annotations

import importlib.metadata
import os
from collections import Counter
from pathlib import Path

import cv2
import pytest

from edgeinspect.errors import ConfigError, DataError, EdgeInspectError
from edgeinspect.stream.frames import Recorded
from edgeinspect.stream.sources import SourceContext, open_source, open_sources
from edgeinspect.stream.sources.captures import is_capture
from edgeinspect.stream.sources.files import PathsSource
from tests.stream.made_frames import MadeSource, make_pictures, make_video


def test_sources_have_the_names_that_they_are_given_else_their_place(tmp_path):
    folder = str(make_pictures(tmp_path / "in", ["good"]))
    assert list(open_sources([folder])) == [None]
    assert list(open_sources([f"left={folder}"])) == ["left"]
    assert list(open_sources([f"left={folder}", folder])) == ["left", "2"]


def test_two_sources_of_one_name_are_refused(tmp_path):
    folder = str(make_pictures(tmp_path / "in", ["good"]))
    with pytest.raises(ConfigError, match="two sources are called left"):
        open_sources([f"left={folder}", f"left={folder}"])


def test_standard_input_is_read_by_one_source(monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(ConfigError, match="two sources read standard input"):
            open_sources(["left=-", "right=-"])


def test_a_path_with_an_equals_sign_is_that_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "lot=7", ["good"])
    assert list(open_sources(["lot=7"])) == [None]


def test_paths_on_a_standard_input_that_is_closed_are_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="standard input is closed"):
        open_source("-")


def test_a_video_beside_a_network_stream_has_all_its_frames(tmp_path):
    clip = make_video(tmp_path / "clip.avi", 4)
    with pytest.raises(DataError, match="cannot be opened"):
        open_source("http://127.0.0.1:1/line")
    assert len(list(open_source(str(clip)).frames())) == 4


@pytest.mark.parametrize(
    "text", ["0", "/dev/video2", "rtsp://host/line", "https://host/a", "csi://0", "gst:x ! appsink"]
)
def test_words_that_mean_a_camera_or_a_stream(text):
    assert is_capture(text)


@pytest.mark.parametrize("text", ["pictures", "0.png", "watch:dir", "-", "part[0-9].png", "9" * 20])
def test_words_that_do_not(text):
    assert not is_capture(text)


LONG_PIPELINE = f"gst:{'identity ! ' * 30}appsink"  # longer than any file's name


@pytest.mark.skipif(
    cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer"
)
@pytest.mark.parametrize("text", ["gst:videotestsrc ! appsink", LONG_PIPELINE, "csi://0"])
def test_without_gstreamer_it_is_said_how_to_get_it(text):
    with pytest.raises(DataError, match=r"built without.*python3-opencv"):
        open_source(text)


def test_watching_no_folder_is_not_watching_the_current_one():
    with pytest.raises(DataError, match="names no folder; write watch:DIR"):
        open_source("watch:")


def test_a_camera_that_is_not_there_is_an_error_and_opencv_is_silent(capfd):
    with pytest.raises(DataError, match="camera 63 cannot be opened"):
        open_source("63")
    assert capfd.readouterr().err == ""


def test_a_stream_that_is_not_there_is_an_error_without_its_password(capfd):
    with pytest.raises(DataError, match=r"rtsp://127\.0\.0\.1:9/line cannot be opened") as raised:
        open_source("rtsp://me:secret@127.0.0.1:9/line?token=secret")
    assert "secret" not in str(raised.value) + capfd.readouterr().err


def test_paths_come_on_standard_input_line_by_line(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "broken", "good"])
    paths = sorted(folder.iterdir())
    readable, writable = os.pipe()
    os.write(writable, f"{paths[0]}\n\n{paths[1]}\r\n{paths[2]}".encode())
    os.close(writable)
    source = PathsSource(readable, white_level_16bit=65535)
    source.skip(Recorded())
    frames = list(source.frames())
    os.close(readable)
    assert [frame.source for frame in frames] == list(map(str, paths))
    assert [frame.error is None for frame in frames] == [True, False, True]


def test_third_parties_bring_sources_by_entry_point(monkeypatch):
    told: list[tuple[str, SourceContext]] = []

    def make(address: str, context: SourceContext) -> MadeSource:
        told.append((address, context))
        return MadeSource(["good"], is_live=True)

    class EntryPoint(importlib.metadata.EntryPoint):
        def load(self) -> object:
            return make

    points = importlib.metadata.EntryPoints(
        [EntryPoint(name="genicam", value="their.module:make", group="edgeinspect.sources")]
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **keys: points.select(**keys))
    assert open_source("genicam:serial=42", white_level_16bit=4095).is_live
    assert told == [("genicam:serial=42", SourceContext(white_level_16bit=4095))]
    with pytest.raises(DataError, match="there is no"):
        open_source("pylon:serial=42")


def test_pictures_that_have_records_are_left_out(tmp_path):
    folder = make_pictures(tmp_path / "in", ["good", "good", "good"])
    source = open_source(str(folder))
    first = str(folder / "000_good.png")
    source.skip(Recorded(next_seq=1, sources=Counter([first])))
    assert [Path(f.source).name for f in source.frames()] == ["001_good.png", "002_good.png"]
    assert source.n_frames == 2


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp://line:hunter2@[::1/x", r"the rtsp:// address of a source cannot be read; write"),
        ("rtsp://line:hunter2@cam:port/x", "cannot be read"),
        ("rtsp://line:12/hunter2@cam/x", "%2F for /"),
        ("rstp://line:hunter2@cam/x", r"no source is called rstp://; did you mean rtsp\?"),
        ("gst:rtspsrc location=rtsp://line:hunter2@cam ! appsink", "location=rtsp://cam ! "),
        ("RTSP://line:hunter2@127.0.0.1:9/x", "rtsp://127.0.0.1:9/x cannot be opened"),
        ("http://line:hunter2@[::1]:9/x?token=hunter2", r"http://\[::1\]:9/x cannot be opened"),
    ],
)
def test_an_address_that_is_refused_shows_no_password(address, words):
    with pytest.raises(EdgeInspectError, match=words) as caught:
        open_source(address)
    assert "hunter2" not in str(caught.value)


def test_a_folder_deeper_than_is_looked_is_told_of(tmp_path, caplog):
    make_pictures(tmp_path / "lot" / "tray", ["plain"])
    make_pictures(tmp_path / "lot" / "tray" / "again" / "after", ["plain"])
    source = open_source(str(tmp_path / "lot"))
    assert source.n_frames == 1
    assert f"pictures in {tmp_path}/lot/tray/again/after are not inspected" in caplog.text
    assert open_source(f"{tmp_path}/lot/**/*").n_frames == 2


@pytest.mark.parametrize(("pattern", "n_told"), [("*", 1), ("**", 0), ("**/*", 0), ("*.png", 0)])
def test_a_folder_that_a_pattern_matches_is_told_of(tmp_path, caplog, pattern, n_told):
    make_pictures(tmp_path / "lot", ["plain"])
    make_pictures(tmp_path / "lot" / "tray", ["plain"])
    open_source(f"{tmp_path}/lot/{pattern}")
    assert caplog.text.count("tray, which matches, are not inspected") == n_told


@pytest.mark.parametrize("pattern", ["", "/**/*"])
def test_pictures_that_are_not_read_are_told_of_once(tmp_path, caplog, pattern):
    folder = make_pictures(tmp_path / "lot", ["plain"])
    (folder / "tray").mkdir()
    for name in ("a.webp", "tray/b.GIF", "notes.txt", "run.json", ".hidden.webp"):
        (folder / name).touch()
    assert open_source(f"{folder}{pattern}").n_frames == 1
    assert caplog.text.count("not read") == 1
    assert "not read, so left out: 2 (a.webp is one); save PNG" in caplog.text


def test_files_that_are_no_pictures_are_not_told_of(tmp_path, caplog):
    folder = make_pictures(tmp_path / "lot", ["plain"])
    for name in ("notes.txt", "run.json", ".hidden.webp"):
        (folder / name).touch()
    open_source(str(folder))
    assert not caplog.text


def test_a_folder_whose_pictures_all_lie_deeper_names_theirs(tmp_path):
    make_pictures(tmp_path / "lot" / "tray", ["plain"])
    make_pictures(tmp_path / ".old" / "tray", ["plain"])
    with pytest.raises(DataError) as error:
        open_source(str(tmp_path))
    assert error.value.hint == f"did you mean {tmp_path}/lot/tray?"


def test_a_link_to_a_picture_that_is_gone_is_a_part_without_a_picture(tmp_path):
    folder = make_pictures(tmp_path / "lot", ["plain"])
    (folder / "gone.png").symlink_to(tmp_path / "away.png")
    frames = list(open_source(str(folder)).frames())
    assert [frame.error is None for frame in frames] == [True, False]
