"""The images of each step, and the one mask scale at which each is reconstructed.

Between `training.pictures`, where images have numbers, and the loop. A batch is the whole one,
divided among the processes; what is in it is a function of seed and step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from edgeinspect.model.equalise import equalise
from edgeinspect.training.pictures import GoodImages
from edgeinspect.training.run_folder import RunFolder

__all__ = ["Batches"]


class Batches:
    """The share of every batch of a run that falls to one process, on its device."""

    def __init__(self, run: RunFolder, fabric: Fabric, n_steps: int) -> None:
        optimiser = run.config.optimiser
        self._config, self._fabric = run.config, fabric
        n = optimiser.batch // fabric.world_size
        self._share = range(n * fabric.global_rank, n * (fabric.global_rank + 1))
        self._pictures = GoodImages(
            run.training_paths(),
            run.config.preprocess,
            run.config.augment,
            seed=optimiser.seed,
            n_images=n_steps * optimiser.batch,
        )

    def read(self, first: int, last: int) -> None:
        """Read the pictures of steps first..last-1, which are then taken from memory."""
        for number in self._numbers(first, last):
            self._pictures[number]

    def steps(self, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (b, 3, H, W), equalised, and scales (b,) int of steps first..last-1."""
        loader: DataLoader[Tensor] = DataLoader(
            self._pictures, batch_size=len(self._share), sampler=self._numbers(first, last)
        )
        for step, batch in zip(range(first, last), loader, strict=True):
            images, scales = self._fabric.to_device((batch, self._scales(step)))
            yield equalise(images, self._config.preprocess.equalise), scales

    def _numbers(self, first: int, last: int) -> Iterator[int]:
        """Of the images of steps first..last-1."""
        for step in range(first, last):
            start = step * self._config.optimiser.batch
            yield from (start + place for place in self._share)

    def _scales(self, step: int) -> Tensor:
        """Drawn for all of the batch, whatever the number of processes."""
        rng = np.random.default_rng((self._config.optimiser.seed, 3, step))
        drawn = rng.integers(0, self._config.generator.n_scales, self._config.optimiser.batch)
        return torch.from_numpy(drawn)[self._share.start : self._share.stop]
