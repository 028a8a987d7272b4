"""`train`: from a folder of good pictures to a run folder, in one call.

Plans the run, measures how fast this machine is where a length in minutes was asked for, writes
the plan, and lets the loop go. A run that is resumed reads its plan back and is the same run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from edgeinspect.config import ResizeRule, RunConfig
from edgeinspect.data.layout import find_good
from edgeinspect.errors import ConfigError, TrainingError, first_line
from edgeinspect.model.backbone import feature_levels
from edgeinspect.training.allocation import keep_freed_memory
from edgeinspect.training.backbone_weights import (
    BackboneWeights,
    prepare_targets,
    read_backbone_weights,
)
from edgeinspect.training.checkpoint import (
    TrainingState,
    gone_without_checkpoint,
    has_checkpoint,
)
from edgeinspect.training.encoder_weights import (
    EncoderWeights,
    read_encoder_weights,
    start_encoders,
)
from edgeinspect.training.loop import Progress, Trainer
from edgeinspect.training.planning import Duration, make_plan
from edgeinspect.training.run_folder import Plan, RunFolder, check_run_target

__all__ = ["resume", "train"]

_log = logging.getLogger(__name__)

N_RATE_STEPS, N_UNCOUNTED = 20, 5
LOOKING_SHARE = 0.1  # of the time, for held-out images and checkpoints


def train(
    data: Path,
    out: Path,
    config: RunConfig,
    duration: Duration,
    *,
    resize: ResizeRule | None = None,
    only: list[Path] | None = None,
    holdout: list[Path] | None = None,
    encoder_weights: str | None = None,
    backbone_weights: str | None = None,
    device: str = "auto",
    force: bool = False,
    on_step: Callable[[Progress], None] | None = None,
) -> TrainingState:
    """Train on the good pictures of `data` and leave a run in `out`.

    Args:
        resize: how pictures become images; None lets their shapes decide.
        only: the pictures of `data` to use; None for all.
        holdout: those of them that never train but choose the checkpoint; None takes a share.
        encoder_weights: what the encoder starts from, see `read_encoder_weights`; None for noise.
        backbone_weights: of targets with features, see `read_backbone_weights`.
        device: auto, cpu or cuda. Started by torchrun, each process takes its own share.
    Raises: DataError, ConfigError, OutputError, TrainingError; KeyboardInterrupt when
        interrupted, after the checkpoint was written.
    """
    check_run_target(out, force=force)
    with _launched(config, device) as fabric, _memory_as_trouble(config):
        start = _Start.read(config, encoder_weights, backbone_weights)
        plan = replace(
            make_plan(data, config, resize=resize, only=only, holdout=holdout),
            encoder_weights=None if start.encoder is None else start.encoder.origin,
            backbone_weights=None if start.backbone is None else start.backbone.origin,
        )
        seconds = _seconds_a_step(RunFolder(out, plan), fabric) if duration.minutes else 0.0
        n_steps = int(fabric.broadcast(_steps_of(duration, plan, seconds)))
        trainer = Trainer(RunFolder(out, replace(plan, n_steps=n_steps)), fabric, n_steps)
        start.give(trainer)  # before anything is written: it may take a minute
        if fabric.is_global_zero:
            RunFolder.create(out, trainer.run.plan, force=force)
        with gone_without_checkpoint(trainer.run):
            if fabric.is_global_zero and start.is_given:  # resuming needs no file but the run's
                trainer.save_start()
            fabric.barrier()
            return _finish(trainer.train(on_step), trainer.run.plan)


def resume(
    out: Path,
    *,
    data: Path | None = None,
    device: str = "auto",
    on_step: Callable[[Progress], None] | None = None,
) -> TrainingState:
    """Go on with a run from its last checkpoint, to the end that was planned.

    On the CPU the result equals that of a run which never stopped, bit for bit.

    Args:
        data: where its pictures are said to be, if anywhere.
    Raises: TrainingError if there is no run, its pictures are gone, or lie elsewhere than in
        `data`; else as `train`.
    """
    run = RunFolder.open(out)
    gone = [p for p in run.training_paths() + run.holdout_paths() if not p.is_file()]
    if gone:
        raise TrainingError(
            f"{len(gone)} pictures of run {out} are gone, the first is {gone[0]}",
            hint="bring them back, or start a new run",
        )
    if data is not None and find_good(data)[0].parent.resolve() != Path(run.plan.folder):
        raise TrainingError(
            f"run {out} trains on the pictures of {run.plan.folder}, not on those of {data}",
            hint="name that folder to go on, or start a new run on the other",
        )
    if (run.plan.encoder_weights or run.plan.backbone_weights) and not has_checkpoint(run):
        raise TrainingError(
            f"run {out} was stopped before its networks had the weights that it starts from",
            hint="start it anew with --force",
        )
    with _launched(run.config, device) as fabric, _memory_as_trouble(run.config):
        trainer = Trainer(run, fabric, run.plan.n_steps)
        trainer.resume()
        return _finish(trainer.train(on_step), run.plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What a new run begins with in place of noise; None where it begins with noise."""

    encoder: EncoderWeights | None
    backbone: BackboneWeights | None

    @classmethod
    def read(
        cls, config: RunConfig, encoder_weights: str | None, backbone_weights: str | None
    ) -> _Start:
        """Before anything is written. Raises: ConfigError, TrainingError."""
        encoder, backbone = None, None
        if encoder_weights is not None:
            encoder = read_encoder_weights(encoder_weights, config.generator)
        if config.generator.target.has_features:
            feature_levels(config.generator.backbone, config.generator.feature_strides)
            backbone = read_backbone_weights(backbone_weights, config.generator.backbone)
        elif backbone_weights is not None:
            raise ConfigError(
                "backbone weights are of no use to target pixels", hint="set target=features"
            )
        return cls(encoder=encoder, backbone=backbone)

    @property
    def is_given(self) -> bool:
        return self.encoder is not None or self.backbone is not None

    def give(self, trainer: Trainer) -> None:
        """Put it into the networks."""
        if self.encoder is not None:
            start_encoders(trainer.plain, self.encoder)
        if self.backbone is not None:
            prepare_targets(trainer.plain.reconstructor.generator, self.backbone, trainer.run)


