"""The named starting points: `paper`, `edge`, `tiny`, `fine` and `nano`."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import replace

from edgeinspect.config.choices import Form, Target
from edgeinspect.config.run import RunConfig
from edgeinspect.config.settings import (
    AugmentConfig,
    GeneratorConfig,
    LossConfig,
    OptimiserConfig,
    PreprocessConfig,
)
from edgeinspect.errors import ConfigError
from edgeinspect.suggestions import suggest

__all__ = ["PRESETS", "default_preset", "preset"]


def default_preset(target: Target) -> str:
    """The name of what finds most on a CPU (docs/decisions/0024).

    Synthetic defects choose `fine` for features on every part. Nothing measured speaks for its
    512 px with pixels, which would take four times as long.
    """
    return "fine" if target is Target.FEATURES else "tiny"


def preset(name: str, target: Target = Target.FEATURES) -> RunConfig:
    """The settings of a preset by name. Raises ConfigError, with the near name, if unknown.

    The target decides more than what is reconstructed:

    - Features are the default since they found most on real parts (docs/decisions/0009).
    - With features alone there are 8 x 8 tokens, except in `paper`: a quarter as many find as much
      (docs/decisions/0012). Adversarial and latent loss are off, as they look at pixels.
    - With features nothing is augmented: features of turned, mirrored or brightened pictures are
      rare on good ones, and what is learnt from them is wrong there (docs/decisions/0006).
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}", hint=suggest(name, PRESETS))
    found = PRESETS[name]
    if not target.has_features:
        blur_px = BLUR_PX if name in FAST else found.scoring.blur_px
        return replace(found, scoring=replace(found.scoring, blur_px=blur_px))
    generator = replace(found.generator, target=target)
    if target is Target.FEATURES and name in FAST:
        generator = replace(generator, patch=generator.size // FEATURE_SIDE)
    losses = found.losses
    if not target.has_pixels:
        losses = replace(losses, adversarial=0.0, latent=0.0)
    return replace(found, generator=generator, losses=losses, augment=UNCHANGED)


FEATURE_SIDE = 8  # tokens
BLUR_PX = 3  # of pixels' maps (docs/decisions/0017); `paper` keeps the paper's
FAST = ("edge", "tiny", "fine", "nano")
UNCHANGED = AugmentConfig(
    flip_horizontal=False, flip_vertical=False, rotate_deg=0.0, shift_px=0, brightness=0.0
)


def _small(name: str, generator: GeneratorConfig) -> RunConfig:
    """A preset that trains on a CPU in minutes: consistency alone, at a higher rate.

    The other two losses take four fifths of a step (docs/decisions/0004).
    """
    return RunConfig(
        preset=name,
        generator=generator,
        losses=LossConfig(adversarial=0.0, latent=0.0),
        optimiser=OptimiserConfig(learning_rate=5e-4),
        preprocess=PreprocessConfig(size=generator.size),
    )


TINY = GeneratorConfig(
    width=192, depth=4, decoder_width=128, decoder_depth=2, decoder_mlp_ratio=2.0
)


PRESETS: Mapping[str, RunConfig] = types.MappingProxyType(
    {
        "paper": RunConfig(
            preset="paper",
            generator=GeneratorConfig(form=Form.ALL, width=512, depth=7, decoder_depth=6),
        ),
        "edge": RunConfig(
            preset="edge",
            generator=GeneratorConfig(width=384, depth=6, decoder_width=192, decoder_depth=2),
        ),
        "tiny": _small("tiny", TINY),
        # Sees marks of half the size, and what only the surroundings tell (docs/decisions/0023).
        "fine": _small("fine", replace(TINY, size=512, feature_octaves=2)),
        "nano": _small(
            "nano", GeneratorConfig(width=128, depth=3, decoder_width=64, decoder_depth=1)
        ),
    }
)
