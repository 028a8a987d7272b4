"""A small run that training tests share: six pictures of 64 px, a small model, few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeinspect.config import RunConfig, Target, preset, with_settings
from edgeinspect.data.images import save_picture
from tests.backbones import FEATURES

SMALL = {
    "size": "64",
    "patch": "8",
    "mask_scales": "1,2",
    "width": "64",
    "depth": "1",
    "decoder_depth": "1",
    "discriminator.depth": "2",
    "batch": "2",
    "holdout": "0.34",
    "learning_rate": "0.001",
    "decoder_width": "64",
    "adversarial": "1",
    "latent": "1",
}


def small_config(**settings: str) -> RunConfig:
    """The preset `nano` made small, with all losses; `a__b` stands for the key `a.b`."""
    changes = {key.replace("__", "."): value for key, value in settings.items()}
    return with_settings(preset("nano", Target.PIXELS), SMALL | changes)


def feature_config(target: str, **settings: str) -> RunConfig:
    """The same with features of the tiny backbone; losses of pictures only where there are any."""
    none = {"adversarial": "0", "latent": "0"} if target == "features" else {}
    return small_config(target=target, **FEATURES, **none, **settings)


def write_good(folder: Path, n: int = 6, size: tuple[int, int] = (64, 64)) -> Path:
    """Pictures with something to learn: stripes at a random phase, and a little noise."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        phase = rng.uniform(0, 6)
        stripes = 128 + 60 * np.sin(np.arange(size[1]) / 3 + phase)
        grey = np.broadcast_to(stripes, size) + rng.normal(0, 4, size)
        picture = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
        save_picture(folder / f"part-{i:02d}.png", picture)
    return folder
