"""Every error a user can cause, each with what happened, where, and what to do.

    EdgeInspectError
      ConfigError          a setting that cannot be, or does not exist
      DataError            a folder or file of pictures that cannot be used
        ImageError         one picture that cannot be read or judged
      BundleError          a bundle that is missing, damaged, too new, or in use
        NotCalibratedError the bundle has no constants and no threshold yet
      CalibrationError     good pictures that do not support what was asked
      TrainingError        training that cannot start or go on
        NonFiniteLossError the loss is no longer a number
      ExportError          a graph that does not compute what was trained
      EngineError          an engine or runtime that cannot be built, opened or run
        ParityError        an engine or runtime that does not compute what was trained
      OutputError          a place where nothing can be written
      SinkError            a sink whose other side is away, or refuses
      MissingPackageError  a package that an optional feature needs

`first_line` is what such an error quotes of one that is not ours. Bugs of ours raise
`AssertionError` and are not caught. The command line prints one line of an `EdgeInspectError` and
exits with code 2 (`edgeinspect.cli.main`).
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "CalibrationError",
    "ConfigError",
    "DataError",
    "EdgeInspectError",
    "EngineError",
    "ExportError",
    "ImageError",
    "MissingPackageError",
    "NonFiniteLossError",
    "NotCalibratedError",
    "OutputError",
    "ParityError",
    "SinkError",
    "TrainingError",
    "first_line",
]


class EdgeInspectError(Exception):
    """The root: trouble that the caller can act on.

    Args:
        what: what happened and where, with the values, as one sentence without a full stop.
        hint: what to do about it; best a command that can be copied.
    """

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return self.what if self.hint is None else f"{self.what}; {self.hint}"


class ConfigError(EdgeInspectError):
    """A setting that does not exist, or a combination that cannot be."""


class DataError(EdgeInspectError):
    """A folder, list or file of pictures that cannot be used."""


class ImageError(DataError):
    """One picture that cannot be read, or has a size or depth that cannot be judged."""


class BundleError(EdgeInspectError):
    """A bundle that is missing, damaged, of a newer schema, or locked by another process."""


class NotCalibratedError(BundleError):
    """The bundle holds a graph, but no constants and no threshold yet."""


class CalibrationError(EdgeInspectError):
    """Good pictures that do not support what was asked of them."""


class TrainingError(EdgeInspectError):
    """Training that cannot start or cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss became infinite or not a number; the last good checkpoint was kept."""


class ExportError(EdgeInspectError):
    """A graph that could not be made, or that differs from the trained model."""


class EngineError(EdgeInspectError):
    """A runtime or engine that cannot be built, opened or run."""


class ParityError(EngineError):
    """An engine or runtime whose answers are further from PyTorch's than the budgets allow."""


class OutputError(EdgeInspectError):
    """A place that cannot be written: not ours, no permission, or no space left."""


class SinkError(EdgeInspectError):
    """A sink whose other side is away, refuses, or cannot listen where it should."""


class MissingPackageError(EdgeInspectError):
    """A feature was asked for whose package is not installed."""

    def __init__(self, package: str, *, needed_for: str, extra: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package}, which is not installed",
            hint=f'run: pip install "edgeinspect[{extra}]"',
        )


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop; its class if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(error).__name__
