from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Iterator

import pytest
from torch import nn

from edgeinspect.errors import OutputError
from edgeinspect.training.checkpoint import TrainingState, save_last
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
