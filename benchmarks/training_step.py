"""What a training step costs: losses, merging (the paper's Table 10), forms, targets, precision.

    python -m benchmarks.training_step --presets tiny --rounds 5
    python -m benchmarks.training_step --presets edge --rounds 30 --device cuda --out FILE

Variants run interleaved, a step of each a round; ratios are of medians, above 1 is faster than
with all losses. Random images and weights: speed does not depend on them. r = 2 is the default.
Reading and augmenting pictures is measured apart, as milliseconds an image.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

import edgeinspect
from edgeinspect.config import Form, Target, preset, with_settings
from edgeinspect.doctor import read_machine
from edgeinspect.training.allocation import keep_freed_memory
from edgeinspect.training.losses import (
    ConsistencyLoss,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    latent_loss,
)
from edgeinspect.training.networks import build_networks, make_optimiser
from edgeinspect.training.pictures import as_tensor, augment

N_WARM_UP = 2  # rounds
ALL = {"adversarial": "1", "latent": "1"}
ALONE = {"adversarial": "0", "latent": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Settings of a step, and how it is run; `fused` is AdamW's, `compiled` torch.compile's."""

    settings: dict[str, str]
    target: Target = Target.PIXELS
    is_bfloat16: bool = False
    is_fused: bool = False
    is_compiled: bool = False


VARIANTS = {
    "all losses": Variant(settings=ALL),
    "no adversarial loss": Variant(settings={**ALL, "adversarial": "0"}),
    "no latent loss": Variant(settings={**ALL, "latent": "0"}),
    "consistency alone": Variant(settings=ALONE),
    **{
        f"r = {r} in the discriminator": Variant(settings={**ALL, "discriminator.merge": str(r)})
        for r in (0, 1, 4, 8)
    },
    "form all, consistency alone": Variant(settings={**ALONE, "form": Form.ALL.value}),
    "form visible, consistency alone": Variant(settings={**ALONE, "form": Form.VISIBLE.value}),
    "target features": Variant(settings=ALONE, target=Target.FEATURES),
    "target both, consistency alone": Variant(settings=ALONE, target=Target.BOTH),
    "bfloat16, consistency alone": Variant(settings=ALONE, is_bfloat16=True),
    "fused AdamW, consistency alone": Variant(settings=ALONE, is_fused=True),
    "torch.compile, consistency alone": Variant(settings=ALONE, is_compiled=True),
}


class Step:
    """One training step of a variant, on the same images every time."""

    def __init__(self, name: str, variant: Variant, device: str) -> None:
        config = with_settings(preset(name, variant.target), variant.settings)
        self.variant, self.device = variant, device
        self.networks = build_networks(config)
        for network in self.networks.named().values():
            network.to(device)
        self.reconstructor: torch.nn.Module = self.networks.reconstructor
        if variant.is_compiled:
            self.reconstructor = torch.compile(self.reconstructor)  # type: ignore[assignment]
        self.loss = ConsistencyLoss(config.losses, config.generator.size).to(device)
        named = self.networks.named()
        judge = named.pop("discriminator", None)
        self.mover = make_optimiser(list(named.values()), config.optimiser)
        if variant.is_fused:
            for group in self.mover.param_groups:
                group["fused"] = True
        self.judge_mover = None if judge is None else make_optimiser([judge], config.optimiser)
        n_images, size = config.optimiser.batch, config.generator.size
        self.images = torch.rand(n_images, 3, size, size, device=device)
        self.scales = torch.arange(n_images, device=device) % config.generator.n_scales

    def __call__(self) -> float:
        """Seconds that it took."""
        started = time.perf_counter()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.variant.is_bfloat16):
            total = self._losses()
        self._move(self.mover, total)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def _losses(self) -> torch.Tensor:
        latent, judge = self.networks.latent_encoder, self.networks.discriminator
        fused = self.reconstructor(self.images, self.scales, latent is not None)
        terms = []
        if fused.features is not None:
            terms.append(20 * feature_loss(fused.targets, fused.features))
        if fused.images is None:
            return terms[0]
        if judge is not None and self.judge_mover is not None:
            logits = judge(torch.cat([self.images, fused.images.detach()]))
            self._move(self.judge_mover, discriminator_loss(*logits.chunk(2)))
        terms += [20 * term for term in self.loss(self.images, fused.images).values()]
        if latent is not None and fused.latents is not None:
            terms.append(latent_loss(fused.latents, latent(fused.images)))
        if judge is not None:
            with torch.no_grad():
                real = judge.middle_features(self.images)
            terms.append(adversarial_loss(real, judge.middle_features(fused.images)))
        return torch.stack(terms).sum()

    @staticmethod
    def _move(mover: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        mover.zero_grad()
        loss.backward()
        mover.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json"
    )
    options = parser.parse_args()
    keep_freed_memory()
    machine = read_machine()
    device = options.device
    names = options.presets.split(",")
    cases = [case for name in names for case in _measure(name, options.rounds, device)]
    gpu = {"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}
    machine_words = {"cpu": machine.cpu, "n_cores": machine.n_cores, **gpu}
    report = {
        "hardware": {**machine_words, "load": os.getloadavg()},
        "threads": torch.get_num_threads(),
        "versions": {"edgeinspect": edgeinspect.__version__, "torch": torch.__version__},
        "loading_ms_an_image": {name: loading_ms(name) for name in names},
        "cases": cases,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def loading_ms(name: str, n_images: int = 100) -> float:
    """Median milliseconds to augment an image of a picture that is kept in memory."""
    config = preset(name, Target.PIXELS)
    size = config.preprocess.size
    picture = np.random.default_rng(0).integers(0, 256, (size, 3 * size, 3), dtype=np.uint8)
    times = []
    for n in range(n_images):
        started = time.perf_counter()
        as_tensor(augment(picture, size, config.augment, np.random.default_rng(n)))
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def _measure(name: str, n_rounds: int, device: str) -> list[dict[str, object]]:
    steps = {word: Step(name, variant, device) for word, variant in VARIANTS.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in steps}
    for n_round in range(n_rounds + N_WARM_UP):
        for variant, step in steps.items():
            took = step()
            if n_round >= N_WARM_UP:
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
