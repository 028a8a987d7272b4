"""What is measured on a GPU, most important first: models, and the steps over them.

Model `edge` in its default form comes first, with the unoptimised model beside it; the time that
is left goes to its other forms, to merging, and to `paper`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeinspect.config import (
    Form,
    GeneratorConfig,
    PreprocessConfig,
    RunConfig,
    Target,
    preset,
)

BATCHES = (1, 32)
TOY_BATCHES = (1, 2)
EXPORT_LIMIT_S = 300.0
EXPORT, DRIVER, PEAK = "export", "driver", "fp16-peak"
RUNTIMES = ("tensorrt", "tensorrt-rtx-open", "onnxruntime-cuda", "onnxruntime-cuda-no-graph")
FAST = ("tensorrt-rtx-open", "onnxruntime-cuda")
SIX_PASSES, SIX_PASSES_TF32 = "eager-fp32-six-passes", "eager-fp32-six-passes-tf32"
HALF, COMPILED = "eager-fp16", "compile-fp16"
EAGER = (SIX_PASSES, HALF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model by its settings; weights are drawn by a seed, since speed does not depend on them."""

    preset: str
    form: str
    merge: int = 0
    is_toy: bool = False

    @property
    def name(self) -> str:
        return f"{self.preset}-{self.form}-merge{self.merge}"

    def config(self) -> RunConfig:
        """Its settings; a toy has the same structure at 64 px, for a rehearsal on a CPU."""
        form = Form(self.form)
        if not self.is_toy:
            config = preset(self.preset, Target.PIXELS)
            generator = dataclasses.replace(config.generator, form=form, merge=self.merge)
            return dataclasses.replace(config, generator=generator)
        generator = GeneratorConfig(
            size=64, patch=8, mask_scales=(1, 2, 4), width=64, depth=1, decoder_depth=1,
            form=form, merge=self.merge,
        )  # fmt: skip
        return RunConfig(
            preset=self.preset, generator=generator, preprocess=PreprocessConfig(size=64)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done in a process of its own, for at most `limit_s`."""

    name: str
    model: Model | None = None
    batches: tuple[int, ...] = (1,)
    limit_s: float = 150.0


def plan(*, is_rehearsal: bool) -> list[list[Step]]:
    """All steps in their order; those of one list are done at once."""
    if is_rehearsal:
        return _rehearsal()
    first = Model(preset="edge", form="cross")
    rest = [
        Model(preset="edge", form="cross", merge=16),
        Model(preset="edge", form="all"),
        Model(preset="paper", form="cross"),
    ]
    steps = [
        Step(name=DRIVER),
        Step(name=PEAK),
        Step(name=EXPORT, limit_s=EXPORT_LIMIT_S, model=first),
    ]
    steps += _all_of(first, [*RUNTIMES, SIX_PASSES, HALF, SIX_PASSES_TF32], BATCHES)
    others = [step for model in rest for step in _all_of(model, _others(model), BATCHES)]
    compiled = Step(name=COMPILED, model=first, batches=BATCHES[-1:])
    exports = [Step(name=EXPORT, limit_s=EXPORT_LIMIT_S, model=model) for model in rest]
    return [*_alone(steps), exports, *_alone([*others, compiled])]


def _others(model: Model) -> list[str]:
    """What the time that is left goes to; a preset has one baseline, whatever its form."""
    return [*FAST, *(EAGER if model.preset == "paper" else ())]


def _rehearsal() -> list[list[Step]]:
    """Every kind of step once; ONNX Runtime's CPU shows what sessions are measured with."""
    model = Model(preset="edge", form="cross", merge=2, is_toy=True)
    names = ["onnxruntime", *RUNTIMES, *EAGER, SIX_PASSES_TF32]
    steps = [
        Step(name=DRIVER),
        Step(name=PEAK),
        Step(name=EXPORT, limit_s=EXPORT_LIMIT_S, model=model),
    ]
    steps += _all_of(model, names, TOY_BATCHES)
    return _alone([*steps, Step(name=COMPILED, model=model, batches=TOY_BATCHES[-1:])])


def _all_of(model: Model, names: list[str], batches: tuple[int, ...]) -> list[Step]:
    return [Step(name=name, model=model, batches=batches) for name in names]


def _alone(steps: list[Step]) -> list[list[Step]]:
    return [[step] for step in steps]
