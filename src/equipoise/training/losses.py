"""Losses over logits (n, classes, *spatial); targets are class indices or soft targets over the class axis."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
FOCAL_GAMMA = 2.0


def _soft(logits: Tensor, target: Tensor) -> Tensor:
    """Targets as probabilities with the shape of the logits."""
    if target.is_floating_point():
        return target.to(logits.dtype)
    return functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits.dtype)


def cross_entropy(weight: Tensor | None = None) -> Loss:
    """Mean of −log p of the true class, in nats; soft targets are allowed."""
    return lambda logits, target: functional.cross_entropy(logits, target, weight=weight)


def dice(smooth: float = 1.0) -> Loss:
    """1 − soft Dice, averaged over classes (background included), over the whole batch.

    Dice_c = (2 Σ p_c t_c + s) / (Σ p_c + Σ t_c + s), 0 ≤ loss < 1 (Milletari et al. 2016, without squares).
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        p, t = logits.softmax(1), _soft(logits, target)
        axes = [0, *range(2, logits.ndim)]
        overlap, total = (p * t).sum(axes), p.sum(axes) + t.sum(axes)
        return 1 - ((2 * overlap + smooth) / (total + smooth)).mean()

    return loss


def focal(weight: Tensor | None = None) -> Loss:
    """Mean of −(1 − p)^2 log p of the true class (Lin et al. 2017)."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        shape = [1, -1, *[1] * (logits.ndim - 2)]
        weights = 1.0 if weight is None else weight.reshape(shape)
        return -(_soft(logits, target) * weights * (1 - log_p.exp()) ** FOCAL_GAMMA * log_p).sum(1).mean()

    return loss


def build(name: str, weight: Tensor | None = None) -> Loss:
    """The loss a protocol names; `weight` is one factor per class."""
    entropy, overlap = cross_entropy(weight), dice()
    losses: dict[str, Loss] = {
        "cross-entropy": entropy,
        "dice": overlap,
        "dice-cross-entropy": lambda logits, target: entropy(logits, target) + overlap(logits, target),
        "focal": focal(weight),
    }
    return losses[name]


def balanced_weights(targets: Tensor, classes: int) -> Tensor:
    """n / (classes × n_c) per class, so that every class weighs the same; absent classes get 0."""
    counts = torch.bincount(targets.flatten(), minlength=classes).float()
    return torch.where(counts > 0, counts.sum() / (classes * counts.clamp(min=1)), 0.0)
