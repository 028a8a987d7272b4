"""The settings, one frozen dataclass a subject; a bad combination cannot be built.

Defaults live here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeinspect.config.choices import (
    Equalisation,
    Form,
    Measure,
    Prior,
    ResizeRule,
    Statistic,
    Target,
)
from edgeinspect.config.limits import (
    LARGEST_BATCH,
    LARGEST_SEED,
    LARGEST_WHITE,
    MAX_ENLARGEMENT,
    MOST_BLOCKS,
    MOST_CELLS,
    MOST_OCTAVES,
    require_at_least,
    require_at_most,
    require_heads,
)
from edgeinspect.errors import ConfigError

__all__ = [
    "FADE_SHARE",
    "AugmentConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "LossConfig",
    "OptimiserConfig",
    "PreprocessConfig",
    "ScoringConfig",
]

FADE_SHARE = 1 / 12  # of a block's side, over which the smooth fill fades (`model.fill`)
FEATURE_STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """The masked reconstruction network and the masks it is built on.

    `size` and `patch` are pixels, `mask_scales` block sides in patches. A `None` in a decoder
    field means "as the encoder". `depth` counts the encoder's blocks with the middle one.
    `merge` tokens are merged away in each encoder block: one number, or one a block.
    `backbone` (a name of timm), `feature_strides` (px), `feature_window` (cells whose mean a
    feature is, each way; 1: the cell alone), `feature_memory` (good features that others are
    compared with; 0: none) and `feature_octaves` (sizes of an image that they are taken from, each
    half the one before) matter to targets with features.
    """

    size: int = 256
    patch: int = 16
    mask_scales: tuple[int, ...] = (1, 2, 4)
    form: Form = Form.CROSS
    prior: Prior = Prior.FILL
    target: Target = Target.PIXELS
    backbone: str = "tf_efficientnet_lite0"
    feature_strides: tuple[int, ...] = (8, 16, 32)
    feature_window: int = 3
    feature_memory: int = 8000
    feature_octaves: int = 1
    width: int = 384
    depth: int = 6
    mlp_ratio: float = 4.0
    decoder_width: int | None = None
    decoder_depth: int = 6
    decoder_mlp_ratio: float | None = None
    merge: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        require_heads("width", self.width)
        require_heads("decoder_width", self.width_of_decoder)
        require_at_least(self, depth=1, decoder_depth=1, patch=1, mlp_ratio=0.25)
        require_at_least(self, feature_memory=0, feature_octaves=1)
        require_at_most(
            self, depth=MOST_BLOCKS, decoder_depth=MOST_BLOCKS, feature_memory=MOST_CELLS,
            feature_octaves=MOST_OCTAVES,
        )  # fmt: skip
        if self.decoder_mlp_ratio is not None:
            require_at_least(self, decoder_mlp_ratio=0.25)
        if not self.mask_scales or min(self.mask_scales) < 1:
            raise ConfigError(f"mask_scales is {self.mask_scales}: at least one block side of 1")
        fits = 2 * math.lcm(*self.mask_scales) * self.patch
        for block in self.mask_scales:
            step = 2 * block * self.patch
            if self.size < step or self.size % step:
                raise ConfigError(
                    f"size is {self.size} px, which mask blocks of {block * self.patch} px do not"
                    " halve",
                    hint=f"use a multiple of {fits} px, or a smaller patch",
                )
        if self.target is Target.FEATURES and self.prior is not Prior.FILL:
            raise ConfigError(f"prior is {self.prior.value}, which target features does not have")
        if self.target.has_features:
            self._check_features()
        self._check_merge()

    def _check_merge(self) -> None:
        """Refuse more merges than a block can make.

        Form `cross` has fewer tokens after each block, and keeps a quarter of them to the end. The
        others begin each block with all tokens, and merge at most half of each visible half.
        """
        merge = self.merge_of_blocks
        if len(merge) != self.depth or min(merge) < 0:
            raise ConfigError(
                f"merge is {self.merge}, for {self.depth} blocks",
                hint="give one number for all blocks, or one a block, none below 0",
            )
        n, kept = self.n_tokens_encoded, self.n_tokens_encoded // 4
        for block, r in enumerate(merge, start=1):
            is_cross = self.form is Form.CROSS
            most = min(n // 2, n - kept) if is_cross else self.n_tokens // 4
            if r > most:
                raise ConfigError(
                    f"merge is {self.merge}, but block {block} of form {self.form.value}, on {n}"
                    f" tokens, can merge at most {most}"
                )
            n -= r if is_cross else 0

    def _check_features(self) -> None:
        strides, window = self.feature_strides, self.feature_window
        if window < 1 or window % 2 == 0:
            raise ConfigError(f"feature_window is {window}: it must be odd (1: no mean)")
        if (
            not strides
            or len(set(strides)) != len(strides)
            or not set(strides) <= set(FEATURE_STRIDES)
        ):
            raise ConfigError(
                f"feature_strides is {strides}: name each once, of"
                f" {', '.join(str(s) for s in FEATURE_STRIDES)}"
            )
        reduced = 2 ** (self.feature_octaves - 1)  # times, in the smallest octave
        for stride in (stride * reduced for stride in strides):
            n_cells, n_tokens = self.size // stride, self.size // self.patch
            if self.size % stride or (n_cells % n_tokens and n_tokens % n_cells):
                raise ConfigError(
                    f"features every {stride} px do not fit tokens of {self.patch} px on"
                    f" {self.size} px",
                    hint="use a patch of 16, 32 or 64, and a size that both divide",
                )

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Sides of the images that features are taken from, px, the largest first."""
        return tuple(self.size // 2**octave for octave in range(self.feature_octaves))

    @property
    def n_tokens(self) -> int:
        return (self.size // self.patch) ** 2

    @property
    def n_tokens_encoded(self) -> int:
        """Tokens that enter the encoder in one masked pass."""
        return self.n_tokens if self.form is Form.ALL else self.n_tokens // 2

    @property
    def merge_of_blocks(self) -> tuple[int, ...]:
        """Tokens merged away in each encoder block."""
        return (self.merge,) * self.depth if isinstance(self.merge, int) else self.merge

    @property
    def n_scales(self) -> int:
        return len(self.mask_scales)

    @property
    def n_passes(self) -> int:
        """Masked reconstructions of one image: two complements a scale."""
        return 2 * len(self.mask_scales)

    @property
    def width_of_decoder(self) -> int:
        return self.width if self.decoder_width is None else self.decoder_width

    @property
    def mlp_ratio_of_decoder(self) -> float:
        return self.mlp_ratio if self.decoder_mlp_ratio is None else self.decoder_mlp_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorConfig:
    """The network that tells images from reconstructions; `merge` tokens go in each block."""

    width: int | None = None
    depth: int = 8
    merge: int = 2

    def __post_init__(self) -> None:
        require_at_least(self, depth=2, merge=0)
        require_at_most(self, depth=MOST_BLOCKS)
        if self.width is not None:
            require_heads("discriminator.width", self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of eq. 5 and eq. 1; a weight of 0 leaves the term out, network and all.

    `features` is the weight of the features' distance within the consistency loss. All that a
    target reconstructs needs a term above 0 (`RunConfig`).
    """

    adversarial: float = 1.0
    latent: float = 1.0
    consistency: float = 20.0
    l1: float = 1.0
    ssim: float = 1.0
    gradient: float = 1.0
    features: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(self, adversarial=0, latent=0, l1=0, ssim=0, gradient=0, features=0)
        if not self.consistency > 0:
            raise ConfigError(
                f"consistency is {self.consistency:g}: nothing would ask for a good reconstruction"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Random changes of a good part that leave it good; 0 or false turns one off."""

    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotate_deg: float = 3.0
    shift_px: int = 8
    brightness: float = 0.1

    def __post_init__(self) -> None:
        require_at_least(self, rotate_deg=0, shift_px=0, brightness=0)
        require_at_most(self, rotate_deg=180, brightness=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW with warm-up and a cosine, and how pictures are fed to it.

    `holdout` is the share of the good pictures that training never sees: they choose the best
    checkpoint. `precision` is Lightning Fabric's name ("auto": on a GPU bf16-mixed, or 16-mixed
    where it has no bfloat16; on a CPU 32-true).
    """

    batch: int = 8
    learning_rate: float = 1e-4
    final_learning_rate_share: float = 0.01
    weight_decay: float = 0.05
    warmup_share: float = 0.05
    clip_norm: float = 1.0
    holdout: float = 0.1
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self, batch=1, weight_decay=0, clip_norm=0, seed=0)
        require_at_most(self, batch=LARGEST_BATCH, seed=LARGEST_SEED)
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}: it must be above 0")
        for name in ("holdout", "warmup_share", "final_learning_rate_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}: it must be at least 0 and below 1"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessConfig:
    """From a decoded picture to images of `size` x `size` (docs/method.md).

    `scale` is pixels of the model per pixel of the picture; `None` brings the short side to
    `size`. `white_level_16bit` is what a 16-bit file holds for white (4095 for 12-bit cameras);
    at its default, `train` looks at the pictures and stores what it found.
    """

    size: int = 256
    resize: ResizeRule = ResizeRule.SQUASH
    scale: float | None = None
    overlap_px: int = 32
    equalise: Equalisation = Equalisation.NONE
    white_level_16bit: int = LARGEST_WHITE

    def __post_init__(self) -> None:
        require_at_least(self, size=1, white_level_16bit=255)
        require_at_most(self, white_level_16bit=LARGEST_WHITE)
        if not 0 <= self.overlap_px < self.size:
            raise ConfigError(f"overlap_px is {self.overlap_px}: it must be 0 to {self.size - 1}")
        if self.scale is not None and not 0 < self.scale <= MAX_ENLARGEMENT:
            raise ConfigError(
                f"scale is {self.scale}: it must be above 0 and at most {MAX_ENLARGEMENT:g}"
            )
        if self.scale is not None and self.resize is ResizeRule.SQUASH:
            raise ConfigError(
                "scale was set, but whole pictures are resized", hint="set resize=tile"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringConfig:
    """What is fixed in the graph when it is exported; the rest are its inputs.

    Statistics are ordered measure by measure, scale by scale: S = K * I * len(statistics).
    The paper's rule reads the mean of the first measure, so `mean` is always computed. Only the
    measures of pixels are chosen here: `RunConfig` keeps them if the target has pixels, and adds
    `features` and `whole` if it has features.
    """

    measures: tuple[Measure, ...] = (Measure.L1, Measure.SSIM, Measure.MSGMS)
    statistics: tuple[Statistic, ...] = (Statistic.MEAN, Statistic.TOP_01_PERCENT, Statistic.MAX)
    blur_px: int = 1

    def __post_init__(self) -> None:
        for name, values in (("measures", self.measures), ("statistics", self.statistics)):
            if not values or len(set(values)) != len(values):
                raise ConfigError(f"{name} is {[v.value for v in values]}: name each once")
        if Statistic.MEAN not in self.statistics:
            raise ConfigError("statistics lacks mean, which the paper's rule reads (eq. 8)")
        if self.blur_px < 1 or self.blur_px % 2 == 0:
            raise ConfigError(f"blur_px is {self.blur_px}: it must be odd (1: no blur)")

    def n_statistics(self, n_scales: int) -> int:
        return len(self.measures) * n_scales * len(self.statistics)

    @property
    def n_placed(self) -> int:
        """How many measures, the first ones, have maps that say where."""
        return sum(measure.has_places for measure in self.measures)

    @property
    def mean_index(self) -> int:
        """Which of a map's statistics is the mean."""
        return self.statistics.index(Statistic.MEAN)
