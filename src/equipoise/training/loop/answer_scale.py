"""Tell a network that answers with probabilities from one that answers with logits, which the losses assume."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

FACTOR = 30
"""Logits leave [0, 1] where the images or the weights are so many times as large; probabilities stay there."""


def squashed_by(model: nn.Module, answer: Callable[[Tensor], Tensor], images: Tensor) -> str | None:
    """Return "a softmax" or "a sigmoid" where all answers look like its results; None for logits.

    answer: from images (n, channel, *sides) to answers (n, classes, …) of the model, which is in evaluation mode.
    The model's weights are multiplied: it is of no use afterwards.
    """
    with torch.no_grad():
        answers = [answer(images * factor) for factor in (1, FACTOR)]
        for parameter in model.parameters():
            parameter.mul_(FACTOR)
        answers.append(answer(images))
    inside = all(bool((one >= 0).all() and (one <= 1).all()) for one in answers)
    # Constant answers (a head that starts at zero) are no probabilities yet; other clauses see whether they train.
    if not inside or not any(bool(one.any()) for one in answers):
        return None
    sums = all(bool(torch.allclose(one.sum(1), torch.ones(()).to(one), atol=1e-2)) for one in answers)
    return "a softmax" if sums else "a sigmoid"
