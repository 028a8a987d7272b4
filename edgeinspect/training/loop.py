"""The training loop: the discriminator's step, then the generator's (paper, section 2.4.1).

Each image gets one scale at random, both complements are reconstructed, and all losses look at
the fused O_i. Lightning Fabric carries device, precision and several processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from edgeinspect.errors import NonFiniteLossError
from edgeinspect.interruption import Interruption
from edgeinspect.model.discriminator import Discriminator
from edgeinspect.model.encoder import Encoder
from edgeinspect.training.batches import Batches
from edgeinspect.training.checkpoint import (
    TrainingState,
    has_checkpoint,
    load_last,
    save_best,
    save_last,
)
from edgeinspect.training.journal import Journal
from edgeinspect.training.losses import (
    ConsistencyLoss,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    latent_loss,
)
from edgeinspect.training.networks import (
    Fused,
    Networks,
    Reconstructor,
    build_networks,
    learning_rate,
    make_optimiser,
)
from edgeinspect.training.run_folder import RunFolder
from edgeinspect.training.validation import Validation

__all__ = ["Progress", "Trainer"]

N_VALIDATIONS = 20  # over a run
CHECKPOINT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training stands after a step; rates count images, not passes."""

    step: int
    n_steps: int
    loss: float
    images_per_s: float
    seconds_left: float
    error: float | None
    fill_error: float | None


