"""Sources and bundles for tests of streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeinspect.data.images import save_picture
from edgeinspect.errors import ImageError
from edgeinspect.stream.frames import Frame, Recorded
from tests.bundles import bad_picture, good_picture

KINDS = ("good", "bad", "broken", "small", "wide")


def picture_of(kind: str, seed: int) -> np.ndarray:
    shapes = {"small": (3, 4), "wide": (64, 160)}
    make = bad_picture if kind == "bad" else good_picture
    return make(seed, shapes.get(kind, (64, 64)))


class MadeSource:
    """Frames of the kinds asked for; `delivered` counts those that were taken from it."""

    def __init__(
        self, kinds: Sequence[str], *, is_live: bool = False, is_lossless: bool | None = None
    ) -> None:
        self.kinds = kinds
        self.is_live = is_live
        self.is_lossless = not is_live if is_lossless is None else is_lossless
        self.folders: set[Path] = set()
        self.n_delivered = 0
        self.n_skipped = 0

    @property
    def n_frames(self) -> int | None:
        return len(self.kinds)

    def skip(self, recorded: Recorded) -> None:
        self.n_skipped = recorded.next_seq

    def frames(self, stop: threading.Event | None = None) -> Generator[Frame, None, None]:
        for seq, kind in list(enumerate(self.kinds))[self.n_skipped :]:
            self.n_delivered += 1
            yield made_frame(seq, kind)


def made_frame(seq: int, kind: str = "good") -> Frame:
    is_broken = kind == "broken"
    return Frame(
        seq=seq,
        source=f"line/{seq}_{kind}.png",
        picture=None if is_broken else picture_of(kind, seq),
        error=ImageError(f"{seq}_{kind}.png is cut off") if is_broken else None,
        time_s=time.time(),
        started_s=time.perf_counter(),
        decode_ms=0.5,
    )


def make_pictures(folder: Path, kinds: Sequence[str]) -> Path:
    """A folder of files of the kinds asked for, named by their place."""
    folder.mkdir(parents=True)
    for i, kind in enumerate(kinds):
        path = folder / f"{i:03d}_{kind}.png"
        if kind == "broken":
            path.write_bytes(b"\x89PNG\r\n\x1a\nhalf")
        else:
            save_picture(path, picture_of(kind, i))
    return folder


def make_video(path: Path, n_frames: int, codec: str = "MJPG") -> Path:
    """Frames of 64 x 48 px at 10 a second, each redder than the one before."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for i in range(n_frames):
        bgr = np.zeros((48, 64, 3), np.uint8)
        bgr[..., 2] = min(255, 60 * i)
        video.write(bgr)
    video.release()
    return path


def read_records(out: Path) -> list[dict[str, Any]]:
    text = (out / "records.jsonl").read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
