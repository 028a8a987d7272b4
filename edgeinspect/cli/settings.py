"""The words of options that more than one command has, as the settings that they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from edgeinspect.config import (
    Precision,
    ResizeRule,
    RunConfig,
    Target,
    default_preset,
    preset,
    with_settings,
)
from edgeinspect.errors import ConfigError

__all__ = [
    "pairs",
    "read_numbers",
    "read_precisions",
    "read_settings",
    "read_words",
    "resize_rule",
]


def read_settings(
    preset_name: str | None,
    settings: Sequence[str] | None,
    *,
    target: str = Target.FEATURES.value,
    seed: int = 0,
) -> RunConfig:
    """A preset with the words of a command line applied; `--set` wins.

    Without a name it is the target's default. Raises: ConfigError.
    """
    words = {"optimiser.seed": str(seed), **pairs(settings or [])}
    reconstructed = _target(target)
    name = default_preset(reconstructed) if preset_name is None else preset_name
    return with_settings(preset(name, reconstructed), words)


def _target(word: str) -> Target:
    names = [target.value for target in Target]
    if word not in names:
        raise ConfigError(f"target is {word!r}", hint=f"use one of {', '.join(names)}")
    return Target(word)


def pairs(settings: Sequence[str], *, form: str = "KEY=VALUE") -> dict[str, str]:
    """The words of `--set` as a dictionary; the last of a key counts.

    Raises: ConfigError for a word without a value, with the `form` that was expected.
    """
    for setting in settings:
        if "=" not in setting:
            raise ConfigError(f"--set {setting} has no value", hint=f"write {form}")
    return dict(setting.split("=", 1) for setting in settings)


def resize_rule(tile: bool | None) -> ResizeRule | None:
    """What `--tile/--no-tile` asks for; None lets the pictures' shapes decide."""
    return {None: None, True: ResizeRule.TILE, False: ResizeRule.SQUASH}[tile]


def read_words(text: str, option: str) -> tuple[str, ...]:
    """Names with commas between them, as an option gave them. Raises: ConfigError."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise ConfigError(f"{option} is {text!r}", hint="write names with commas between them")
    return words


def read_precisions(text: str) -> tuple[Precision, ...]:
    """Precisions with commas between them. Raises: ConfigError."""
    return tuple(Precision.parse(word) for word in read_words(text, "--precision"))


def read_numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers with commas between them. Raises: ConfigError."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}", hint="write numbers as 1,8") from error
