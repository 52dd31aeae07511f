"""Requirements of an optimizer on the training loop, determined alike for ours, torch's and the user's own."""

import inspect

from torch.optim import Optimizer


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether `step` needs a function that computes loss and gradients again (SAM, L-BFGS).

    An optimizer declares it by an attribute `needs_closure`, or by a `step` whose closure has no default.

    >>> import torch
    >>> w = [torch.zeros(1, requires_grad=True)]
    >>> needs_closure(torch.optim.LBFGS(w)), needs_closure(torch.optim.SGD(w))
    (True, False)
    """
    declared = getattr(optimizer, "needs_closure", None)
    if declared is not None:
        return bool(declared)
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def needs_batchnorm_recalibration(optimizer: Optimizer) -> bool:
    """Whether evaluation uses other weights than training, so that batch statistics must be computed again.

    An optimizer declares it by an attribute `needs_batchnorm_recalibration`, or by having `train()` and `eval()`,
    which swap averaged weights in and out (Defazio et al. 2024, "The Road Less Scheduled").
    """
    # Running statistics belong to the weights that produced them: averaged weights have other activations.
    declared = getattr(optimizer, "needs_batchnorm_recalibration", None)
    if declared is not None:
        return bool(declared)
    return callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None))


def moves_all(optimizer: Optimizer) -> bool:
    """Whether every parameter with a gradient is meant to move in the first steps; the trial of an arm relies on it.

    An optimizer that moves its parameters in turn, block after block, declares `moves_all = False`.
    """
    return bool(getattr(optimizer, "moves_all", True))


def train_mode(optimizer: Optimizer) -> None:
    """Load the training weights of an optimizer that distinguishes them; call before stepping."""
    switch = getattr(optimizer, "train", None)
    if callable(switch):
        switch()


def eval_mode(optimizer: Optimizer) -> None:
    """Load the evaluation weights of an optimizer that distinguishes them; call before evaluating."""
    switch = getattr(optimizer, "eval", None)
    if callable(switch):
        switch()
