"""From words on the command line to sources."""

from __future__ import annotations

import glob
import importlib.metadata
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edgeinspect.data.images import (
    IMAGE_SUFFIXES,
    is_picture,
    list_pictures,
    natural_key,
    warn_of_unread,
    warn_of_unread_in,
)
from edgeinspect.errors import ConfigError, DataError, MissingPackageError
from edgeinspect.stream.frames import Source
from edgeinspect.stream.sources.files import PathsSource, PictureSource
from edgeinspect.stream.sources.video import VIDEO_SUFFIXES, VideoSource
from edgeinspect.suggestions import suggest, suggest_path

__all__ = ["SourceContext", "open_source", "open_sources"]

_log = logging.getLogger(__name__)

ENTRY_POINTS = "edgeinspect.sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source of a third party is told beside its address."""

    white_level_16bit: int = 65535


def open_sources(
    words: Sequence[str], *, white_level_16bit: int = 65535
) -> dict[str | None, Source]:
    """Sources by name: `NAME=SOURCE`; where a name is missing it is the place, from 1.

    One source without a name has None. Raises: ConfigError if two have the same name, DataError.
    """
    named: dict[str | None, Source] = {}
    for place, word in enumerate(words, start=1):
        name, text = _split_name(word)
        if name is None and len(words) > 1:
            name = str(place)
        if name in named:
            raise ConfigError(f"two sources are called {name}", hint="give each a name of its own")
        if text == "-" and any(isinstance(one, PathsSource) for one in named.values()):
            raise ConfigError("two sources read standard input", hint="name - once")
        named[name] = open_source(text, white_level_16bit=white_level_16bit)
    return named


def _split_name(word: str) -> tuple[str | None, str]:
    match = re.match(r"([A-Za-z0-9][\w-]*)=(.+)", word)
    if match is None or os.path.exists(word):
        return None, word
    return match[1], match[2]


def open_source(text: str, *, white_level_16bit: int = 65535) -> Source:
    """The source that a word means: see `edgeinspect run --help`.

    Raises: DataError if it is missing, or holds no picture; ConfigError if no source has its
        scheme; MissingPackageError.
    """
    from edgeinspect.stream.sources.captures import SCHEMES, is_capture, open_capture

    path = Path(text)
    if os.path.isdir(text) or (os.path.isfile(text) and not text.startswith("/dev/")):
        return _open_path(path, white_level_16bit)
    if text == "-":
        if sys.stdin is None:
            raise DataError("standard input is closed", hint="pipe paths into it, a line each")
        return PathsSource(sys.stdin.fileno(), white_level_16bit=white_level_16bit)
    if text == "watch:":  # a variable of the shell has no value
        raise DataError("watch: names no folder", hint="write watch:DIR")
    if text.startswith("watch:"):
        return _watch(Path(text.removeprefix("watch:")), white_level_16bit)
    if is_capture(text):
        return open_capture(text, white_level_16bit=white_level_16bit)
    theirs = importlib.metadata.entry_points(group=ENTRY_POINTS)
    scheme = text.partition(":")[0]
    if ":" in text and scheme in theirs.names:
        make = cast("Callable[[str, SourceContext], Source]", theirs[scheme].load())
        return make(text, SourceContext(white_level_16bit=white_level_16bit))
    if glob.has_magic(text):
        return PictureSource(_matches(text), white_level_16bit=white_level_16bit)
    if "://" in text:  # which may hold a password
        known = [*SCHEMES, *theirs.names]
        raise ConfigError(f"no source is called {scheme}://", hint=suggest(scheme, known))
    raise DataError(f"there is no {path}", hint=suggest_path(path))


def _open_path(path: Path, white_level_16bit: int) -> Source:
    if path.is_dir():
        pictures, deeper = list_pictures(path), _deeper_folder(path)
        if not pictures:
            hint = f"did you mean {deeper}?" if deeper else "it needs PNG, JPEG, BMP or TIFF"
            raise DataError(f"{path} holds no pictures", hint=hint)
        if deeper:
            _log.warning(
                "pictures in %s are not inspected, nor in any folder so deep in %s; '%s/**/*' takes"
                " them all",
                deeper,
                path,
                path,
            )
        warn_of_unread_in(path)
        return PictureSource(pictures, white_level_16bit=white_level_16bit)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSource(path)
    return PictureSource([path], white_level_16bit=white_level_16bit)


def _matches(pattern: str) -> list[Path]:
    """Pictures, in natural order; what else matches and holds some is told of."""
    found = sorted(map(Path, glob.glob(pattern, recursive=True)), key=natural_key)
    pictures = [p for p in found if is_picture(p)]
    if not pictures:
        raise DataError(f"no picture matches {pattern}", hint="quote the pattern, check the path")
    known = set(pictures)
    inside = (p for place in found if place not in known for p in place.glob("[!.]*"))
    if left_out := next((p for p in inside if is_picture(p) and p not in known), None):
        told = "pictures in %s, which matches, are not inspected; '%s/**/*' takes them all"
        _log.warning(told, left_out.parent, Path(pattern).parent)
    warn_of_unread(found, pattern)
    return pictures


def _deeper_folder(folder: Path) -> Path | None:
    """A folder with pictures that lies deeper than `list_pictures` looks; None if there is none."""
    deep = folder.glob("[!.]*/[!.]*/**/[!.]*")
    return next((path.parent for path in deep if path.suffix.lower() in IMAGE_SUFFIXES), None)


def _watch(folder: Path, white_level_16bit: int) -> Source:
    from edgeinspect.stream.sources.watching import WatchedFolder

    try:
        return WatchedFolder(folder, white_level_16bit=white_level_16bit)
    except ModuleNotFoundError as error:
        raise MissingPackageError("watchfiles", needed_for="watch:", extra="stream") from error
