"""Exponential moving average of a model's weights: less noisy than the last step, at the price of one copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
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

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint needs."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.updates = int(state["updates"])
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])


def _trainable(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)
