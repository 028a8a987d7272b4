"""`edgeinspect doctor`: what this machine has, and what installs the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeinspect.cli.options import AsJson
from edgeinspect.cli.output import show_fields, show_json

if TYPE_CHECKING:
    from edgeinspect.doctor import Diagnosis

__all__ = ["doctor"]

GIB = 1024**3


def doctor(
    as_json: AsJson = False,
) -> None:
    """Show what this machine has, and what installs the rest.

    Example: edgeinspect doctor --json > machine.json
    """
    from edgeinspect.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        show_json(diagnosis.plain())
        return
    show_fields(_lines(diagnosis), width=26)


def _lines(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    """(name, value) of each line that people read."""
    machine = diagnosis.machine
    place = "virtual environment" if machine.is_virtual_environment else "the system's"
    yield "edgeinspect", diagnosis.tool
    yield "Python", f"{machine.python} ({place})"
    yield "system", machine.system
    yield "CPU", ", ".join((machine.cpu, f"{machine.n_cores} cores", *machine.cpu_flags))
    if machine.memory_bytes is not None and machine.memory_free_bytes is not None:
        free = f"{machine.memory_free_bytes / GIB:.1f} free"
        yield "memory", f"{machine.memory_bytes / GIB:.1f} GiB, {free}"
    yield "disk", f"{machine.disk_free_bytes / GIB:.1f} GiB free here"
    yield "Jetson", machine.jetson or "no"
    if machine.power is not None:
        yield "power", machine.power
    for gpu in diagnosis.gpus:
        memory = "" if gpu.memory_mib is None else f", {gpu.memory_mib} MiB"
        yield "GPU", f"{gpu.name}, compute capability {gpu.compute_capability}{memory}"
        yield "driver", gpu.driver
    if not diagnosis.gpus:
        yield "GPU", "none that nvidia-smi shows"
    yield "CUDA (of the driver)", diagnosis.cuda or "none"
    for runtime in diagnosis.runtimes:
        yield f"runtime {runtime.name}", runtime.lacks or "ready"
    yield from _package_lines(diagnosis)
    for note in diagnosis.notes:
        yield "note", note


def _package_lines(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    for package in diagnosis.packages:
        if package.version is None:
            yield package.name, f"missing, for {package.purpose}; run: {package.install}"
        else:
            yield package.name, f"{package.version}, for {package.purpose}"