class Trainer:
    """One run: networks, optimisers and the data behind a step number."""

    def __init__(self, run: RunFolder, fabric: Fabric, n_steps: int) -> None:
        self.run, self.fabric, self.config, self.n_steps = run, fabric, run.config, n_steps
        self.plain: Networks = build_networks(self.config)
        optimiser = self.config.optimiser
        encoding = [n for n in (self.plain.reconstructor, self.plain.latent_encoder) if n]
        self.optimisers: dict[str, Optimizer] = {"generator": make_optimiser(encoding, optimiser)}
        if self.plain.discriminator is not None:
            of_discriminator = make_optimiser([self.plain.discriminator], optimiser)
            self.optimisers["discriminator"] = of_discriminator
        self.consistency = fabric.to_device(
            ConsistencyLoss(self.config.losses, self.config.generator.size)
        )
        self._restored = TrainingState(step=0)
        self._is_set_up = False

    def resume(self) -> None:
        """Take up the last checkpoint, if there is one. Call before the first step."""
        self._set_up()  # moments are restored to where the weights are
        if has_checkpoint(self.run):
            self._restored = load_last(self.run, self.plain.named(), self._bare_optimisers())

    def save_start(self) -> None:
        """Keep what the networks begin with, as a checkpoint. Call before the first step."""
        self._save(self._restored)

    def train(self, on_step: Callable[[Progress], None] | None = None) -> TrainingState:
        """Run all steps that are left; a checkpoint is kept whatever happens.

        Raises: NonFiniteLossError, OutputError; KeyboardInterrupt after a clean checkpoint.
        """
        self._set_up()
        state, before = self._restored, self._restored.seconds
        started = saved = time.monotonic()
        keep_to = state.step or -1  # the validation before the first step is made again
        journal = Journal(self.run, keep_to=keep_to, active=self.fabric.is_global_zero)
        validation = Validation(self.run, self.fabric.device)
        if state.step == 0:  # what training must beat, and what is kept if it never does
            state = self._validate(state, validation, journal)
        every = max(1, self.n_steps // N_VALIDATIONS)
        meter = _RateMeter(self.config.optimiser.batch)
        batches = Batches(self.run, self.fabric, self.n_steps)
        with Interruption() as interruption:
            for images, scales in batches.steps(state.step, self.n_steps):
                losses = self._step(state.step, images, scales)
                state = replace(
                    state, step=state.step + 1, seconds=before + time.monotonic() - started
                )
                journal.step(state.step, losses)
                is_last = state.step == self.n_steps
                if state.step % every == 0 or is_last:
                    state = self._validate(state, validation, journal)
                is_stopped = self._any_process(interruption.asked)
                if is_last or is_stopped or time.monotonic() - saved > CHECKPOINT_S:
                    self._save(state)
                    saved = time.monotonic()
                if on_step is not None and self.fabric.is_global_zero:
                    on_step(meter.progress(state, self.n_steps, losses["total"]))
                if is_stopped:
                    raise KeyboardInterrupt(
                        f"step {state.step} of {self.n_steps} is kept; go on with:"
                        f" edgeinspect train DATA --out {self.run.path} --resume"
                    )
        return state

    def time_steps(self, n_steps: int, n_skipped: int) -> float:
        """Seconds a step, over the steps after the first `n_skipped`. Changes the weights.

        Its pictures are read before: a training reads each once, and then takes it from memory.
        """
        self._set_up()
        batches = Batches(self.run, self.fabric, n_steps)
        batches.read(0, n_steps)
        started = time.monotonic()
        for step, (images, scales) in enumerate(batches.steps(0, n_steps)):
            if step == n_skipped:
                started = time.monotonic()
            self._step(0, images, scales)
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.monotonic() - started) / (n_steps - n_skipped)

    def _step(self, step: int, images: Tensor, scales: Tensor) -> dict[str, float]:
        """Discriminator first, then generator and latent encoder. Returns losses by name."""
        rate = learning_rate(step, self.n_steps, self.config.optimiser)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        fused = self.networks.reconstructor(
            images, scales, self.networks.latent_encoder is not None
        )
        losses = {"learning_rate": rate}
        if self.networks.discriminator is not None and fused.images is not None:
            fakes = fused.images.detach()
            losses["discriminator"] = self._update_discriminator(step, images, fakes)
        terms = self._generator_terms(images, fused)
        total = self._weighted(terms)
        values = torch.stack([*terms.values(), total]).detach().tolist()  # a GPU is waited for once
        losses |= dict(zip(terms, values[:-1], strict=True))
        self._refuse_non_finite(losses, step)
        self._update(self.optimisers["generator"], total, self._generator_networks())
        return {**losses, "total": values[-1]}

    def _generator_terms(self, images: Tensor, fused: Fused) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if fused.features is not None and fused.targets is not None:
            terms["features"] = feature_loss(fused.targets, fused.features)
        if fused.images is None:
            return terms
        terms |= self.consistency(images, fused.images)
        if self.networks.latent_encoder is not None and fused.latents is not None:
            latents = self.networks.latent_encoder(fused.images)
            terms["latent"] = latent_loss(fused.latents, latents)
        if self.plain.discriminator is not None:
            terms["adversarial"] = self._adversarial(self.plain.discriminator, images, fused.images)
        return terms

    def _adversarial(self, frozen: Discriminator, images: Tensor, fused: Tensor) -> Tensor:
        """L_adv, of a discriminator that is not updated, and called without its DDP hooks."""
        with _frozen(frozen), self.fabric.autocast():
            with torch.no_grad():
                real = frozen.middle_features(images)
            return adversarial_loss(real, frozen.middle_features(fused))

    def _update_discriminator(self, step: int, images: Tensor, fakes: Tensor) -> float:
        assert self.networks.discriminator is not None
        logits = self.networks.discriminator(torch.cat([images, fakes]))
        loss = discriminator_loss(*logits.chunk(2))
        value = float(loss.detach())
        self._refuse_non_finite({"discriminator": value}, step)
        self._update(self.optimisers["discriminator"], loss, [self.networks.discriminator])
        return value

    def _weighted(self, terms: dict[str, Tensor]) -> Tensor:
        """Eq. 5, with eq. 1 inside."""
        losses = self.config.losses
        weights = {
            "l1": losses.consistency * losses.l1,
            "ssim": losses.consistency * losses.ssim,
            "gradient": losses.consistency * losses.gradient,
            "features": losses.consistency * losses.features,
            "latent": losses.latent,
            "adversarial": losses.adversarial,
        }
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def _update(self, optimiser: Optimizer, loss: Tensor, networks: list[nn.Module]) -> None:
        optimiser.zero_grad()
        self.fabric.backward(loss)
        if self.config.optimiser.clip_norm:
            for network in networks:
                self.fabric.clip_gradients(
                    network,
                    optimiser,
                    max_norm=self.config.optimiser.clip_norm,
                    error_if_nonfinite=False,  # with 16-mixed the scaler skips such a step
                )
        optimiser.step()

    def _generator_networks(self) -> list[nn.Module]:
        networks: list[nn.Module] = [self.networks.reconstructor]
        if self.networks.latent_encoder is not None:
            networks.append(self.networks.latent_encoder)
        return networks

    def _set_up(self) -> None:
        """Hand networks and optimisers to Fabric, once."""
        if self._is_set_up:
            return
        wrapped = {n: self.fabric.setup_module(m) for n, m in self.plain.named().items()}
        for name, optimiser in self.optimisers.items():
            self.optimisers[name] = cast(Optimizer, self.fabric.setup_optimizers(optimiser))
        self.networks = Networks(
            cast(Reconstructor, wrapped["generator"]),
            cast("Encoder | None", wrapped.get("latent_encoder")),
            cast("Discriminator | None", wrapped.get("discriminator")),
        )
        self._is_set_up = True

    def _validate(
        self, state: TrainingState, validation: Validation, journal: Journal
    ) -> TrainingState:
        """In the first process; keep the best generator. All processes learn of it."""
        if self.fabric.is_global_zero:
            state = self._validate_and_keep_best(state, validation, journal)
        return self.fabric.broadcast(state)

    def _validate_and_keep_best(
        self, state: TrainingState, validation: Validation, journal: Journal
    ) -> TrainingState:
        generator = self.plain.reconstructor.generator
        found = validation(generator, state.step)
        state = replace(state, error=found.error, fill_error=found.fill_error)
        journal.validation(state.step, found)
        if state.best_error is None or found.error < state.best_error:
            state = replace(state, best_error=found.error, best_step=state.step)
            save_best(self.run, self.plain.reconstructor, state)
        return state

    def _any_process(self, asked: bool) -> bool:
        """Whether it was asked for in any of them: all stop after the same step."""
        if self.fabric.world_size == 1:
            return asked
        reduced = self.fabric.all_reduce(torch.tensor(float(asked)), reduce_op="max")
        return bool(torch.as_tensor(reduced) > 0)

    def _save(self, state: TrainingState) -> None:
        if self.fabric.is_global_zero:
            save_last(self.run, self.plain.named(), self._bare_optimisers(), state)

    def _bare_optimisers(self) -> dict[str, Optimizer]:
        """The optimisers inside Fabric's wrappers."""
        return {name: getattr(o, "optimizer", o) for name, o in self.optimisers.items()}

    def _refuse_non_finite(self, losses: dict[str, float], step: int) -> None:
        bad = [name for name, value in losses.items() if not np.isfinite(value)]
        if bad:
            has_one = has_checkpoint(self.run)
            kept = "the last checkpoint is still good" if has_one else "there is no checkpoint yet"
            raise NonFiniteLossError(
                f"step {step + 1} of {self.run.path}: {', '.join(bad)} is not finite; {kept}",
                hint="lower learning_rate, or set precision=32-true, and start anew",
            )


class _RateMeter:
    """Images a second, over the last twenty steps or so."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.last = time.monotonic()
        self.seconds_a_step: float | None = None

    def progress(self, state: TrainingState, n_steps: int, loss: float) -> Progress:
        now = time.monotonic()
        took, self.last = now - self.last, now
        old = self.seconds_a_step
        self.seconds_a_step = took if old is None else 0.95 * old + 0.05 * took
        return Progress(
            step=state.step,
            n_steps=n_steps,
            loss=loss,
            images_per_s=self.batch / max(self.seconds_a_step, 1e-9),
            seconds_left=(n_steps - state.step) * self.seconds_a_step,
            error=state.error,
            fill_error=state.fill_error,
        )


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Its weights collect no gradient while gradients flow through it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
