from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from edgeinspect.errors import OutputError, TrainingError
from edgeinspect.training.checkpoint import TrainingState, has_checkpoint, load_last, save_last
from edgeinspect.training.run_folder import RunFolder


@contextlib.contextmanager
def files_up_to(n_bytes: int) -> Iterator[None]:
    """The system refuses to write more into one file, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path):
    run = RunFolder(tmp_path, plan=None)
    networks = {"generator": nn.Linear(100, 100)}
    save_last(run, networks, {}, TrainingState(step=1))
    with files_up_to(1000), pytest.raises(OutputError, match=r"cannot write .*last"):
        save_last(run, networks, {}, TrainingState(step=2))
    state = json.loads((run.checkpoint("last") / "state.json").read_text())
    assert state["step"] == 1
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["last"]


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    run, done = RunFolder(tmp_path, plan=None), []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        done.append(f"-> {target.name}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    save_last(run, {"generator": nn.Linear(2, 2)}, {}, TrainingState(step=1))
    before = done[: done.index("-> last")]
    assert {"generator.safetensors", "state.json"} <= set(before)


def test_a_crash_between_two_renames_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    run, networks = RunFolder(tmp_path, plan=None), {"generator": nn.Linear(2, 2)}
    save_last(run, networks, {}, TrainingState(step=1))
    rename = Path.rename

    def crash(self: Path, target: Path) -> Path:
        if target == run.checkpoint("last"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        save_last(run, networks, {}, TrainingState(step=2))
    monkeypatch.undo()
    assert has_checkpoint(run)
    save_last(run, networks, {}, TrainingState(step=3))
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["last"]


@pytest.mark.parametrize("damage", ["cut off", "of another version", "of another network"])
def test_a_checkpoint_that_cannot_be_read_is_one_line(tmp_path, damage):
    run = RunFolder(tmp_path, plan=None)
    save_last(run, {"generator": nn.Linear(2, 2)}, {}, TrainingState(step=1))
    folder = run.checkpoint("last")
    if damage == "cut off":
        os.truncate(folder / "generator.safetensors", 40)
    if damage == "of another version":
        (folder / "state.json").write_text('{"step": 1, "colour": "blue"}')
    network = nn.Linear(3 if damage == "of another network" else 2, 2)
    with pytest.raises(
        TrainingError, match=r"cannot be read: .*; train anew with --force"
    ) as caught:
        load_last(run, {"generator": network}, {})
    assert "\n" not in str(caught.value)
