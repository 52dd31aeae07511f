"""Train one epoch: batches, augmentation, and updates of the weights, each from one or several batches."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from equipoise.optimizers import eval_mode, needs_batchnorm_recalibration, needs_closure, train_mode
from equipoise.training import augmentation as augment
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Batch, Feed
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.losses import deeply_supervised
from equipoise.training.loop.determinism import generator, seeded
from equipoise.training.loop.diagnostics import Observation

ENOUGH = 2048
"""Cases (patches) whose batch-normalisation statistics are as good as those of more (Wu & Johnson 2021)."""


class NotFiniteError(Exception):
    """The loss of a batch was not a finite number; `cases` are the batch's."""

    def __init__(self, cases: list[str]) -> None:
        super().__init__(", ".join(cases))
        self.cases = cases


def train_epoch(
    learner: Learner,
    samples: Samples,
    feed: Feed,
    augmentation: Augmentation,
    stream: tuple[object, ...],
    observation: Observation | None = None,
) -> float:
    """Train over the samples once and return the mean loss; `stream` names the random draws of this epoch.

    Optimizers with separate weights for evaluation (schedule-free) are left with those in the model.

    Raises NotFiniteError with the cases of the batch whose loss was not finite.
    """
    draws = generator(*stream, "epoch")
    learner.start_training()
    train_mode(learner.optimizer)
    total, seen = 0.0, 0
    # Dropout must differ between processes, which hold different cases; one process keeps the stream without a rank.
    with seeded(*stream, "dropout", *([learner.ranks.rank] if learner.ranks.count > 1 else [])):
        for update in feed.updates(samples, draws):
            ready = [_prepared(learner, batch.to(learner.device), augmentation, draws) for batch in update]
            cases = sum(len(batch.indices) for batch in ready)
            total, seen = total + _update(learner, ready, samples.cases, observation) * cases, seen + cases
    eval_mode(learner.optimizer)
    return total / seen


def _prepared(learner: Learner, batch: Batch, augmentation: Augmentation, draws: torch.Generator) -> Batch:
    images, targets = _augmented(batch.images, batch.targets, augmentation, draws)
    if learner.mixup is not None:
        images, targets = learner.mixup.mix(images, targets, draws)
    return replace(batch, images=images, targets=targets)


def _augmented(
    images: Tensor, targets: Tensor, augmentation: Augmentation, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    if augmentation.identity:
        return images, targets
    parameters = augment.draw(augmentation, len(images), images.ndim - 2, draws)
    masks = targets if targets.ndim > 1 else None
    images, moved = augment.apply(images, masks, parameters)
    return images, targets if moved is None else moved


def _update(learner: Learner, batches: list[Batch], cases: Sequence[str], observation: Observation | None) -> float:
    """Update the weights once and return the loss; optimizers with two gradients per step (SAM) get a closure."""

    def closure() -> float:
        """Compute the loss and its gradient anew, for optimizers that ask again."""
        learner.optimizer.zero_grad()
        loss = _gradients(learner, batches, cases)
        if observation is not None:
            observation.gradient(learner.model.parameters())
        if learner.clip_norm is not None:
            nn.utils.clip_grad_norm_(learner.model.parameters(), learner.clip_norm)
        return loss

    if needs_closure(learner.optimizer):
        loss = float(learner.optimizer.step(closure))
    else:
        loss = closure()
        learner.optimizer.step()
    if observation is not None:
        observation.step(learner.optimizer)
    learner.schedule.step()
    if learner.average is not None:
        learner.average.update(learner.model)
    return loss


def _gradients(learner: Learner, batches: list[Batch], cases: Sequence[str]) -> float:
    """Add up the gradients of the mean loss over all cases of the batches, and return that mean.

    Raises NotFiniteError before a step along a gradient that is not finite could spoil the weights.
    """
    losses = []
    sizes = [len(batch.indices) for batch in batches]
    for batch, size in zip(batches, sizes, strict=True):
        with torch.enable_grad():
            own = learner.outputs(batch.images[learner.ranks.rows(size)])
            outputs = [learner.ranks.whole(part, size) for part in own]
            loss = deeply_supervised(learner.loss)(outputs, batch.targets)
            (loss * (size / sum(sizes))).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    learner.ranks.sum_gradients(learner.model.parameters())
    # One transfer for all batches: reading each loss at once would make the device wait after every batch.
    values: list[float] = torch.stack(losses).tolist()
    for batch, value in zip(batches, values, strict=True):
        if not math.isfinite(value):
            raise NotFiniteError(list(dict.fromkeys(cases[index] for index in batch.indices)))
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)


@contextmanager
def evaluation_weights(learner: Learner, samples: Samples, feed: Feed) -> Iterator[None]:
    """Put the weights for evaluation into the model inside the block, with matching normalisation statistics."""
    if learner.average is not None and learner.average.ready:
        with learner.average.in_place(learner.model):
            recalibrate(learner, samples, feed)
            yield
        return
    if needs_batchnorm_recalibration(learner.optimizer):
        recalibrate(learner, samples, feed)
    yield


def recalibrate(learner: Learner, samples: Samples, feed: Feed) -> None:
    """Recompute batch-normalisation statistics for the weights that are evaluated.

    Averages of weights (schedule-free, Defazio et al. 2024, or a moving average) need this, because the running
    statistics belong to the training weights. At most about `ENOUGH` cases or patches are used.
    """
    every = (module for module in learner.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    norms = [norm for norm in every if norm not in learner.frozen_norm_layers]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    learner.start_training()
    seen = 0
    with torch.no_grad():
        # The same draws every time, so that differences between epochs come from the weights and not from the cases.
        for batch in feed.epoch(samples, generator("recalibration")):
            if seen >= ENOUGH:
                break
            seen += len(batch.indices)
            learner.logits(batch.to(learner.device).images[learner.ranks.rows(len(batch.indices))])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