def _steps_of(duration: Duration, plan: Plan, seconds_a_step: float) -> int:
    """How many steps a length means, at least 1."""
    if duration.steps is not None:
        return duration.steps
    if duration.epochs is not None:
        batch = plan.config.optimiser.batch
        return max(1, round(duration.epochs * len(plan.training) / batch))
    assert duration.minutes is not None
    return max(1, int((1 - LOOKING_SHARE) * duration.minutes * 60 / seconds_a_step))


def _seconds_a_step(run: RunFolder, fabric: Fabric) -> float:
    """Of this machine, from 20 steps of a trainer that is thrown away."""
    return Trainer(run, fabric, N_RATE_STEPS).time_steps(N_RATE_STEPS, N_UNCOUNTED)


@contextmanager
def _launched(config: RunConfig, device: str) -> Iterator[Fabric]:
    """Fabric for as long as the block, as `_launch`.

    A process that ends while gloo's threads still run may be aborted by them.
    """
    is_ours = not _is_distributed()
    try:
        yield _launch(config, device)
    finally:
        if is_ours and _is_distributed():
            dist.destroy_process_group()


def _is_distributed() -> bool:
    """Whether there is a process group; a torch for Jetson may be built without any."""
    return dist.is_available() and dist.is_initialized()


def _launch(config: RunConfig, device: str) -> Fabric:
    """Fabric on `device`, one process, or those that torchrun started."""
    keep_freed_memory()
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    n_nodes = int(os.environ.get("WORLD_SIZE", "1")) // n_local
    precision = config.optimiser.precision
    if precision == "auto":
        precision = _mixed() if device != "cpu" and torch.cuda.is_available() else "32-true"
    try:
        fabric = Fabric(
            accelerator=device,
            devices=n_local,
            num_nodes=n_nodes,
            precision=precision,  # type: ignore[arg-type] # Fabric checks the word itself
        )
        fabric.launch()
    except (ValueError, RuntimeError, OSError, ImportError, MisconfigurationException) as error:
        raise ConfigError(
            f"device {device} with precision {precision} cannot be used: {first_line(error)}",
            hint="use --device cpu, or see: edgeinspect doctor",
        ) from error
    if config.optimiser.batch % fabric.world_size:
        raise ConfigError(
            f"batch is {config.optimiser.batch}, which {fabric.world_size} processes cannot share",
            hint=f"use a multiple of {fabric.world_size}",
        )
    return fabric


_NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED")  # in what torch says


@contextmanager
def _memory_as_trouble(config: RunConfig) -> Iterator[None]:
    """Turn a lack of memory, the device's or the machine's, into one line that says what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(w in str(error) for w in _NO_MEMORY):
            raise
        batch, size = config.optimiser.batch, config.generator.size
        smaller = f"--set batch={batch // 2}, or " if batch > 1 else ""
        raise TrainingError(
            f"no memory is left for preset {config.preset} with batches of {batch} images of"
            f" {size} px",
            hint=f"start anew with {smaller}a smaller size or preset",
        ) from error


def _mixed() -> str:
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _finish(state: TrainingState, plan: Plan) -> TrainingState:
    """Say so when the best generator, which is exported, is not better than none."""
    error, fill_error = state.best_error, state.fill_error
    on = "held-out good pictures" if plan.holdout else "the pictures that trained"
    advice = "train longer, or the surface has nothing to learn"
    if state.best_step == 0:
        _log.warning(
            "no step of training made the generator's error on %s smaller than it was at the start"
            " (%.4f), and that of the start is what will be exported: %s",
            on, error, advice,
        )  # fmt: skip
    elif error is not None and fill_error is not None and error >= fill_error:
        _log.warning(
            "on %s the generator's error (%.4f) does not beat what there is without it (%.4f): %s",
            on, error, fill_error, advice,
        )  # fmt: skip
    return state
