"""Averages of a model's weights, moving or of the last epochs: less noisy than the last step, for one more copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class _Average:
    """What both averages share: one copy of the trainable weights, put in the model's place for evaluation."""

    weights: dict[str, Tensor]

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model inside the block; restore the training weights and statistics after it."""
        # Cloned, because load_state_dict overwrites the tensors that state_dict returns.
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.weights, strict=False)
        try:
            yield
        finally:
            model.load_state_dict(before)


class WeightAverage(_Average):
    """Average the trainable weights of a model: ā ← d ā + (1 − d) θ after every update.

    d is `decay`, but at most (1 + t) / (10 + t) at the t-th update, so that the random initial weights lose their
    influence even in a short training. Buffers are not averaged: batch-normalisation statistics belong to one set of
    weights and are recomputed for the average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in _trainable(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Include the weights after an update."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in _trainable(model):
            self.weights[name].lerp_(value, 1 - decay)

    @property
    def ready(self) -> bool:
        """Whether there is an average: after every update there is."""
        return True

    def end_epoch(self, model: nn.Module, epoch: int) -> None:
        """Do nothing: every update has been included."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint needs."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.updates = int(state["updates"])
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])


class EpochAverage(_Average):
    """Average the trainable weights at the ends of all epochs from `first` on, counted from 0, with equal weights.

    Izmailov et al. 2018 (SWA), without a rate of its own: the protocol's schedule holds. Before the first of these
    epochs has ended there is no average. Buffers are not averaged, as in `WeightAverage`.
    """

    def __init__(self, model: nn.Module, first: int) -> None:
        self.first, self.epochs = first, 0
        self.weights = {name: torch.zeros_like(value) for name, value in _trainable(model)}

    @property
    def ready(self) -> bool:
        """Whether an epoch has been included."""
        return self.epochs > 0

    def update(self, model: nn.Module) -> None:
        """Do nothing: the ends of epochs count."""

    @torch.no_grad()
    def end_epoch(self, model: nn.Module, epoch: int) -> None:
        """Include the weights at the end of an epoch, counted from 0, if it is one of those that count."""
        if epoch < self.first:
            return
        self.epochs += 1
        for name, value in _trainable(model):
            self.weights[name].lerp_(value, 1 / self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint needs."""
        return {"epochs": self.epochs, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.epochs = int(state["epochs"])
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])


def _trainable(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)
