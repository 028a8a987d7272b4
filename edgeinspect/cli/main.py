"""`edgeinspect`: finds the command's module, runs it, and turns trouble into one line.

Each command is the function of its own name in `edgeinspect.cli.NAME`, `-` being `_` there. Only
the one that was asked for is imported; the others stand in `--help` by the line of the table below,
which a test holds equal to their docstrings. This is the only place that prints errors and sets
exit codes: 0 done, 1 what the command says (`run`: not every part is OK), 2 trouble, 130
interrupted.
"""

from __future__ import annotations

import functools
import importlib
import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Annotated, Any, NoReturn

import typer

import edgeinspect
from edgeinspect.errors import EdgeInspectError, MissingPackageError
from edgeinspect.interruption import termination_interrupts

__all__ = ["COMMANDS", "EXIT_INTERRUPTED", "build_app", "main", "trouble_as_one_line"]

COMMANDS = MappingProxyType(
    {
        "fit": "Turn a folder of good pictures into a calibrated bundle.",
        "train": "Train a model on good pictures.",
        "export": "Turn a training run into a bundle.",
        "calibrate": "Give a bundle its statistics and threshold.",
        "build-engine": "Build a bundle's engine for a GPU, and prove it.",
        "verify": "Compare this machine's answers with those of PyTorch.",
        "evaluate": "Measure a bundle on labelled pictures.",
        "bench": "Measure how fast a bundle is on this machine.",
        "plan": "Find settings that meet a deadline here.",
        "run": "Judge pictures with a bundle.",
        "report": "Write a page about a run.",
        "synth": "Make synthetic parts, or paste defects onto good pictures.",
        "demo": "Inspect synthetic parts and write a page about it.",
        "doctor": "Show what this machine has, and what installs the rest.",
    }
)

EXTRAS = MappingProxyType(
    {
        **dict.fromkeys(("torch", "torchvision", "timm", "lightning_fabric"), "train"),
        **dict.fromkeys(("onnx", "onnxscript", "onnxsim", "safetensors"), "train"),
        "tensorrt": "tensorrt",
        "tensorrt_rtx": "tensorrt-rtx",
        "pycuda": "pycuda",
    }
)

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, wherever typer has it
EXIT_TROUBLE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process. `arguments` None: the process's own."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = next((word for word in words if not word.startswith("-")), None)
    _print_any_text()
    code: int | str | None
    try:
        with trouble_as_one_line(command), termination_interrupts():
            _refuse_empty(words)
            app = build_app(command)
            answer = app(args=words or ["--help"], prog_name="edgeinspect", standalone_mode=False)
            code = answer if isinstance(answer, int) else 0
    except SystemExit as left:
        code = left.code
    except Exception:  # a bug of ours; 1 would be an answer of `run`
        traceback.print_exc()
        code = EXIT_TROUBLE
    if command == "run" and arguments is None:
        _leave_threads_behind(code)
    sys.exit(code)


def _leave_threads_behind(code: int | str | None) -> None:
    """Leave the process at once if it has threads that did not come back, such as a camera's.

    A thread inside FFmpeg that comes back while Python ends aborts the process, and its exit code.
    """
    if not any(thread.daemon for thread in threading.enumerate()):
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code if isinstance(code, int) else EXIT_TROUBLE)


def _print_any_text() -> None:
    """A file's name need not be UTF-8, and a terminal need not know all that is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def build_app(command: str | None) -> typer.Typer:
    """The application with `command` imported and every other command as its help line."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,  # it would not know the options of modules not imported
        rich_markup_mode=None,  # rich alone takes longer than the rest of --help
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog="Each command has its own --help, with an example.")(_global_options)
    for name, line in COMMANDS.items():
        if name == command:
            function = name.replace("-", "_")
            module = importlib.import_module(f"edgeinspect.cli.{function}")
            app.command(name)(_told(getattr(module, function)))
        else:
            app.command(name, help=line)(_not_imported)
    return app


@contextmanager
def trouble_as_one_line(command: str | None) -> Iterator[None]:
    """Print what a caller can act on as one line on stderr, and leave with its exit code."""
    try:
        yield
    except EdgeInspectError as error:
        _leave(str(error))
    except _UsageError as error:  # typer would print three lines
        name = f"edgeinspect {command}" if command in COMMANDS else "edgeinspect"
        _leave(f"{_message_of(error)} see: {name} --help")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        name = f"edgeinspect {command}"
        _leave(str(MissingPackageError(package, needed_for=name, extra=EXTRAS[package])))
    except ImportError as error:  # it is there, and its library or its NumPy is not
        if (error.name or "").partition(".")[0] == "edgeinspect":
            raise
        _leave(f"an installed package cannot be loaded: {error}; install it anew, or what it needs")
    except OSError as error:
        if error.strerror is None:
            raise
        _leave(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    except KeyboardInterrupt as error:
        _leave_interrupted(error)


def _message_of(error: Any) -> str:
    """What was wrong with the words; it may end in a question."""
    message: str = error.format_message().strip()
    return message if message.endswith("?") else f"{message.removesuffix('.')};"


def _told(command: Callable[..., None]) -> Callable[..., None]:
    """A command that says when it was interrupted: typer would leave without a word."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as error:
            _leave_interrupted(error)

    return call


def _refuse_empty(words: Sequence[str]) -> None:
    """An empty path would mean the current folder; it comes from a shell variable without value."""
    if "" in words:
        raise EdgeInspectError(
            f"argument {words.index('') + 1} is empty",
            hint="a variable of the shell may have no value",
        )


def _leave_interrupted(error: KeyboardInterrupt) -> NoReturn:
    """With the error's words, if it has any: what was kept."""
    print(": ".join(["interrupted", *map(str, error.args)]), file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


def _leave(line: str) -> NoReturn:
    print("error:", " ".join(line.split()), file=sys.stderr)
    sys.exit(EXIT_TROUBLE)


def _not_imported() -> None:
    raise AssertionError("a command was run that build_app was not asked for")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"edgeinspect {edgeinspect.__version__}")
        raise typer.Exit


def _global_options(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also say what developers want to know.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say warnings and errors only.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Visual inspection of metal parts: learn good parts, then judge every part.

    Start with: edgeinspect demo --out demo
    """
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    _set_up_logging(level)


def _set_up_logging(level: int) -> None:
    """Messages of our own loggers go to stderr; setting up again replaces the handler."""
    handler = _TalkHandler()
    handler.setFormatter(_TalkFormatter() if level > logging.DEBUG else _DEVELOPER_FORMAT)
    logger = logging.getLogger("edgeinspect")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


class _TalkHandler(logging.Handler):
    """Prints to what stderr is at that moment: a live panel takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


_DEVELOPER_FORMAT = logging.Formatter(
    "%(relativeCreated)7.0f ms %(levelname)s %(name)s: %(message)s"
)


class _TalkFormatter(logging.Formatter):
    """Steps as they are, warnings and errors with their level before them."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"
