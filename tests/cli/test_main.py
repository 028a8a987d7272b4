"""The front of the command line: what is imported, what is printed, how it leaves."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

import edgeinspect
from edgeinspect.cli import main as front
from edgeinspect.cli.main import COMMANDS, build_app, main, trouble_as_one_line
from edgeinspect.errors import DataError

HELP_BUDGET_S = 0.3  # of CPU time: it waits for nothing, and other tests run beside this one
HELP_TRIES = 30  # what runs beside it costs it caches, and so CPU time
HEAVY = {"numpy", "cv2", "onnxruntime", "jinja2", "torch", "timm", "rich"}


def test_help_shows_every_command_with_its_line() -> None:
    shown = CliRunner().invoke(build_app(None), ["--help"])
    assert shown.exit_code == 0
    for name, line in COMMANDS.items():
        assert f"{name} " in shown.stdout
        assert line in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_repeats_the_docstring_of_each_command(name: str) -> None:
    function = name.replace("-", "_")
    command = getattr(importlib.import_module(f"edgeinspect.cli.{function}"), function)
    assert (command.__doc__ or "").strip().splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_shows_an_example(name: str) -> None:
    shown = CliRunner().invoke(build_app(name), [name, "--help"])
    assert shown.exit_code == 0
    assert f"edgeinspect {name} " in shown.stdout  # the usage line says "root" here


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    imported = _modules_after(f"main({words!r})")
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("words", "what", "see"),
    [
        (["fit", "--nope"], "No such option: --nope", "edgeinspect fit --help"),
        (["run"], "Missing argument 'bundle';", "edgeinspect run --help"),
        (["zebra"], "No such command 'zebra';", "edgeinspect --help"),
        (["verify", "x", "--threads", "0"], "Invalid value for '--t", "edgeinspect verify --help"),
    ],
)
def test_a_mistake_in_the_words_is_one_line(
    words: list[str], what: str, see: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {what}")
    assert printed.err.endswith(f" see: {see}\n")
    assert printed.err.count("\n") == 1


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 0
    assert "Start with: edgeinspect demo" in capsys.readouterr().out


def test_help_is_there_before_a_person_waits() -> None:
    command = [sys.executable, "-m", "edgeinspect", "--help"]
    assert any(_cpu_seconds(command) < HELP_BUDGET_S for _ in range(HELP_TRIES))


def test_only_the_command_that_was_asked_for_is_imported() -> None:
    imported = _modules_after("main(['doctor', '--help'])", whole_names=True)
    commands = {f"edgeinspect.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert imported & commands == {"edgeinspect.cli.doctor"}


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"edgeinspect {edgeinspect.__version__}\n"


def test_a_misspelt_command_gets_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["rum"])
    assert "Did you mean 'run'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("no picture in here", hint="look elsewhere"), "no picture in here; look else"),
        (DataError("two\nlines"), "two lines"),
        (ModuleNotFoundError("x", name="torch.nn"), 'pip install "edgeinspect[train]"'),
        (ImportError("libGL.so.1: no such file"), "cannot be loaded: libGL.so.1: no such file;"),
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), "No space left on device: a"),
        (PermissionError(errno.EACCES, "Permission denied", "b"), "Permission denied: b"),
    ],
)
def test_trouble_is_one_line_and_exit_code_2(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"), trouble_as_one_line("train"):
        raise error
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert line in told.err
    assert told.err.count("\n") == 1


def test_a_name_that_we_import_in_vain_is_a_bug() -> None:
    with pytest.raises(ImportError), trouble_as_one_line("run"):
        raise ImportError("cannot import name 'rum'", name="edgeinspect.cli.run")


def test_an_interruption_leaves_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="130"), trouble_as_one_line("run"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_command_leaves_with_a_word_about_what_was_kept(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("step 3 is kept") from None

    monkeypatch.setattr("edgeinspect.cli.doctor.doctor", doctor)
    handlers = {number: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    outside = signal.signal(number, handlers[number])  # whatever started the tests ignores
    try:
        with pytest.raises(SystemExit, match="130"):
            main(["doctor"])
        assert capsys.readouterr().err == "interrupted: step 3 is kept\n"
        assert signal.getsignal(number) is handlers[number]
    finally:
        signal.signal(number, outside)


def test_an_empty_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "part.bundle", "", "--out", "results"])
    assert "argument 3 is empty" in capsys.readouterr().err


@pytest.mark.parametrize("bug", [ModuleNotFoundError("x", name="edgeinspect.nowhere"), KeyError()])
def test_a_bug_of_ours_is_not_dressed_up(bug: Exception) -> None:
    with pytest.raises(type(bug)), trouble_as_one_line("run"):
        raise bug


def test_a_warning_is_told_once_and_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    front._set_up_logging(logging.INFO)
    front._set_up_logging(logging.INFO)
    logging.getLogger("edgeinspect.somewhere").warning("blurred %s", "a.png")
    logging.getLogger("edgeinspect.somewhere").info("step")
    logging.getLogger("edgeinspect.somewhere").debug("detail")
    assert capsys.readouterr().err == "warning: blurred a.png\nstep\n"


def _cpu_seconds(command: list[str]) -> float:
    """User and system time of a process that is run to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _modules_after(call: str, *, whole_names: bool = False) -> set[str]:
    """Names of the modules that a fresh Python holds after `main` was called."""
    code = f"""
import atexit, sys
atexit.register(lambda: print("MODULES", *sys.modules))
from edgeinspect.cli.main import main
{call}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    names = done.rsplit("MODULES", 1)[1].split()
    return set(names) if whole_names else {name.partition(".")[0] for name in names}


def test_a_bug_has_its_traceback_and_the_code_of_trouble(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor() -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("edgeinspect.cli.doctor.doctor", doctor)
    with pytest.raises(SystemExit, match="2"):
        main(["doctor"])
    assert "AssertionError: a bug" in capsys.readouterr().err


def test_run_leaves_at_once_with_its_code_where_a_camera_does_not_come_back(monkeypatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(sys, "argv", ["edgeinspect", "run"])
    monkeypatch.setattr(front, "build_app", lambda command: lambda **keys: 1)
    monkeypatch.setattr(os, "_exit", left.append)
    hangs = threading.Event()
    threading.Thread(target=hangs.wait, daemon=True).start()
    with pytest.raises(SystemExit):
        main()
    hangs.set()
    assert left == [1]
