"""Inputs of one step of the adaptive-momentum family, the same for every path."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equipoise.optimizers.adaptive_momentum.rules import RULES, Rule
from equipoise.optimizers.adaptive_momentum.sign_counts import clamp_limit, count_dtype, rate_table, reachable_limit


@dataclass(frozen=True, slots=True)
class StepSettings:
    """The numbers of one parameter group at one step, as every path uses them.

    Attributes:
        rule: the member of the family.
        per: "element" or "tensor".
        lr, alpha, gamma, beta0: eta_0 and the constants of equations 1 and 2.
        limit: bound on the counts at this step.
        table: rates of the counts -limit .. limit (equation 2), in the dtype that the step computes in.
        decay: factor of the decoupled weight decay, 1 - lr * weight_decay.
        beta1, beta2: decay of the moments in equation 4.
        correction1: 1 / (1 - beta1^t), the bias correction of m.
        correction2: 1 / sqrt(1 - beta2^t), that of sqrt(v).
        eps: added to the root in equation 5 of the adam rule.
        keep: fraction of beta - beta_0 that a leak keeps at each step, or None without a leak.
        count_dtype: type of the stored counts.
    """

    rule: Rule
    per: str
    lr: float
    alpha: float
    gamma: float
    beta0: float
    limit: int
    table: Tensor
    decay: float
    beta1: float
    beta2: float
    correction1: float
    correction2: float
    eps: float
    keep: float | None
    count_dtype: torch.dtype

    @classmethod
    def of(cls, group: dict[str, Any], step: int, dtype: torch.dtype, device: torch.device) -> "StepSettings":
        """Compute the settings of a parameter group at its `step`-th update (1, 2, ...), for parameters of `dtype`."""
        dtype = dtype.to_real() if dtype.is_complex else dtype
        dtype = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
        rule = RULES[group["rule"]]
        lr, alpha, gamma, beta0 = (float(group[name]) for name in ("lr", "alpha", "gamma", "beta0"))
        kappa = abs(alpha * gamma)
        limit = reachable_limit(step)
        if rule.clamped:
            limit = min(limit, clamp_limit(kappa, group["ratio"]))
        beta1, beta2 = group["betas"] if rule.normalised else (group["momentum"], 0.0)
        return cls(
            rule=rule,
            per=group["per"],
            lr=lr,
            alpha=alpha,
            gamma=gamma,
            beta0=beta0,
            limit=limit,
            table=rate_table(lr, alpha, gamma, beta0, limit, dtype, device),
            decay=1 - lr * group["weight_decay"],
            beta1=beta1,
            beta2=beta2,
            correction1=1 / (1 - beta1**step),
            correction2=1 / math.sqrt(1 - beta2**step),
            eps=group["eps"],
            keep=1 - kappa / math.log(group["ratio"]) if group["leak"] else None,
            count_dtype=torch.float32 if group["leak"] else count_dtype(limit),
        )


@dataclass(slots=True)
class Batch:
    """Tensors that take the same step: equal settings, dtype and device; lists run in parallel.

    Attributes:
        settings: the numbers of the step.
        thetas: parameters (real; complex ones come as their real views).
        grads: gradients to descend, in the shapes of `thetas`.
        counts: n of equation 1: integers, in the shapes of `thetas` or 0-dimensional (`per="tensor"`);
            with a leak, float32 and fractional.
        exp_avgs: m of equation 4, or nothing for the rules without momentum.
        exp_avg_sqs: v of equation 4, or nothing for the rules without a second moment.
    """

    settings: StepSettings
    thetas: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)
    exp_avgs: list[Tensor] = field(default_factory=list)
    exp_avg_sqs: list[Tensor] = field(default_factory=list)

    def append(self, theta: Tensor, grad: Tensor, count: Tensor, *moments: Tensor) -> None:
        """Add a tensor with its state; `moments` are those of exp_avg and exp_avg_sq that the rule has."""
        self.thetas.append(theta)
        self.grads.append(grad)
        self.counts.append(count)
        for column, moment in zip((self.exp_avgs, self.exp_avg_sqs), moments, strict=False):
            column.append(moment)


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill one contiguous block of memory, in any order of axes."""
    return (
        tensor.is_contiguous()
        or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
        or (tensor.dim() == 5 and tensor.is_contiguous(memory_format=torch.channels_last_3d))
    )
