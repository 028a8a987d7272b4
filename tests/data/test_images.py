"""Reading: what every kind of file becomes, and what every kind of damage is called."""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.data import damage
from edgeinspect.data import images as images_module
from edgeinspect.data.images import (
    decode_picture,
    decode_pixels,
    guess_white_level,
    list_pictures,
    read_picture,
    save_picture,
)
from edgeinspect.errors import DataError, ImageError, OutputError
from tests.data.picture_files import (
    encoded,
    made_picture,
    tiff_file,
    tiff_header,
    two_pictures,
    with_orientation,
    write,
)

JPEG_LOSS = 2.0  # mean grey levels that JPEG's quantisation and half-size colour move a pixel by


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_give_back_every_pixel_in_rgb(tmp_path: Path, suffix: str) -> None:
    picture = made_picture()
    assert np.array_equal(read_picture(write(tmp_path / f"a{suffix}", picture)), picture)


def test_a_jpeg_gives_rgb_within_its_loss() -> None:
    picture = made_picture()
    read = decode_picture(encoded(picture, ".jpg"), name="a.jpg")
    assert np.abs(read.astype(int) - picture).mean() <= JPEG_LOSS


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
def test_grey_is_repeated_over_three_channels(suffix: str) -> None:
    read = decode_picture(encoded(made_picture()[..., 0], suffix), name="grey")
    assert read.shape == (64, 80, 3)
    assert np.array_equal(read[..., 0], read[..., 2])


def test_alpha_is_dropped_and_colour_kept() -> None:
    picture = made_picture()
    rgba = np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])
    assert np.array_equal(decode_picture(encoded(rgba, ".png"), name="rgba"), picture)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("white", [4095, 65535])
def test_16_bits_are_scaled_by_the_white_level(suffix: str, white: int) -> None:
    ramp = np.linspace(0, white, 256).round().astype(np.uint16).reshape(16, 16)
    read = decode_picture(encoded(ramp, suffix), name="deep", white_level_16bit=white)
    assert read.dtype == np.uint8
    assert np.array_equal(read[..., 0].ravel(), np.arange(256))


def test_16_bits_above_the_white_level_are_white() -> None:
    bright = np.full((16, 16), 5000, np.uint16)
    read = decode_picture(encoded(bright, ".png"), name="bright", white_level_16bit=4095)
    assert (read == 255).all()


def test_16_bit_colour_with_alpha_is_read() -> None:
    deep = np.dstack([made_picture().astype(np.uint16) * 257, np.full((64, 80), 9, np.uint16)])
    assert np.array_equal(decode_picture(encoded(deep, ".png"), name="deep"), made_picture())


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("alpha", [0, 1, 2])
def test_colours_of_a_tiff_are_not_multiplied_by_its_alpha(
    depth: type[np.generic], order: str, alpha: int
) -> None:
    picture = made_picture().astype(depth)
    rgba = np.dstack([picture, np.zeros(picture.shape[:2], depth)])
    read = decode_pixels(tiff_file(rgba, order=order, alpha=alpha), name="rgba.tiff")
    assert np.array_equal(read, picture)


def test_colours_of_an_8_bit_tiff_may_lie_in_planes() -> None:
    rgba = np.dstack([made_picture(), np.zeros((64, 80), np.uint8)])
    read = decode_pixels(tiff_file(rgba, is_planar=True), name="planes.tiff")
    assert np.array_equal(read, made_picture())


@pytest.mark.parametrize(
    ("channels", "is_planar", "what"), [(2, False, "grey with alpha"), (3, True, "planar")]
)
def test_a_16_bit_tiff_that_opencv_reads_wrongly_is_refused(
    channels: int, is_planar: bool, what: str
) -> None:
    deep = made_picture()[..., :channels].astype(np.uint16) * 257
    with pytest.raises(ImageError, match=f"TIFF of 16 bits with .*{what}.*side by side"):
        decode_pixels(tiff_file(deep, is_planar=is_planar), name="deep.tiff")


