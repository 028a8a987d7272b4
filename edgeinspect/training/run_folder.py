"""The folder a training writes and export reads.

RUN/run.json        settings, number of steps, pictures with their hashes: fixed at the start
RUN/metrics.jsonl   one line every few steps: losses, rate; and each validation
RUN/pictures/       reconstructions of held-out images, as training goes on
RUN/checkpoints/    `training.checkpoint`
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeinspect.config import RunConfig, from_dict, to_dict
from edgeinspect.errors import ConfigError, OutputError, TrainingError
from edgeinspect.writing import output_errors, refuse_foreign, to_utf8, write_atomically

__all__ = ["BackboneOrigin", "EncoderOrigin", "Plan", "RunFolder", "check_run_target"]

SCHEMA = 1
RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOrigin:
    """Where an encoder's first weights came from: the first `n_blocks` blocks of a file.

    `mean` and `std` normalised the pixels that they were trained on, channel by channel.
    """

    file: str
    sha256: str
    n_blocks: int
    n_blocks_in_file: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneOrigin:
    """Where the weights of the backbone of feature targets came from."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run was started with; a resumed run reads it back and changes nothing.

    `training` and `holdout` map the sha256 of each picture to its name; `folder` is where they
    were. `mean` and `spread` are grey levels (0 to 1) over all of them. `encoder_weights` is None
    where the encoder started from noise, `backbone_weights` where the target has no features.
    """

    config: RunConfig
    n_steps: int
    folder: str
    training: dict[str, str]
    holdout: dict[str, str]
    skipped: tuple[str, ...]
    mean: float
    spread: float
    encoder_weights: EncoderOrigin | None = None
    backbone_weights: BackboneOrigin | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk; made by `create`, found again by `open`."""

    path: Path
    plan: Plan

    @classmethod
    def create(cls, path: Path, plan: Plan, *, force: bool = False) -> RunFolder:
        """Start a new run. Raises: OutputError if anything is there, or a run and no force."""
        check_run_target(path, force=force)
        with output_errors(path):
            if path.exists():
                shutil.rmtree(path)
            (path / "pictures").mkdir(parents=True)
        text = json.dumps({"schema": SCHEMA, **to_dict(plan)}, indent=1, ensure_ascii=False)
        try:
            write_atomically(path / RUN_FILE, to_utf8(text + "\n"))
        except OutputError:  # without it the folder would count as somebody else's
            shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(path, plan)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Raises: TrainingError if the folder is no run, is damaged, or of a newer schema."""
        file = path / RUN_FILE
        if not file.is_file():
            raise TrainingError(
                f"{path} is not a training run (it has no run.json)",
                hint="give the folder that was named to: edgeinspect train DATA --out RUN",
            )
        try:
            plain = json.loads(file.read_text(encoding="utf-8"))
            schema = plain.pop("schema")
            if schema != SCHEMA:
                raise TrainingError(
                    f"run {path} has schema {schema}, this version reads {SCHEMA}",
                    hint="use the version that made it, or train anew with --force",
                )
            return cls(path, from_dict(Plan, plain))
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise TrainingError(
                f"{file} is damaged: {error}", hint="train anew with --force"
            ) from error

    @property
    def config(self) -> RunConfig:
        return self.plan.config

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    def checkpoint(self, name: str) -> Path:
        """Folder of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / name

    def holdout_paths(self) -> list[Path]:
        """Where the held-out pictures were; they may be gone."""
        return [Path(self.plan.folder) / name for name in self.plan.holdout.values()]

    def training_paths(self) -> list[Path]:
        """Where the training pictures were; they may be gone."""
        return [Path(self.plan.folder) / name for name in self.plan.training.values()]

    def provenance(self) -> dict[str, Any]:
        """What a bundle says about where its weights come from. No path of this machine."""
        plain = to_dict(self.plan)
        return {
            "preset": self.config.preset,
            "n_steps": self.plan.n_steps,
            "n_training": len(self.plan.training),
            "n_holdout": len(self.plan.holdout),
            "training_pictures": self.plan.training,
            "holdout_pictures": self.plan.holdout,
            "mean": self.plan.mean,
            "spread": self.plan.spread,
            "encoder_weights": plain["encoder_weights"],
            "backbone_weights": plain["backbone_weights"],
        }


def check_run_target(
    path: Path, *, force: bool, hint: str = "go on with --resume, or start anew with --force"
) -> None:
    """Refuse a place where no run can be started. Raises: OutputError, with `hint` for a run."""
    refuse_foreign(
        path,
        marker=RUN_FILE,
        foreign="is not a training run",
        force=force,
        hint=hint,
    )
