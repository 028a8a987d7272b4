"""All that a training run is started with: the settings of every subject, checked together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgeinspect.config.choices import Measure
from edgeinspect.config.settings import (
    AugmentConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    OptimiserConfig,
    PreprocessConfig,
    ScoringConfig,
)
from edgeinspect.errors import ConfigError

__all__ = ["RunConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """All that a training run is started with."""

    preset: str = "tiny"
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    def __post_init__(self) -> None:
        if self.preprocess.size != self.generator.size:
            raise ConfigError(
                f"preprocess.size is {self.preprocess.size}, generator.size {self.generator.size}",
                hint="set size=..., which sets both",
            )
        if not self.generator.target.has_pixels and (self.losses.adversarial or self.losses.latent):
            raise ConfigError(
                "losses.adversarial and losses.latent compare pictures, and target features"
                " reconstructs none",
                hint="set both to 0, or target=both",
            )
        self._check_losses()
        self._check_discriminator()
        # Frozen from here on: the measures follow from the target.
        object.__setattr__(self, "scoring", replace(self.scoring, measures=self._measures()))
        self._check_sizes()

    def _check_discriminator(self) -> None:
        """Even tokens merge into odd ones, so that each of its blocks needs two."""
        if not self.losses.adversarial or not self.discriminator.merge:
            return
        n, depth, r = self.generator.n_tokens, self.discriminator.depth, self.discriminator.merge
        for block in range(1, depth + 1):
            if n < 2:
                raise ConfigError(
                    f"discriminator.merge is {r}, and no two of {self.generator.n_tokens} tokens"
                    f" are left for block {block} of {depth}",
                    hint=f"set it to at most {self.generator.n_tokens // (depth + 1)}",
                )
            n -= min(r, (n + 1) // 2)

    def _check_sizes(self) -> None:
        """What looks around a pixel must not look at all of the picture at once."""
        generator, blur_px = self.generator, self.scoring.blur_px
        block_px = max(generator.mask_scales) * generator.patch
        if blur_px > block_px:
            raise ConfigError(
                f"scoring.blur_px is {blur_px} px, more than the largest mask block, {block_px} px:"
                " defects would be blurred away",
                hint="use 1 (no blur), 3 or 5",
            )
        if self.augment.shift_px > generator.size:
            raise ConfigError(
                f"augment.shift_px is {self.augment.shift_px} px, more than an image's side,"
                f" {generator.size} px",
                hint="use a few px: as far as parts lie from each other's place",
            )
        if Measure.MSGMS in self.scoring.measures and generator.size % 4:
            raise ConfigError(
                f"size is {generator.size} px, which the measure msgms cannot halve twice",
                hint="use a multiple of 4, or scoring.measures=l1,ssim",
            )

    def _check_losses(self) -> None:
        """Pixels and features, whichever are reconstructed, must be taught by a term of eq. 1."""
        target, losses = self.generator.target, self.losses
        if target.has_pixels and not (losses.l1 or losses.ssim or losses.gradient):
            raise ConfigError(
                "losses.l1, losses.ssim and losses.gradient are 0: nothing would ask for the"
                f" pixels of target {target.value}",
                hint="set one of them above 0",
            )
        if target.has_features and not losses.features:
            raise ConfigError(
                "losses.features is 0: nothing would ask for the features of target"
                f" {target.value}",
                hint="set it above 0, or target=pixels",
            )

    def _measures(self) -> tuple[Measure, ...]:
        target = self.generator.target
        of_pixels = tuple(m for m in self.scoring.measures if not m.is_of_features)
        if target.has_pixels and not of_pixels:
            raise ConfigError(
                "scoring.measures names none of pixels, which the target has",
                hint="name some, such as l1,ssim,msgms (--target chooses them by itself)",
            )
        of_features = (Measure.FEATURES, Measure.WHOLE) if target.has_features else ()
        return (of_pixels if target.has_pixels else ()) + of_features
