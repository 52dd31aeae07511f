"""The family's step over lists of tensors at once, for accelerators where each operation costs a kernel launch.

Counts equal those of reference_step.py. Rates are computed in the parameters' precision instead of read from the
table, so parameters agree to a relative 1e-6 and not to the last bit.
"""

import torch
from torch import Tensor

from equipoise.optimizers.adaptive_momentum.step_inputs import Batch, StepSettings


def step_foreach(batch: Batch) -> None:
    """Advance every tensor of the batch by one step, in place, with torch's multi-tensor operations."""
    settings = batch.settings
    dtype = settings.table.dtype
    grads = [grad.to(dtype) for grad in batch.grads]
    if settings.rule.follows_agreement:
        _move(settings, batch.counts, torch._foreach_neg(_agreements(batch, grads)))  # (1)
        steps = _directions(batch, grads)  # (4)
        torch._foreach_mul_(steps, _rates(settings, batch.counts))  # (2)
    else:
        steps = list(torch._foreach_mul(grads, _rates(settings, batch.counts)))  # (2)
        _move(settings, batch.counts, torch._foreach_sign(grads))  # (1) for the next step
    work = [theta.to(dtype) for theta in batch.thetas]
    if settings.decay != 1:
        torch._foreach_mul_(work, settings.decay)
    torch._foreach_sub_(work, steps)  # (3), (5)
    narrow = [(theta, new) for theta, new in zip(batch.thetas, work, strict=True) if theta is not new]
    if narrow:
        torch._foreach_copy_([theta for theta, _ in narrow], [new for _, new in narrow])


def _agreements(batch: Batch, grads: list[Tensor]) -> list[Tensor]:
    """Return sign(g * m) for every element, or the sign of its sum for every tensor."""
    if batch.settings.per == "tensor":
        # Summed in float64: near zero the order of a float32 sum decides its sign, and with it the whole tensor's rate.
        products = torch._foreach_mul(grads, batch.exp_avgs)
        return [torch.sign(product.sum(dtype=torch.float64)) for product in products]
    # The product of signs and not the sign of the product, which may underflow to zero.
    signs = list(torch._foreach_sign(grads))
    torch._foreach_mul_(signs, torch._foreach_sign(batch.exp_avgs))
    return signs


def _directions(batch: Batch, grads: list[Tensor]) -> list[Tensor]:
    """Update the moments (equation 4) and return the direction of equation 5."""
    settings = batch.settings
    torch._foreach_mul_(batch.exp_avgs, settings.beta1)
    # Not add with alpha: its fused multiply-add would round m, and with it signs, differently from the loop.
    torch._foreach_add_(batch.exp_avgs, torch._foreach_mul(grads, 1 - settings.beta1))
    directions = list(torch._foreach_mul(batch.exp_avgs, settings.correction1))
    if settings.rule.normalised:
        torch._foreach_mul_(batch.exp_avg_sqs, settings.beta2)
        torch._foreach_addcmul_(batch.exp_avg_sqs, grads, grads, 1 - settings.beta2)
        roots = torch._foreach_sqrt(batch.exp_avg_sqs)
        torch._foreach_mul_(roots, settings.correction2)
        torch._foreach_add_(roots, settings.eps)
        torch._foreach_div_(directions, roots)
    return directions


def _move(settings: StepSettings, counts: list[Tensor], signs: tuple[Tensor, ...] | list[Tensor]) -> None:
    """Apply equation 1 to the counts, with a clamp or a leak."""
    if settings.keep is not None:
        torch._foreach_mul_(counts, settings.keep)
        torch._foreach_add_(counts, [sign.to(torch.float32) for sign in signs])
        return
    torch._foreach_add_(counts, [sign.to(count.dtype) for sign, count in zip(signs, counts, strict=True)])
    torch._foreach_clamp_max_(counts, settings.limit)
    torch._foreach_clamp_min_(counts, -settings.limit)


def _rates(settings: StepSettings, counts: list[Tensor]) -> list[Tensor]:
    """Compute the rates of equation 2."""
    # Computed and not read from the table: torch has no multi-tensor lookup, so each tensor would need its own launch.
    rates = [count.to(settings.table.dtype, copy=True) for count in counts]
    torch._foreach_mul_(rates, -settings.gamma * settings.alpha)
    torch._foreach_add_(rates, -settings.gamma * settings.beta0)
    torch._foreach_exp_(rates)
    torch._foreach_mul_(rates, settings.lr)
    return rates
