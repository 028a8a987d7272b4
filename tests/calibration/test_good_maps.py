"""Good pictures to cached error maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.calibration.good_maps import BATCH, GoodMaps, MapCache, collect_good_maps
from edgeinspect.config import PreprocessConfig, ResizeRule
from edgeinspect.data.images import save_picture
from edgeinspect.errors import CalibrationError, OutputError
from edgeinspect.progress import no_progress
from tests.bundles import good_picture
from tests.calibration.made_maps import good_maps, random_maps

HALF = 2.0**-11  # relative rounding of half precision
SIZE = 32


class FakeMaps:
    """A maps graph: grey / 255 as the one error map; counts its calls."""

    name = "fake"

    def __init__(self, factor: float = 1.0) -> None:
        self.batches: list[int] = []
        self.factor = factor

    def error_maps(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        grey = images[..., 0].astype(np.float32) / 255 * np.float32(self.factor)
        return grey[:, None, None]


def collect(paths: list[Path], cache: MapCache, session: FakeMaps, **keys: object) -> GoodMaps:
    preprocess = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE, overlap_px=8)
    calls = {"on_progress": no_progress, "on_skipped": lambda path, what: None, **keys}
    return collect_good_maps(session, paths, preprocess, cache, **calls)  # type: ignore[arg-type]


def save_good(folder: Path, n: int, shape: tuple[int, int] = (SIZE, SIZE)) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(n)]
    for i, path in enumerate(paths):
        save_picture(path, good_picture(i, shape))
    return paths


@given(scale=st.floats(1e-12, 1e12), seed=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_cached_maps_of_any_size_keep_eleven_bits(scale: float, seed: int) -> None:
    maps = (random_maps(seed, 3, 2)[0] * scale).astype(np.float32)
    with MapCache() as cache:
        cache.append(maps)
        found = cache.read(0, 2)
    assert np.abs(found - maps).max() <= HALF * maps.max()
    assert (np.abs(found - maps) <= HALF * np.abs(maps) + 2.0**-39 * maps.max()).all()


def test_maps_that_are_0_stay_0() -> None:
    with MapCache() as cache:
        cache.append(np.zeros((1, 2, 2, 8, 8), np.float32))
        assert not cache.read(0, 1).any()


def test_maps_come_back_picture_by_picture_a_batch_at_a_time() -> None:
    maps = random_maps(0, 3, n_tiles=BATCH + 1)
    with MapCache() as cache:
        parts = list(good_maps(maps, cache).maps(1))
    assert [tile.tolist() for tile, _ in parts] == [list(range(BATCH)), [BATCH]]
    assert np.concatenate([m for _, m in parts]) == pytest.approx(maps[1], rel=1e-3)


def test_the_graph_runs_once_for_each_tile(tmp_path: Path) -> None:
    session = FakeMaps()
    with MapCache() as cache:
        good = collect(save_good(tmp_path, 3, (SIZE, 3 * SIZE)), cache, session)
        assert sum(session.batches) == len(cache) == 3 * good.pictures[0].grid.n_tiles


def test_a_broken_picture_is_named_and_left_out(tmp_path: Path) -> None:
    paths = save_good(tmp_path, 3)
    paths[1].write_bytes(b"")
    skipped: dict[Path, str] = {}
    with MapCache() as cache:
        good = collect(paths, cache, FakeMaps(), on_skipped=skipped.__setitem__)
    assert [picture.path for picture in good.pictures] == [paths[0], paths[2]]
    assert list(skipped) == [paths[1]]
    assert "empty" in skipped[paths[1]]


def test_error_maps_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with MapCache() as cache, pytest.raises(CalibrationError, match=r"0\.png that are not finite"):
        collect(save_good(tmp_path, 1), cache, FakeMaps(np.nan))


def test_a_full_disk_is_named() -> None:
    with MapCache() as cache, open("/dev/full", "wb", buffering=0) as full:
        cache._file.close()
        cache._file = full
        with pytest.raises(OutputError, match="No space left"):
            cache.append(np.ones((1, 1, 1, 8, 8), np.float32))


def test_tile_places_are_known_only_where_all_pictures_are_cut_alike(tmp_path: Path) -> None:
    paths = save_good(tmp_path, 2, (SIZE, 56))
    with MapCache() as cache:
        assert collect(paths, cache, FakeMaps()).tile_places == ((0, 0), (0, 24))
        save_picture(paths[1], good_picture(0, (SIZE, 80)))
        assert collect(paths, cache, FakeMaps()).tile_places is None
