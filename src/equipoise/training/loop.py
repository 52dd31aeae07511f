"""The epoch: batches, augmentation, one optimizer step each; and what the validation cases say after it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.optimizers import eval_mode, needs_closure, train_mode
from equipoise.training import augmentation as augment
from equipoise.training.augmentation import Augmentation
from equipoise.training.determinism import generator, seeded
from equipoise.training.losses import Loss
from equipoise.training.samples import Samples


class NotFiniteError(Exception):
    """The loss of a batch was not a finite number; `cases` are the batch's."""

    def __init__(self, cases: list[str]) -> None:
        super().__init__(", ".join(cases))
        self.cases = cases


@dataclass
class Learner:
    """What changes while a job trains."""

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    precision: torch.dtype
    clip_norm: float | None

    def logits(self, images: Tensor) -> Tensor:
        """The model's answer in float32, computed in the arm's precision."""
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            outputs: Tensor | tuple[Tensor, ...] = self.model(images)
        # deep supervision answers at several scales, full resolution first
        return (outputs if isinstance(outputs, Tensor) else outputs[0]).float()


def batches(
    n: int, batch_size: int, order: Tensor | None = None
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Indices in nearly equal batches, none a rest of one case: batch normalisation needs two.

    >>> [len(batch) for batch in batches(65, 32)]
    [22, 22, 21]
    """
    indices = np.arange(n) if order is None else order.numpy()
    yield from np.array_split(indices, max(1, math.ceil(n / batch_size)))


def tensors(
    samples: Samples, indices: np.ndarray[tuple[int], np.dtype[np.int64]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images and targets of some samples on the device."""
    images = torch.from_numpy(np.ascontiguousarray(samples.images[indices]))
    targets = torch.from_numpy(np.ascontiguousarray(samples.targets[indices]))
    return images.to(device), targets.to(device)


def train_epoch(
    learner: Learner, samples: Samples, batch_size: int, augmentation: Augmentation, stream: tuple[object, ...]
) -> float:
    """Train over all samples once; `stream` names the random draws of this epoch. Returns the mean loss.

    Optimizers that train on other weights than they are judged by are left with those to be judged.

    Raises NotFiniteError with the cases of the batch whose loss was not finite.
    """
    draws = generator(*stream, "epoch")
    order = torch.randperm(len(samples), generator=draws)
    learner.model.train()
    train_mode(learner.optimizer)
    total = 0.0
    with seeded(*stream, "dropout"):
        for indices in batches(len(samples), batch_size, order):
            images, targets = tensors(samples, indices, learner.device)
            images, targets = _augmented(images, targets, augmentation, draws)
            loss = _step(learner, images, targets)
            if not math.isfinite(loss):
                raise NotFiniteError([samples.cases[index] for index in indices])
            total += loss * len(indices)
    eval_mode(learner.optimizer)
    return total / len(samples)


def _augmented(
    images: Tensor, targets: Tensor, augmentation: Augmentation, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    if augmentation.identity:
        return images, targets
    parameters = augment.draw(augmentation, len(images), images.ndim - 2, draws)
    masks = targets if targets.ndim > 1 else None
    images, moved = augment.apply(images, masks, parameters)
    return images, targets if moved is None else moved


def _step(learner: Learner, images: Tensor, targets: Tensor) -> float:
    """One update; optimizers that look twice at a batch are given a closure."""

    def closure() -> float:
        learner.optimizer.zero_grad()
        with torch.enable_grad():
            loss = learner.loss(learner.logits(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
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
    learner.schedule.step()
    return loss


def predict(learner: Learner, samples: Samples, batch_size: int) -> Tensor:
    """Logits of all samples in their order, (n, classes, *spatial) float32 on the CPU, the model in evaluation mode."""
    learner.model.eval()
    with torch.inference_mode():
        parts = [
            learner.logits(tensors(samples, indices, learner.device)[0]).cpu()
            for indices in batches(len(samples), batch_size)
        ]
    return torch.cat(parts)


def recalibrate(learner: Learner, samples: Samples, batch_size: int) -> None:
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
        for indices in batches(len(samples), batch_size):
            learner.logits(tensors(samples, indices, learner.device)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
