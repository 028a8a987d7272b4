"""Where a sink stands: `scheme://host:port/path#option=value&option=value`.

Secrets never stand in it, because commands are seen by every user of a machine: they come from a
file (`#credentials=FILE`) or from the environment, and a whole address that is one, such as that
of a webhook, is read from a file (`@FILE`).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from edgeinspect.errors import ConfigError
from edgeinspect.suggestions import suggest

__all__ = ["LOOPBACK", "Address", "Credentials", "read_address"]

LOOPBACK = "127.0.0.1"
SHORTEST_S, LONGEST_S = 0.01, 3600.0  # for an answer
EXAMPLE = "it looks like mqtt://broker:1883/line1"
ENVIRONMENT = "EDGEINSPECT_SINK_"  # + USERNAME, PASSWORD, TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are to the other side; never shown, not even by `repr`."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A sink's address, taken apart.

    Attributes:
        url: all of it without our options, which may be secret; not in `repr`.
        name: what logs and records may say.
        host: "" if none was given; port: None if none was given.
    """

    scheme: str
    name: str
    host: str
    port: int | None
    path: str
    url: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def check_options(self, known: Collection[str]) -> None:
        """Refuse options that the sink does not have. Raises: ConfigError."""
        for option in self.options:
            if option not in known:
                what = f"the sink {self.name} has no option {option}"
                raise ConfigError(what, hint=suggest(option, known))

    def seconds(self, option: str, default: float) -> float:
        """How long to wait, as an option says. Raises: ConfigError."""
        return self._number(option, default, least=SHORTEST_S, most=LONGEST_S)

    def whole_number(self, option: str, default: int, *, most: int) -> int:
        """An option's value, from 0 to `most`. Raises: ConfigError."""
        value = self._number(option, default, least=0, most=most)
        if value != int(value):
            raise ConfigError(f"the option {option} of the sink {self.name} is no whole number")
        return int(value)

    def _number(self, option: str, default: float, *, least: float, most: float) -> float:
        text = self.options.get(option)
        try:
            value = default if text is None else float(text)
        except ValueError as error:
            what = f"the option {option} of the sink {self.name} is no number: {text}"
            raise ConfigError(what) from error
        if not least <= value <= most:
            raise ConfigError(
                f"the option {option} of the sink {self.name} is {text}",
                hint=f"it may be from {least:g} to {most:g}",
            )
        return value

    def file(self, option: str) -> Path | None:
        """A file that an option names. Raises: ConfigError if it cannot be read."""
        text = self.options.get(option)
        if text is None:
            return None
        if not os.access(text, os.R_OK):
            raise ConfigError(f"{option} {text} of the sink {self.name} cannot be read")
        return Path(text)

    def credentials(self) -> Credentials:
        """From the file that the option `credentials` names, else from the environment.

        Raises: ConfigError if the file cannot be read, or has another line.
        """
        path = self.file("credentials")
        if path is not None:
            return _read_credentials(path)
        names = [f.name for f in dataclasses.fields(Credentials)]
        return Credentials(**{name: os.environ.get(ENVIRONMENT + name.upper()) for name in names})


def read_address(text: str) -> Address:
    """Take an address apart; `@FILE` reads it from a file's first line.

    Raises: ConfigError if it is none, or holds a password.
    """
    is_secret = text.startswith("@")
    if is_secret:
        text = _lines(Path(text[1:]), "a sink's address")[0].strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        # without the words of the error, which may hold a password
        raise ConfigError("the host or port of a sink's address is wrong", hint=EXAMPLE) from error
    if not parts.scheme or "://" not in text:
        shown = "that file" if is_secret or "@" in text else text
        raise ConfigError(f"no sink is meant by {shown}", hint=EXAMPLE)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"the sink {parts.scheme}://{host} has a user or password in its address, where every"
            " user of the machine can read it",
            hint="put username=... and password=... into a file, add #credentials=FILE",
        )
    where = host if port is None else f"{host}:{port}"
    path = parts.path.strip("/")
    is_web = parts.scheme in ("http", "https")  # such addresses are secrets themselves
    return Address(
        scheme=parts.scheme,
        name=f"{parts.scheme}://{where}" + (f"/{path}" if path and not is_web else ""),
        host=host,
        port=port,
        path=path,
        url=text.partition("#")[0],
        options=dict(parse_qsl(parts.fragment, keep_blank_values=True)),
    )


def _lines(path: Path, what: str) -> list[str]:
    """Of a file, at least one; what it holds is never told."""
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {what} from {path}", hint="it is text in UTF-8") from error


def _read_credentials(path: Path) -> Credentials:
    """Lines of `username=...`, `password=...`, `token=...`."""
    known = {f.name for f in dataclasses.fields(Credentials)}
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(path, "credentials"), start=1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or name.strip() not in known:
            what = f"line {number} of the credentials {path} is not understood"
            raise ConfigError(what, hint=f"it may have {', '.join(sorted(known))}, each =VALUE")
        found[name.strip()] = value.strip()
    return Credentials(**found)
