"""The optimizer of Zhang et al. (equations 1 to 3), made exact, and the members of its family that correct it."""

import math
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.optimizers.adaptive_momentum.dispatch import check_path, take_step
from equipoise.optimizers.adaptive_momentum.rates import RateQuantiles, pooled_rates, tensor_rates
from equipoise.optimizers.adaptive_momentum.reference_step import step_loop
from equipoise.optimizers.adaptive_momentum.rules import RULES, resolve
from equipoise.optimizers.adaptive_momentum.step_inputs import Batch, StepSettings
from equipoise.optimizers.closure import ClosureOptimizer

_MOMENTS = ("exp_avg", "exp_avg_sq")


class RateRangeWarning(UserWarning):
    """The rates of the literal rule have left the range set by `ratio`."""


class AdaptiveMomentum(ClosureOptimizer):
    """Gradient descent whose learning rates follow counts of signs: eta_t = lr * exp(-gamma * beta_t).

    With g_t the gradient, m_0 = v_0 = 0, m^ and v^ the moments after bias correction, and t = 1, 2, ...:

    1. beta_t = beta_(t-1) + alpha * u_t, where
       u_t = sign(g_(t-1)), g_0 = 0 (rules "paper" and "bounded");
       u_t = -sign(g_t * m_(t-1)) ("agreement" and "adam"; with `per="tensor"`, -sign(sum of g_t * m_(t-1))).
       All rules but "paper" keep beta within ln(ratio) / gamma of beta_0, that is eta_t within a factor
       `ratio` of its start; with `leak=True` by beta_t - beta_0 = (1 - alpha * gamma / ln(ratio))
       (beta_(t-1) - beta_0) + alpha * u_t, else by a clamp.
    2. eta_t = lr * exp(-gamma * beta_t).
    3. theta_(t+1) = theta_t - eta_t * g_t ("paper", "bounded").
    4. m_t = b1 * m_(t-1) + (1 - b1) * g_t; v_t = b2 * v_(t-1) + (1 - b2) * g_t^2.
    5. theta_(t+1) = theta_t - eta_t * m^_t ("agreement"); theta_t - eta_t * m^_t / (sqrt(v^_t) + eps) ("adam").

    Which rule: "adam" replaces `torch.optim.Adam` at the same learning rate. "agreement" replaces SGD with
    momentum; its lr is in units of the averaged gradient (a torch momentum-SGD lr of 0.01 is an lr of 0.1
    here). "paper" is the published rule to the letter. It treats a parameter and its mirror image
    differently (after k equal signs their rates differ by exp(2 * alpha * gamma * k)), its rates follow a random
    walk without bound, and it does not converge on a noise-free quadratic from above the minimum: use it to
    reproduce, not to train. "bounded" only adds the clamp.

    State per parameter: the count, 1 byte with the default ratio ("paper": 2 bytes, 4 after 32,766 steps;
    with a leak 4 bytes; with `per="tensor"` a few bytes per tensor), plus 4 bytes of m ("agreement", "adam")
    and 4 bytes of v ("adam"). So "paper" 2-4, "bounded" 1, "agreement" 4-5, "adam" 8-9 bytes.

    Half-precision parameters keep m and v in float32, compute in float32 and round once into the parameter.
    Complex parameters are treated as pairs of reals. Sparse gradients: exact for "paper" and "bounded"
    without weight decay (an element without a gradient has g = 0 and does not move); refused otherwise.

    Args:
        params: tensors or parameter groups, as for any torch optimizer; every setting below may be given
            per group.
        lr: eta_0, at least 0; None takes the rule's default (0.1; "adam": 0.001).
        rule: "paper", "bounded", "agreement" or "adam".
        alpha: momentum adjustment coefficient; None takes the rule's default (alpha * gamma is 0.001 for
            "paper", 0.02 for the others, 0.1 for `per="tensor"`). Only alpha * gamma matters.
        gamma: learning-rate adjustment coefficient; None means 0.1.
        beta0: initial beta; the first rate is lr * exp(-gamma * beta0).
        ratio: how far rates may move from their start, up and down. The "paper" rule only warns beyond it.
        leak: replace the clamp by a leak towards beta_0.
        momentum: b1 of "agreement".
        betas: b1 and b2 of "adam".
        eps: added to the root in equation 5.
        weight_decay: decoupled, theta *= 1 - lr * weight_decay before the step (with lr, not eta_t, which
            would give the decay the bias of the rates).
        per: "element" or "tensor"; None takes the rule's default ("tensor" for "agreement", else "element").
        maximize: ascend instead.
        path: how steps are computed, with equal results: "compiled" (a small C kernel, built at first use),
            "foreach" (torch's multi-tensor operations), "loop" (tensor after tensor), or "auto": compiled
            for float32 on a CPU with a C compiler, foreach on accelerators, else the loop. `paths_taken`
            records which were used.

    Attributes:
        paths_taken: number of tensors per path at the last step, for example {"compiled": 364}.

    Raises:
        EquipoiseError: for settings out of range, and for sparse gradients where they cannot be exact.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdaptiveMomentum([w], lr=0.5, rule="bounded")
    >>> w.grad = torch.tensor([1.0])
    >>> optimizer.step()
    >>> w.item()
    0.5
    """

    plain_only = False

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]],
        lr: float | Tensor | None = None,
        *,
        rule: str = "agreement",
        alpha: float | None = None,
        gamma: float | None = None,
        beta0: float = 0.0,
        ratio: float = 10.0,
        leak: bool = False,
        momentum: float = 0.9,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        per: str | None = None,
        maximize: bool = False,
        path: str = "auto",
    ) -> None:
        self._warned = False
        self._next_check = 0
        self.paths_taken: dict[str, int] = {}
        defaults = {
            "lr": lr,
            "rule": rule,
            "alpha": alpha,
            "gamma": gamma,
            "beta0": beta0,
            "ratio": ratio,
            "leak": leak,
            "momentum": momentum,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "per": per,
            "maximize": maximize,
            "path": path,
        }
        super().__init__(params, defaults)

    @classmethod
    def paper(cls, params: Iterable[Any], lr: float | None = None, **settings: Any) -> "AdaptiveMomentum":
        """Make the published rule to the letter (equations 1 to 3), which no default selects."""
        return cls(params, lr, rule="paper", **settings)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; settings it does not name come from the constructor or its rule."""
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        resolve(param_group)
        check_path(param_group["path"])
        super().add_param_group(param_group)

    def _update(self) -> None:
        taken: Counter[str] = Counter()
        for group in self.param_groups:
            for batch in self._batches(group):
                taken += take_step(batch, group["path"])
            self._warn_of_range(group)
        self.paths_taken = dict(taken)

    def _batches(self, group: dict[str, Any]) -> list[Batch]:
        """Gather the group's tensors with gradients by step, dtype and device; sparse ones are stepped here."""
        # By step as well: a parameter that had no gradient at some steps (a frozen layer) has its own bias correction.
        batches: dict[tuple[int, torch.dtype, torch.device], Batch] = {}
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            state = self.state[param]
            step = state["step"] + 1 if state else 1
            key = step, param.dtype, param.device
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = Batch(StepSettings.of(group, *key))
            settings = batch.settings
            if not state or state["count"].dtype != settings.count_dtype:
                self._prepare(param, state, settings)
            state["step"] = step
            grad = -grad if group["maximize"] else grad
            if grad.is_sparse:
                _step_sparse(settings, param, grad, state, group["weight_decay"])
            else:
                _append(batch, param, grad, state)
        return list(batches.values())

    @staticmethod
    def _prepare(param: Tensor, state: dict[str, Any], settings: StepSettings) -> None:
        """Create the state of a parameter at its first step, and widen counts before they can overflow."""
        if state:
            state["count"] = state["count"].clamp(-settings.limit, settings.limit).to(settings.count_dtype)
            return
        real = torch.view_as_real(param) if param.is_complex() else param
        shape = real.detach() if settings.per == "element" else real.detach().new_zeros(())
        state["count"] = torch.zeros_like(shape, dtype=settings.count_dtype)
        moments = settings.rule.follows_agreement + settings.rule.normalised
        for name in _MOMENTS[:moments]:
            state[name] = torch.zeros_like(real, dtype=settings.table.dtype)

    @staticmethod
    def _state_names(group: Mapping[str, Any], param: Tensor) -> tuple[Collection[str], Collection[str]]:  # noqa: ARG004
        rule = RULES.get(group["rule"])
        moments = 0 if rule is None else rule.follows_agreement + rule.normalised
        return ("step", "count", *_MOMENTS[:moments]), ()

    def rates(self, *, pooled: bool = False) -> list[RateQuantiles]:
        """Return quantiles of the learning rates eta_t (equation 2) after the last step.

        One entry per parameter in the order of the groups, or with `pooled` a single entry over all elements.
        Under "paper" and "bounded" these are the rates of the next step, because they follow the last gradient.
        """
        return [pooled_rates(self)] if pooled else tensor_rates(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state exactly: counts stay integers and moments keep their dtype, unlike torch's default."""
        # torch casts every floating state to the parameter's dtype: m and v of a bfloat16 parameter would lose 16 bits,
        # and training would not resume bit for bit. The tensors are therefore taken again from the saved state.
        super().load_state_dict(state_dict)
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        for saved_id, param in zip(saved_ids, params, strict=True):
            for name, value in state_dict["state"].get(saved_id, {}).items():
                if isinstance(value, Tensor):
                    self.state[param][name] = _laid_out(value, param, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._warned = getattr(self, "_warned", False)
        self._next_check = 0
        self.paths_taken = {}

    def _warn_of_range(self, group: dict[str, Any]) -> None:
        """Warn once when a literal rate has moved by more than the factor `ratio`."""
        # Counts move by at most one per step, so the largest one tells how many steps can pass before the next check:
        # looking at every count of a network at each step would cost more than the step.
        rule, kappa = RULES[group["rule"]], abs(group["alpha"] * group["gamma"])
        if self._warned or rule.clamped or kappa == 0:
            return
        states = [self.state[param] for param in group["params"] if param in self.state]
        if not states:
            return
        step = max(state["step"] for state in states)
        limit = math.floor(math.log(group["ratio"]) / kappa)
        if step <= limit or step < self._next_check:
            return
        counts = [state["count"] for state in states if state["count"].numel()]
        extreme = max((int(bound.abs()) for count in counts for bound in count.aminmax()), default=0)
        self._next_check = step + max(limit - extreme, limit // 16, 1)
        if extreme > limit:
            self._warned = True
            warnings.warn(
                f"After {step} steps the paper's rule has moved a learning rate by a factor of "
                f"{math.exp(kappa * extreme):.3g}, beyond the stated {group['ratio']:g}; nothing in the rule "
                "brings it back, so lower alpha * gamma or use rule='bounded' or 'agreement'.",
                RateRangeWarning,
                stacklevel=3,
            )


def _laid_out(value: Tensor, param: Tensor, name: str) -> Tensor:
    """Move a loaded state tensor to its parameter's device and layout; dtype and values stay exact."""
    real = torch.view_as_real(param) if param.is_complex() else param
    if value.shape not in (real.shape, torch.Size(())):
        raise EquipoiseError(
            f"The saved {name} has shape {tuple(value.shape)} but its parameter {tuple(real.shape)}; load the "
            "state into an optimizer of the same model, with parameters in the same order."
        )
    if value.shape != real.shape:
        return value.to(device=param.device, copy=True)
    laid_out = torch.empty_like(real, dtype=value.dtype, memory_format=torch.preserve_format)
    return laid_out.copy_(value)


def _append(batch: Batch, param: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
    """Add one dense tensor to a batch; complex tensors as their real views."""
    rule = batch.settings.rule
    if param.dtype.is_complex:
        param, grad = torch.view_as_real(param), torch.view_as_real(grad.resolve_conj())
    batch.thetas.append(param)
    batch.grads.append(grad)
    batch.counts.append(state["count"])
    if rule.follows_agreement:
        batch.exp_avgs.append(state["exp_avg"])
    if rule.normalised:
        batch.exp_avg_sqs.append(state["exp_avg_sq"])


def _step_sparse(
    settings: StepSettings, param: Tensor, grad: Tensor, state: dict[str, Any], weight_decay: float
) -> None:
    """Step the rows that a sparse gradient contains; the others have g = 0 and would not move."""
    if settings.rule.follows_agreement or weight_decay or settings.keep is not None:
        raise EquipoiseError(
            f"rule={settings.rule.name!r} with weight_decay={weight_decay:g} cannot follow sparse gradients "
            "exactly; use rule='bounded' without weight decay or leak, or sparse=False in the embedding."
        )
    grad = grad.coalesce()
    rows = tuple(grad.indices())
    theta, count = param[rows], state["count"][rows]
    step_loop(Batch(settings, [theta], [grad.values()], [count]))
    param[rows] = theta
    state["count"][rows] = count
