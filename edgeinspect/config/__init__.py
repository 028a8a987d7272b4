"""Every setting of the product, as frozen dataclasses that cannot hold a bad combination.

    choices.py   the closed sets (forms, measures, rules, ...)
    limits.py    how large or small a setting may be
    settings.py  one class a subject
    run.py       `RunConfig`: all that `train` is started with
    presets.py   values of these classes by name
    plain.py     settings as plain JSON and as `key=value` words

Knows no torch.
"""

from __future__ import annotations

from edgeinspect.config.choices import (
    Equalisation,
    Form,
    Measure,
    Normalisation,
    Precision,
    Prior,
    ResizeRule,
    Rule,
    Statistic,
    Target,
)
from edgeinspect.config.limits import (
    HEAD_WIDTH,
    MAX_ENLARGEMENT,
    MOST_CELLS,
    TOP_K_LIMIT,
)
from edgeinspect.config.plain import from_dict, to_dict, with_settings
from edgeinspect.config.presets import PRESETS, default_preset, preset
from edgeinspect.config.run import RunConfig
from edgeinspect.config.settings import (
    FADE_SHARE,
    AugmentConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    OptimiserConfig,
    PreprocessConfig,
    ScoringConfig,
)

__all__ = [
    "FADE_SHARE",
    "HEAD_WIDTH",
    "MAX_ENLARGEMENT",
    "MOST_CELLS",
    "PRESETS",
    "TOP_K_LIMIT",
    "AugmentConfig",
    "DiscriminatorConfig",
    "Equalisation",
    "Form",
    "GeneratorConfig",
    "LossConfig",
    "Measure",
    "Normalisation",
    "OptimiserConfig",
    "Precision",
    "PreprocessConfig",
    "Prior",
    "ResizeRule",
    "Rule",
    "RunConfig",
    "ScoringConfig",
    "Statistic",
    "Target",
    "default_preset",
    "from_dict",
    "preset",
    "to_dict",
    "with_settings",
]
