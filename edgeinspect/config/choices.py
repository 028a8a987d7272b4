"""The closed sets that settings choose from; the values are what JSON and command lines hold."""

from __future__ import annotations

import enum

from edgeinspect.config.limits import TOP_K_LIMIT
from edgeinspect.errors import ConfigError

__all__ = [
    "Equalisation",
    "Form",
    "Measure",
    "Normalisation",
    "Precision",
    "Prior",
    "ResizeRule",
    "Rule",
    "Statistic",
    "Target",
]


class Form(str, enum.Enum):
    """Which tokens the encoder sees and the decoder computes (docs/method.md)."""

    ALL = "all"
    VISIBLE = "visible"
    CROSS = "cross"


class Prior(str, enum.Enum):
    """What the generator's output is added to: the smooth fill, or nothing (the paper's)."""

    FILL = "fill"
    NONE = "none"


class Target(str, enum.Enum):
    """What is reconstructed: the picture's pixels, a frozen backbone's features of it, or both."""

    PIXELS = "pixels"
    FEATURES = "features"
    BOTH = "both"

    @property
    def has_pixels(self) -> bool:
        return self is not Target.FEATURES

    @property
    def has_features(self) -> bool:
        return self is not Target.PIXELS


class Precision(str, enum.Enum):
    """The type of a graph's matrix products and convolutions, or of most of them (INT8)."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"

    @classmethod
    def parse(cls, text: str) -> Precision:
        """The precision of that name. Raises: ConfigError that lists them."""
        try:
            return cls(text)
        except ValueError as error:
            *names, last = (p.value for p in cls)
            hint = f"use {', '.join(names)} or {last}"
            raise ConfigError(f"precision is {text!r}", hint=hint) from error


class Equalisation(str, enum.Enum):
    """Whether each image is brought to one mean and spread before anything else."""

    NONE = "none"
    SPREAD = "spread"


class ResizeRule(str, enum.Enum):
    """How a picture of any shape becomes images of the model's size."""

    SQUASH = "squash"
    TILE = "tile"


class Measure(str, enum.Enum):
    """How reconstruction and image are compared: pixel by pixel, token by token in features, or
    as wholes: the mean of an image's features against those of good parts.
    """

    L1 = "l1"
    L2 = "l2"
    SIGNED = "signed"
    SSIM = "ssim"
    MSGMS = "msgms"
    FEATURES = "features"
    WHOLE = "whole"

    @property
    def is_of_features(self) -> bool:
        return self in (Measure.FEATURES, Measure.WHOLE)

    @property
    def has_places(self) -> bool:
        """Whether its map says where; else it is the same all over the image."""
        return self is not Measure.WHOLE


class Statistic(str, enum.Enum):
    """One number for one error map."""

    MEAN = "mean"
    TOP_1_PERCENT = "top_1_percent"
    TOP_01_PERCENT = "top_01_percent"
    MAX = "max"

    def top_k(self, n_pixels: int) -> int:
        """Of how many of a map's pixels, the largest, it is the mean: 1 to 3839; 0 for all."""
        if self is Statistic.MEAN:
            return 0
        share = {Statistic.TOP_1_PERCENT: 0.01, Statistic.TOP_01_PERCENT: 0.001}.get(self, 0.0)
        return min(max(1, round(share * n_pixels)), TOP_K_LIMIT)


class Normalisation(str, enum.Enum):
    """By which good-part statistics an error map is divided."""

    NONE = "none"
    BLOCK = "block"
    PIXEL = "pixel"


class Rule(str, enum.Enum):
    """How statistics become the score that the verdict uses; the order is the graph's."""

    PAPER = "paper"
    PEAK = "peak"
    MAHALANOBIS = "mahalanobis"
