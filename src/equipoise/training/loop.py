"""The epoch: batches, augmentation, one optimizer step each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.optimizers import eval_mode, needs_closure, train_mode
from equipoise.training import augmentation as augment
from equipoise.training.augmentation import Augmentation
from equipoise.training.determinism import generator, seeded
from equipoise.training.feeding import Feed, batches, whole
from equipoise.training.losses import Loss, deeply_supervised
from equipoise.training.observation import Observation, gradient_norm
from equipoise.training.samples import Samples


class NotFiniteError(Exception):
    """The loss of a batch was not a finite number; `cases` are the batch's."""

    def __init__(self, cases: list[str]) -> None:
        super().__init__(", ".join(cases))
        self.cases = cases


@dataclass
class Learner:
    """What changes while a job trains, with its losses: of training, and of validation (no class weights)."""

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    plain_loss: Loss
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    precision: torch.dtype
    clip_norm: float | None

    def logits(self, images: Tensor) -> Tensor:
        """The model's answer in float32, computed in the arm's precision."""
        return self.outputs(images)[0]

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Everything the model answers, in float32: with deep supervision several scales, full resolution first."""
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            outputs: Tensor | Sequence[Tensor] = self.model(images)
        return [part.float() for part in ((outputs,) if isinstance(outputs, Tensor) else outputs)]


def train_epoch(
    learner: Learner,
    samples: Samples,
    feed: Feed,
    augmentation: Augmentation,
    stream: tuple[object, ...],
    observation: Observation | None = None,
) -> float:
    """Train over the samples once; `stream` names the random draws of this epoch. Returns the mean loss.

    Optimizers that train on other weights than they are judged by are left with those to be judged.

    Raises NotFiniteError with the cases of the batch whose loss was not finite.
    """
    draws = generator(*stream, "epoch")
    learner.model.train()
    train_mode(learner.optimizer)
    total, seen = 0.0, 0
    with seeded(*stream, "dropout"):
        for batch in feed.epoch(samples, draws):
            on_device = batch.to(learner.device)
            images, targets = _augmented(on_device.images, on_device.targets, augmentation, draws)
            loss = _step(learner, images, targets, observation)
            if not math.isfinite(loss):
                raise NotFiniteError([samples.cases[index] for index in batch.indices])
            total, seen = total + loss * len(batch.indices), seen + len(batch.indices)
    eval_mode(learner.optimizer)
    return total / seen


def _augmented(
    images: Tensor, targets: Tensor, augmentation: Augmentation, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    if augmentation.identity:
        return images, targets
    parameters = augment.draw(augmentation, len(images), images.ndim - 2, draws)
    masks = targets if targets.ndim > 1 else None
    images, moved = augment.apply(images, masks, parameters)
    return images, targets if moved is None else moved


def _step(learner: Learner, images: Tensor, targets: Tensor, observation: Observation | None) -> float:
    """One update; optimizers that look twice at a batch are given a closure."""

    def closure() -> float:
        learner.optimizer.zero_grad()
        with torch.enable_grad():
            loss = deeply_supervised(learner.loss)(learner.outputs(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        if observation is not None:
            observation.gradient(gradient_norm(learner.model.parameters()))
        if learner.clip_norm is not None:
            nn.utils.clip_grad_norm_(learner.model.parameters(), learner.clip_norm)
        return loss.item()

    if needs_closure(learner.optimizer):
        loss = learner.optimizer.step(closure)
    else:
        loss = closure()
        # a step along a gradient that is not finite would spoil the weights before anyone looks at the loss
        if math.isfinite(loss):
            learner.optimizer.step()
    if observation is not None:
        observation.step(learner.optimizer)
    learner.schedule.step()
    return loss


def predict(learner: Learner, samples: Samples, batch_size: int) -> Tensor:
    """Logits of all samples in their order, (n, classes) float32 on the CPU, the model in evaluation mode."""
    learner.model.eval()
    with torch.inference_mode():
        parts = [
            learner.logits(whole(samples, indices).to(learner.device).images).cpu()
            for indices in batches(len(samples), batch_size)
        ]
    return torch.cat(parts)


def recalibrate(learner: Learner, samples: Samples, feed: Feed) -> None:
    """Recompute batch-normalisation statistics for the weights that will be judged.

    Optimizers that average weights (schedule-free, Defazio et al. 2024) need it: the running statistics belong to the
    training weights, not to the average.
    """
    norms = [module for module in learner.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    learner.model.train()
    with torch.no_grad():
        for batch in feed.epoch(samples, generator("recalibration")):
            learner.logits(batch.to(learner.device).images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
