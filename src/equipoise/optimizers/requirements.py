"""What an optimizer asks of the training loop, found out in one way for ours, torch's and anyone's own."""

import inspect

from torch.optim import Optimizer


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether `step` must be given a function that computes loss and gradients anew (SAM, L-BFGS).

    An optimizer says so by an attribute `needs_closure`, or by a `step` whose closure has no default.

    >>> import torch
    >>> w = [torch.zeros(1, requires_grad=True)]
    >>> needs_closure(torch.optim.LBFGS(w)), needs_closure(torch.optim.SGD(w))
    (True, False)
    """
    stated = getattr(optimizer, "needs_closure", None)
    if stated is not None:
        return bool(stated)
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def needs_batchnorm_recalibration(optimizer: Optimizer) -> bool:
    """Whether the weights to be judged are others than those trained with, so that statistics must be redone.

    An optimizer says so by an attribute `needs_batchnorm_recalibration`, or by having `train()` and `eval()`,
    which swap averaged weights in and out (Defazio et al. 2024, "The Road Less Scheduled").
    """
    stated = getattr(optimizer, "needs_batchnorm_recalibration", None)
    if stated is not None:
        return bool(stated)
    return callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None))


def train_mode(optimizer: Optimizer) -> None:
    """Put the weights to train with in place, where the optimizer tells them apart; call before stepping."""
    switch = getattr(optimizer, "train", None)
    if callable(switch):
        switch()


def eval_mode(optimizer: Optimizer) -> None:
    """Put the weights to judge in place, where the optimizer tells them apart; call before evaluating."""
    switch = getattr(optimizer, "eval", None)
    if callable(switch):
        switch()