@pytest.mark.parametrize(
    ("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)]
)  # TIFF 6.0: 6 means that the 0th row is the right-hand side
def test_an_exif_rotation_is_applied(orientation: int, turns: int) -> None:
    jpeg = encoded(made_picture(), ".jpg")
    upright = decode_picture(jpeg, name="plain.jpg")
    turned = decode_picture(with_orientation(jpeg, orientation), name="exif.jpg")
    assert np.array_equal(turned, np.rot90(upright, turns))


def test_names_with_any_letters_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "Prüfling_部品_№1 é.png"
    save_picture(path, made_picture())
    assert np.array_equal(read_picture(path), made_picture())


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.png").touch()
    with pytest.raises(ImageError, match=r"none\.png is empty \(0 bytes\)"):
        read_picture(tmp_path / "none.png")


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png cannot be read: No such file"):
        read_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(suffix: str, share: float) -> None:
    data = encoded(made_picture(128, 128), suffix)
    with pytest.raises(ImageError, match=r"cut off|not a picture"):
        decode_picture(data[: int(share * len(data))], name="half")


def test_a_jpeg_that_lacks_only_its_end_is_refused() -> None:
    with pytest.raises(ImageError, match=r"half\.jpg is damaged or cut off"):
        decode_picture(encoded(made_picture(), ".jpg")[:-2], name="half.jpg")


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    whole = with_orientation(encoded(made_picture(), ".jpg"), 1, thumbnail=b"\xff\xd8..\xff\xd9")
    assert decode_picture(whole, name="whole.jpg").shape == (64, 80, 3)
    with pytest.raises(ImageError, match="cut off"):
        decode_picture(whole[:-40], name="half.jpg")


def test_bytes_behind_a_whole_jpeg_do_no_harm() -> None:
    data = encoded(made_picture(), ".jpg") + b"\0" * 64
    assert decode_picture(data, name="padded.jpg").shape == (64, 80, 3)


def test_a_text_file_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("this is no picture")
    with pytest.raises(ImageError, match=r"note\.png is not a picture.*use PNG"):
        read_picture(tmp_path / "note.png")


def test_a_float_tiff_is_refused_with_its_depth() -> None:
    data = encoded(made_picture().astype(np.float32) / 255, ".tiff")
    with pytest.raises(ImageError, match=r"holds float32 pixels.*8 or 16 bits"):
        decode_picture(data, name="float.tiff")


def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding() -> None:
    data = bytearray(encoded(made_picture(), ".png"))
    data[16:24] = (1 << 20).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="claims 1099511627776 pixels"):
        decode_picture(bytes(data), name="huge.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
def test_a_picture_of_too_many_pixels_is_refused_in_every_format(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(made_picture(), suffix)
    monkeypatch.setattr(damage, "MAX_PIXELS", 64 * 80)
    assert decode_picture(data, name="fits").shape == (64, 80, 3)
    monkeypatch.setattr(damage, "MAX_PIXELS", 64 * 80 - 1)
    with pytest.raises(ImageError, match="claims 5120 pixels; 5119 is the most"):
        decode_picture(data, name="large")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
def test_the_size_of_a_tiff_is_read_in_both_orders_and_widths(order: str, is_big: bool) -> None:
    data = tiff_header(1 << 20, 1 << 10, order=order, is_big=is_big)
    with pytest.raises(ImageError, match="claims 1073741824 pixels"):
        decode_picture(data, name="huge.tiff")


def test_a_tiff_of_two_pictures_is_refused_because_one_would_pass_unseen() -> None:
    data = two_pictures()
    with pytest.raises(ImageError, match="holds 2 pictures, of which only the first"):
        decode_picture(data, name="pages.tiff")


@pytest.mark.parametrize("kind", [1, 4])
def test_a_tiff_may_hold_a_thumbnail_or_a_mask_beside_its_picture(kind: int) -> None:
    page, other = (struct.pack("<HHII", 254, 4, 1, n) for n in (2, kind))
    first, _, second = two_pictures().rpartition(page)
    assert np.array_equal(decode_picture(first + other + second, name="a.tiff"), made_picture())


def test_a_tiff_that_begins_with_a_thumbnail_is_refused() -> None:
    page, thumbnail = (struct.pack("<HHII", 254, 4, 1, n) for n in (2, 1))
    with pytest.raises(ImageError, match="holds 2 pictures, of which only the first"):
        decode_picture(two_pictures().replace(page, thumbnail, 1), name="a.tiff")


def test_a_tiff_whose_directories_go_in_a_circle_is_read_once() -> None:
    data = bytearray(encoded(made_picture(), ".tiff"))
    first = struct.unpack_from("<I", data, 4)[0]
    (n_tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * n_tags, first)
    assert decode_picture(bytes(data), name="circle.tiff").shape == (64, 80, 3)


@pytest.mark.parametrize(("width", "height"), [(1 << 20, -(1 << 20)), (1 << 20, 1 << 20)])
def test_a_bmp_may_have_its_rows_from_the_top(width: int, height: int) -> None:
    data = bytearray(encoded(made_picture(), ".bmp"))
    data[18:26] = struct.pack("<ii", width, height)
    with pytest.raises(ImageError, match="claims 1099511627776 pixels"):
        decode_picture(bytes(data), name="huge.bmp")


@pytest.mark.parametrize("suffix", [".bmp", ".tiff"])
@pytest.mark.parametrize("n_bytes", [2, 3, 8, 10, 20, 30])
def test_a_header_that_is_cut_off_is_no_picture(suffix: str, n_bytes: int) -> None:
    with pytest.raises(ImageError, match=r"not a picture|cannot be decoded"):
        decode_picture(encoded(made_picture(), suffix)[:n_bytes], name="half")


@pytest.mark.parametrize("at", [20, 60, 300, -6])
def test_a_png_with_one_wrong_byte_is_refused_in_silence(
    at: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(encoded(made_picture(), ".png"))
    data[at] ^= 0x10
    with pytest.raises(ImageError, match="damaged"):
        decode_picture(bytes(data), name="flipped.png")
    assert capfd.readouterr().err == ""


def test_a_png_without_pixels_is_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(made_picture(), ".png"))
    data[16:20] = bytes(4)  # the width, in the header's chunk
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="damaged"):
        decode_picture(bytes(data), name="empty.png")
    assert capfd.readouterr().err == ""


def test_broken_files_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for suffix in (".png", ".jpg", ".bmp", ".tiff"):
        with pytest.raises(ImageError):
            decode_picture(encoded(made_picture(), suffix)[:300], name="half")
    assert capfd.readouterr().err == ""


def opencv_log_level() -> int:
    """Setting it tells what it was, whatever the OpenCV."""
    level = images_module._set_log_level(0)
    images_module._set_log_level(level)
    return level


def test_reading_in_threads_leaves_the_log_level_as_it_was(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.png", made_picture(seed=i)) for i in range(12)]
    before = opencv_log_level()
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(read_picture, paths))
    assert [np.array_equal(p, made_picture(seed=i)) for i, p in enumerate(pictures)] == [True] * 12
    assert opencv_log_level() == before


def test_pictures_are_listed_in_natural_order_one_level_deep(tmp_path: Path) -> None:
    names = ["part10.png", "part2.PNG", "day2/1.jpg", "day10/1.jpg", "day2/deep/1.jpg"]
    for name in [*names, ".hidden.png", ".trash/1.png", "note.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in list_pictures(tmp_path)]
    assert found == ["day2/1.jpg", "day10/1.jpg", "part2.PNG", "part10.png"]


def test_a_missing_folder_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    with pytest.raises(DataError, match=r"there is no folder .*prats; did you mean .*parts"):
        list_pictures(tmp_path / "prats")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a file, not a folder"):
        list_pictures(write(tmp_path / "a.png", made_picture()))


@pytest.mark.parametrize(
    ("largest", "white"), [(900, 1023), (4095, 4095), (9000, 16383), (16384, 65535)]
)
def test_the_white_level_is_the_smallest_that_no_file_exceeds(
    tmp_path: Path, largest: int, white: int
) -> None:
    for i, value in enumerate((200, largest)):
        write(tmp_path / f"{i}.png", np.full((16, 16), value, np.uint16))
    (tmp_path / "empty.png").touch()
    assert guess_white_level(list_pictures(tmp_path)) == white


def test_the_white_level_of_8_bit_files_is_65535(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, made_picture()) for name in ("a.png", "b.jpg", "c.tiff")]
    assert guess_white_level(paths) == 65535


def test_saving_where_nothing_can_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"missing/a\.png"):
        save_picture(tmp_path / "missing" / "a.png", made_picture())


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture(tmp_path / "a.png", made_picture())

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="no space is left"):
        save_picture(tmp_path / "a.png", made_picture(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert np.array_equal(read_picture(tmp_path / "a.png"), made_picture())
