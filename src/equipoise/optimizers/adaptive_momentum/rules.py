"""The rules of the adaptive-momentum family: the choices in its equations, and their defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from equipoise.errors import EquipoiseError


@dataclass(frozen=True, slots=True)
class Rule:
    """One member of the family, as choices in equations 1 to 5 (see `AdaptiveMomentum`).

    Attributes:
        name: what users write in `rule=`.
        lr: default learning rate eta_0.
        kappa: default alpha * gamma, the change of log eta per step, for each `per` the rule allows.
        clamped: whether equation 2 keeps beta within ln(ratio) / gamma of beta_0.
        follows_agreement: whether beta follows the agreement of gradient and momentum (or the bare sign).
        normalised: whether equation 5 divides by the root of the second moment, as Adam does.
        default_per: "element" (one rate per element) or "tensor" (one rate per tensor).
    """

    name: str
    lr: float
    kappa: Mapping[str, float]
    clamped: bool
    follows_agreement: bool
    normalised: bool
    default_per: str


def _rule(name: str, lr: float, kappa: dict[str, float], **choices: Any) -> Rule:
    return Rule(name, lr, MappingProxyType(kappa), default_per=next(iter(kappa)), **choices)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            _rule("paper", 0.1, {"element": 1e-3}, clamped=False, follows_agreement=False, normalised=False),
            _rule("bounded", 0.1, {"element": 0.02}, clamped=True, follows_agreement=False, normalised=False),
            _rule(
                "agreement",
                0.1,
                {"tensor": 0.1, "element": 0.02},
                clamped=True,
                follows_agreement=True,
                normalised=False,
            ),
            _rule(
                "adam",
                1e-3,
                {"element": 0.02, "tensor": 0.1},
                clamped=True,
                follows_agreement=True,
                normalised=True,
            ),
        )
    }
)

# gamma alone has no effect on the trajectory, only alpha * gamma has; this is the paper-style default.
DEFAULT_GAMMA = 0.1


def resolve(group: dict[str, Any]) -> None:
    """Fill a parameter group's unset (None) settings with its rule's defaults, and refuse invalid settings.

    Raises:
        EquipoiseError: for an unknown rule or a value outside its range; the message names both.
    """
    rule = RULES.get(group["rule"])
    if rule is None:
        raise EquipoiseError(f"rule={group['rule']!r} is unknown; choose one of {', '.join(RULES)}.")
    if group["per"] is None:
        group["per"] = rule.default_per
    if group["per"] not in rule.kappa:
        raise EquipoiseError(
            f"rule={rule.name!r} has no per={group['per']!r}; choose from {', '.join(map(repr, rule.kappa))}."
        )
    if group["lr"] is None:
        group["lr"] = rule.lr
    if group["gamma"] is None:
        group["gamma"] = DEFAULT_GAMMA
    if group["alpha"] is None:
        group["alpha"] = rule.kappa[group["per"]] / group["gamma"] if group["gamma"] else 0.0
    _check_ranges(group)
    _check_kappa(rule, group)


def _check_ranges(group: dict[str, Any]) -> None:
    """Refuse numbers outside their ranges in one sentence with the setting's name."""
    beta1, beta2 = group["betas"]
    conditions = (
        ("lr", float(group["lr"]), 0 <= float(group["lr"]) < math.inf, "a finite number of at least 0"),
        ("ratio", group["ratio"], 1 < group["ratio"] < math.inf, "a finite number above 1"),
        ("momentum", group["momentum"], 0 <= group["momentum"] < 1, "in [0, 1)"),
        ("betas", group["betas"], 0 <= beta1 < 1 and 0 <= beta2 < 1, "two numbers in [0, 1)"),
        ("eps", group["eps"], group["eps"] >= 0, "at least 0"),
        ("weight_decay", group["weight_decay"], group["weight_decay"] >= 0, "at least 0"),
        ("beta0", group["beta0"], math.isfinite(group["beta0"]), "finite"),
        ("alpha", group["alpha"], math.isfinite(group["alpha"]), "finite"),
        ("gamma", group["gamma"], math.isfinite(group["gamma"]), "finite"),
    )
    for name, value, holds, range_text in conditions:
        if not holds:
            raise EquipoiseError(f"AdaptiveMomentum got {name}={value!r}; set it to be {range_text}.")


def _check_kappa(rule: Rule, group: dict[str, Any]) -> None:
    """Refuse a step of beta larger than the clamp's range, and a leak without a bound."""
    kappa = abs(group["alpha"] * group["gamma"])
    if rule.clamped and kappa > math.log(group["ratio"]):
        raise EquipoiseError(
            f"alpha * gamma = {kappa:g} exceeds ln(ratio) = {math.log(group['ratio']):.3g}, so that the rate "
            "could never move; lower alpha or gamma, or raise ratio."
        )
    if group["leak"] and not rule.clamped:
        raise EquipoiseError(f"rule={rule.name!r} is literal and has no leak; use rule='bounded' for a leak.")
