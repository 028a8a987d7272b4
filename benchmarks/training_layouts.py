"""Three choices that make a training step faster on a CPU, each against what it replaced.

    python benchmarks/training_layouts.py

Forward and backward, batch of 8 images of 256 px in two passes, interleaved rounds; the ratio is of
medians, above 1 means that the choice is faster. Freed memory is measured by two processes, since
it cannot be undone in one: each times whole steps of preset `tiny`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from edgeinspect.config import LossConfig, Target, preset
from edgeinspect.doctor import read_machine
from edgeinspect.scoring.measures import structure_error
from edgeinspect.training.allocation import keep_freed_memory
from edgeinspect.training.losses import ConsistencyLoss
from edgeinspect.training.networks import build_networks, make_optimiser

SIZE, BATCH, N_PASSES, N_ROUNDS = 256, 8, 2, 5
OUT = Path(__file__).parent / "results" / "training_layouts.json"
KEEP, GIVE_BACK = "--keep-freed-memory", "--give-back-memory"


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] in ([KEEP], [GIVE_BACK]):
        print(_step_seconds(keep=sys.argv[1] == KEEP))
        return
    machine = read_machine()
    report = {
        "hardware": {"cpu": machine.cpu, "n_cores": machine.n_cores},
        "threads": 1,
        "versions": {"torch": torch.__version__},
        "last convolution, channels last": _convolution(),
        "SSIM by band matrices": _ssim(),
        "freed memory kept": _freed_memory(),
    }
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def _convolution() -> dict[str, float]:
    convolution = nn.Conv2d(3, 3, 3, padding=1)

    def channels_last(x: Tensor) -> Tensor:
        given: Tensor = convolution(x.contiguous(memory_format=torch.channels_last))
        return given

    return _compare(convolution, channels_last, torch.rand(BATCH * N_PASSES, 3, SIZE, SIZE))


def _ssim() -> dict[str, float]:
    loss, images = ConsistencyLoss(LossConfig(), SIZE), torch.rand(BATCH, 3, SIZE, SIZE)

    def by_convolution(x: Tensor) -> Tensor:
        grey = torch.stack([(picture * loss.luminance).sum(1) for picture in (images, x)], dim=1)
        return structure_error(grey)

    def by_band_matrices(x: Tensor) -> Tensor:
        return 1 - loss.ssim(images, x)

    return _compare(by_convolution, by_band_matrices, torch.rand(BATCH, 3, SIZE, SIZE))


def _compare(
    before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor], x: Tensor
) -> dict[str, float]:
    seconds: dict[str, list[float]] = {"before": [], "after": []}
    for _ in range(N_ROUNDS):
        for name, function in (("before", before), ("after", after)):
            started = time.perf_counter()
            function(x.clone().requires_grad_()).sum().backward()
            seconds[name].append(time.perf_counter() - started)
    return _ratio(seconds)


def _freed_memory() -> dict[str, float]:
    seconds: dict[str, list[float]] = {"before": [], "after": []}
    for _ in range(3):
        for name, option in (("before", GIVE_BACK), ("after", KEEP)):
            done = subprocess.run(
                [sys.executable, __file__, option], check=True, capture_output=True, text=True
            )
            seconds[name].append(float(done.stdout))
    return _ratio(seconds)


def _step_seconds(*, keep: bool) -> float:
    if keep:
        keep_freed_memory()
    config = preset("tiny", Target.PIXELS)
    reconstructor = build_networks(config).reconstructor
    loss = ConsistencyLoss(config.losses, SIZE)
    mover = make_optimiser([reconstructor], config.optimiser)
    images, scales = torch.rand(BATCH, 3, SIZE, SIZE), torch.arange(BATCH) % 3
    seconds = []
    for _ in range(N_ROUNDS):
        started = time.perf_counter()
        fused = reconstructor(images, scales, False).images
        mover.zero_grad()
        torch.stack(list(loss(images, fused).values())).sum().backward()
        mover.step()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _ratio(seconds: dict[str, list[float]]) -> dict[str, float]:
    before, after = median(seconds["before"]), median(seconds["after"])
    return {
        "before_ms": round(1000 * before, 1),
        "after_ms": round(1000 * after, 1),
        "ratio": round(before / after, 2),
    }


if __name__ == "__main__":
    main()
