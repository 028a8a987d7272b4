"""What each loss costs: images a second of training, with and without it (docs/decisions/0004).

    python benchmarks/training_step.py --presets tiny --rounds 5

Variants run interleaved, a step of each a round; ratios are of medians, above 1 is faster than
with all losses. Random images: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from importlib import metadata
from pathlib import Path
from statistics import median

import torch

from edgeinspect.config import Form, RunConfig, preset, with_settings
from edgeinspect.doctor import read_machine
from edgeinspect.training.losses import (
    ConsistencyLoss,
    adversarial_loss,
    discriminator_loss,
    latent_loss,
)
from edgeinspect.training.memory import keep_freed_memory
from edgeinspect.training.networks import build_networks, make_optimiser

VARIANTS = {
    "all losses": {"adversarial": "1", "latent": "1"},
    "no adversarial loss": {"adversarial": "0", "latent": "1"},
    "no latent loss": {"adversarial": "1", "latent": "0"},
    "consistency alone": {"adversarial": "0", "latent": "0"},
    "r = 0 in the discriminator": {"adversarial": "1", "latent": "1", "discriminator.merge": "0"},
    "r = 8 in the discriminator": {"adversarial": "1", "latent": "1", "discriminator.merge": "8"},
    "form all, consistency alone": {"adversarial": "0", "latent": "0", "form": Form.ALL.value},
}


class Step:
    """One training step of a variant, on the same images every time."""

    def __init__(self, config: RunConfig) -> None:
        self.networks = build_networks(config)
        self.loss = ConsistencyLoss(config.losses, config.generator.size)
        named = self.networks.named()
        judge = named.pop("discriminator", None)
        self.mover = make_optimiser(list(named.values()), config.optimiser)
        self.judge_mover = None if judge is None else make_optimiser([judge], config.optimiser)
        self.images = torch.rand(config.optimiser.batch, 3, *2 * [config.generator.size])
        self.scales = torch.arange(config.optimiser.batch) % config.generator.n_scales

    def __call__(self) -> float:
        """Seconds that it took."""
        started = time.perf_counter()
        latent, judge = self.networks.latent_encoder, self.networks.discriminator
        fused = self.networks.reconstructor(self.images, self.scales, latent is not None)
        recons = fused.images
        if judge is not None and self.judge_mover is not None:
            logits, _ = judge(torch.cat([self.images, recons.detach()]))
            self._move(self.judge_mover, discriminator_loss(*logits.chunk(2)))
        total = 20 * torch.stack(list(self.loss(self.images, recons).values())).sum()
        if latent is not None and fused.latents is not None:
            total = total + latent_loss(fused.latents, latent(recons))
        if judge is not None:
            with torch.no_grad():
                real = judge.middle_features(self.images)
            total = total + adversarial_loss(real, judge.middle_features(recons))
        self._move(self.mover, total)
        return time.perf_counter() - started

    @staticmethod
    def _move(mover: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        mover.zero_grad()
        loss.backward()
        mover.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json"
    )
    options = parser.parse_args()
    keep_freed_memory()
    machine = read_machine()
    cases = [case for name in options.presets.split(",") for case in _measure(name, options.rounds)]
    report = {
        "hardware": {"cpu": machine.cpu, "n_cores": machine.n_cores, "load": os.getloadavg()},
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in ("edgeinspect", "torch")},
        "cases": cases,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def _measure(name: str, n_rounds: int) -> list[dict[str, object]]:
    steps = {v: Step(with_settings(preset(name), changes)) for v, changes in VARIANTS.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in steps}
    for n_round in range(n_rounds + 1):
        for variant, step in steps.items():
            took = step()
            if n_round:  # the first round warms up
                seconds[variant].append(took)
    slowest = median(seconds["all losses"])
    cases: list[dict[str, object]] = []
    for variant, times in seconds.items():
        cases.append(
            {
                "preset": name,
                "variant": variant,
                "p50_ms": 1000 * median(times),
                "images_per_s": 8 / median(times),
                "ratio_to_all_losses": slowest / median(times),
            }
        )
        print(json.dumps(cases[-1]))
    return cases


if __name__ == "__main__":
    main()
