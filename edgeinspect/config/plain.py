"""Settings as plain JSON and as `key=value` words: one reader, one writer.

Runs and bundles carry the plain form; `--set` changes it before it becomes settings again.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from edgeinspect.config.choices import ResizeRule
from edgeinspect.config.run import RunConfig
from edgeinspect.errors import ConfigError
from edgeinspect.suggestions import suggest

__all__ = ["from_dict", "to_dict", "with_settings"]


def with_settings(config: RunConfig, settings: Mapping[str, str]) -> RunConfig:
    """A copy with `key=value` pairs from a command line applied.

    A key is `part.field` (`losses.adversarial`) or a bare field: the generator's where it has
    one of that name, else of the one part that has. `size` sets the generator's and the
    preprocessing's; `scale` without `resize` means tiles. All pairs are applied together, then
    checked.
    Raises: ConfigError for an unknown or ambiguous key, a value of the wrong type, or a
        combination that cannot be.
    """
    plain = to_dict(config)
    for key, text in settings.items():
        part, name = _locate(key)
        value = _parse(text)
        for owner in ("generator", "preprocess") if name == "size" else (part,):
            plain[owner][name] = value
    if plain["preprocess"]["scale"] is not None and not any("resize" in key for key in settings):
        plain["preprocess"]["resize"] = ResizeRule.TILE.value
    changed = from_dict(RunConfig, plain)
    if any(_locate(key) == ("scoring", "measures") for key in settings):
        _refuse_other_measures(plain["scoring"]["measures"], changed)
    return changed


def _refuse_other_measures(asked: Any, config: RunConfig) -> None:
    """Measures of what the target does not reconstruct are left out of a config without a word."""
    given = to_dict(config.scoring)["measures"]
    other = [name for name in (asked if isinstance(asked, list) else [asked]) if name not in given]
    if other:
        raise ConfigError(
            f"scoring.measures names {', '.join(other)}, of which target"
            f" {config.generator.target.value} knows nothing",
            hint=f"it has {', '.join(given)}",
        )


def to_dict(config: Any) -> dict[str, Any]:
    """The plain form (JSON types only) of any settings class."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


ConfigT = TypeVar("ConfigT")


def from_dict(cls: type[ConfigT], plain: Mapping[str, Any], *, where: str = "") -> ConfigT:
    """Build a settings class from its plain form.

    Raises: ConfigError for an unknown key (with the near one) or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    for key in plain:
        if key not in hints:
            raise ConfigError(f"there is no setting {where}{key}", hint=suggest(key, hints))
    return cls(**{k: _typed(hints[k], v, f"{where}{k}") for k, v in plain.items()})


def _typed(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, or a ConfigError that names the place and what fits."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if value is None and type(None) in args:
            return None
        is_list = isinstance(value, list | tuple)
        options = [a for a in args if (typing.get_origin(a) is tuple) == is_list]
        return _typed((options or args)[0], value, where)
    if origin is tuple:
        values = value if isinstance(value, list | tuple) else [value]
        return tuple(_typed(args[0], v, where) for v in values)
    if origin is dict or dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {value!r}, which is not a group of settings")
        if origin is dict:
            return {name: _typed(args[1], v, f"{where}.{name}") for name, v in value.items()}
        return from_dict(typing.cast(type, kind), value, where=f"{where}.")
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        names = [str(e.value) for e in kind]
        if value not in names:
            raise ConfigError(f"{where} is {value!r}", hint=f"use one of {', '.join(names)}")
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is not type(value) or (kind is float and not math.isfinite(value)):
        raise ConfigError(f"{where} is {value!r}, which is not {_TYPE_NAMES[kind]}")
    return value


_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _parse(text: str) -> Any:
    """The plain value that a command line's text stands for: `1,2` a list, `null` a None."""
    if "," in text:
        return [_parse(part) for part in text.split(",") if part]
    words = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _locate(key: str) -> tuple[str, str]:
    """(part, field) of a key."""
    parts = {
        name: [f.name for f in dataclasses.fields(kind)]
        for name, kind in typing.get_type_hints(RunConfig).items()
        if dataclasses.is_dataclass(kind)
    }
    part, dot, name = key.partition(".")
    if dot:
        if name in parts.get(part, []):
            return part, name
    else:
        owners = [p for p, names in parts.items() if key in names]
        if "generator" in owners:
            return "generator", key
        if len(owners) == 1:
            return owners[0], key
        if owners:
            raise ConfigError(
                f"{key} is a setting of {' and '.join(owners)}", hint=f"write {owners[0]}.{key}"
            )
    known = [f"{p}.{n}" if dot else n for p, names in parts.items() for n in names]
    raise ConfigError(f"there is no setting {key}", hint=suggest(key, known))
