"""`--preset`, `--set KEY=VALUE` and `--tile`, the same for every command that has them."""

from __future__ import annotations

from collections.abc import Sequence

from edgeinspect.config import ResizeRule, RunConfig, Target, preset, with_settings
from edgeinspect.errors import ConfigError

__all__ = ["pairs", "read_settings", "resize_rule"]


def read_settings(
    preset_name: str,
    settings: Sequence[str] | None,
    *,
    target: str = Target.FEATURES.value,
    seed: int = 0,
) -> RunConfig:
    """A preset with the words of a command line applied; `--set` wins. Raises: ConfigError."""
    words = {"optimiser.seed": str(seed), **pairs(settings or [])}
    return with_settings(preset(preset_name, _target(target)), words)


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
