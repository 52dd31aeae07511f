"""The family's step, tensor by tensor in plain torch operations: the reference for every faster path.

Only operations that round once are used (no fused multiply-add), so that the compiled kernel can give the same bits.
Large tensors are processed in pieces that stay in the processor's cache.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.optimizers.adaptive_momentum.sign_counts import look_up
from equipoise.optimizers.adaptive_momentum.step_inputs import Batch, StepSettings, is_dense

_PIECE = 32768  # elements; measured best of 8k .. 128k on a core with 1 MB of second-level cache


def step_loop(batch: Batch) -> None:
    """Advance every tensor of the batch by one step, in place."""
    settings = batch.settings
    for i, theta in enumerate(batch.thetas):
        grad, count = batch.grads[i], batch.counts[i]
        if theta.numel() == 0:
            continue
        if not settings.rule.follows_agreement:
            for piece in _pieces(theta, grad, count):
                _follow_sign(settings, *piece)
            continue
        moments = [batch.exp_avgs[i]] + ([batch.exp_avg_sqs[i]] if settings.rule.normalised else [])
        if settings.per == "tensor":
            agree = torch.sign(torch.sum(grad * moments[0], dtype=torch.float64))
            rate = _advance_count(settings, count, agree)
            for piece in _pieces(theta, grad, *moments):
                _descend(settings, rate, *piece)
            continue
        for piece in _pieces(theta, grad, count, *moments):
            _follow_agreement(settings, *piece)


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield flat slices of equal length of dense tensors that share one memory layout; yield others whole."""
    # Each operation of a step reads and writes its whole operand: on pieces in the cache, a step of ten operations
    # costs about one pass through main memory in place of ten.
    first, length = tensors[0], tensors[0].numel()
    same_layout = all(tensor.stride() == first.stride() for tensor in tensors)
    if length <= _PIECE or not same_layout or not is_dense(first):
        yield tensors
        return
    flat = [tensor.as_strided((length,), (1,)) for tensor in tensors]
    for start in range(0, length, _PIECE):
        yield tuple(tensor[start : start + _PIECE] for tensor in flat)


def _follow_sign(settings: StepSettings, theta: Tensor, grad: Tensor, count: Tensor) -> None:
    """Apply rules "paper" and "bounded": beta follows the sign of the gradient, theta the gradient."""
    work = _widened(theta)
    grad = grad.to(work.dtype)
    rate = _rate(settings, count)
    if settings.decay != 1:
        work.mul_(settings.decay)
    work.sub_(rate.mul_(grad))  # (3)
    # (1) for the next step: computed now, it needs no copy of the last gradient, and sign(g_0) = 0.
    _move(settings, count, torch.sign(grad))
    _store(theta, work)


def _follow_agreement(settings: StepSettings, theta: Tensor, grad: Tensor, count: Tensor, *moments: Tensor) -> None:
    """Apply rules "agreement" and "adam" with a rate for every element."""
    # The product of signs is the sign of the product, without its underflow.
    agree = torch.sign(grad.to(moments[0].dtype)).mul_(torch.sign(moments[0]))
    rate = _advance_count(settings, count, agree)
    _descend(settings, rate, theta, grad, *moments)


def _advance_count(settings: StepSettings, count: Tensor, agree: Tensor) -> Tensor:
    """Apply equation 1 with u_t = -agreement, and return the rate of equation 2."""
    _move(settings, count, agree.neg_())  # (1)
    return _rate(settings, count)  # (2)


def _descend(settings: StepSettings, rate: Tensor, theta: Tensor, grad: Tensor, *moments: Tensor) -> None:
    """Apply equations 4 and 5 of the rules with momentum."""
    work, grad = _widened(theta), grad.to(moments[0].dtype)
    exp_avg = moments[0]
    exp_avg.mul_(settings.beta1).add_(grad * (1 - settings.beta1))  # (4)
    direction = exp_avg * settings.correction1
    if settings.rule.normalised:
        exp_avg_sq = moments[1]
        exp_avg_sq.mul_(settings.beta2).add_((grad * grad).mul_(1 - settings.beta2))  # (4)
        # torch's float32 root on CPUs (MKL) is not correctly rounded; through float64 it is.
        root = exp_avg_sq.double().sqrt().to(exp_avg_sq.dtype)
        direction.div_(root.mul_(settings.correction2).add_(settings.eps))
    if settings.decay != 1:
        work.mul_(settings.decay)
    work.sub_(direction.mul_(rate))  # (5)
    _store(theta, work)


def _move(settings: StepSettings, count: Tensor, signs: Tensor) -> None:
    """Apply equation 1 to the counts: n += u, within the limit (or with a leak, which needs none)."""
    if settings.keep is not None:
        count.mul_(settings.keep).add_(signs)
        return
    count.add_(signs.to(count.dtype)).clamp_(-settings.limit, settings.limit)


def _rate(settings: StepSettings, count: Tensor) -> Tensor:
    """Return the rates of equation 2 from the table, or computed where a leak makes counts fractional."""
    if settings.keep is None:
        return look_up(settings.table, count.clamp(-settings.limit, settings.limit))
    beta = count.to(torch.float64).mul_(settings.alpha).add_(settings.beta0)
    return torch.exp(beta.mul_(-settings.gamma)).mul_(settings.lr).to(settings.table.dtype)


def _widened(theta: Tensor) -> Tensor:
    """Return the tensor to compute on: itself, or a float32 copy of a half-precision parameter."""
    return theta.float() if theta.dtype in (torch.bfloat16, torch.float16) else theta


def _store(theta: Tensor, work: Tensor) -> None:
    """Round the result of a half-precision parameter back into it."""
    if work is not theta:
        theta.copy_(work)
