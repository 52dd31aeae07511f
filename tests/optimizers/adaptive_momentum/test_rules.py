"""Settings of the family: defaults by rule, and refusals that name the setting."""

import math

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum


@pytest.mark.parametrize(
    ("settings", "kappa", "per"),
    [
        ({"rule": "paper"}, 1e-3, "element"),
        ({"rule": "bounded"}, 0.02, "element"),
        ({}, 0.1, "tensor"),
        ({"per": "element"}, 0.02, "element"),
        ({"rule": "adam"}, 0.02, "element"),
        ({"rule": "adam", "gamma": 0.5}, 0.02, "element"),
    ],
)
def test_defaults_of_each_rule(settings, kappa, per) -> None:
    group = AdaptiveMomentum([torch.zeros(1)], **settings).param_groups[0]
    assert group["alpha"] * group["gamma"] == pytest.approx(kappa)
    assert group["per"] == per


def test_given_settings_are_kept() -> None:
    group = AdaptiveMomentum([torch.zeros(1)], 0.5, alpha=0.25, gamma=0.0, beta0=-1.0).param_groups[0]
    assert (group["lr"], group["alpha"], group["gamma"], group["beta0"]) == (0.5, 0.25, 0.0, -1.0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rule": "papper"}, "rule='papper' is unknown; choose one of paper, bounded"),
        ({"rule": "paper", "per": "tensor"}, "rule='paper' has no per='tensor'"),
        ({"rule": "paper", "leak": True}, "has no leak"),
        ({"rule": "bounded", "alpha": 30.0}, r"exceeds ln\(ratio\)"),
        ({"lr": -0.1}, "lr=-0.1"),
        ({"lr": math.nan}, "lr=nan"),
        ({"ratio": 1.0}, "ratio=1.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\)"),
        ({"eps": -1.0}, "eps=-1.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"beta0": math.inf}, "beta0=inf"),
        ({"alpha": math.nan}, "alpha=nan"),
        ({"path": "fast"}, "path='fast' is unknown; choose one of auto, compiled"),
    ],
)
def test_what_cannot_work_is_refused_by_name(settings, sentence) -> None:
    with pytest.raises(EquipoiseError, match=sentence):
        AdaptiveMomentum([torch.zeros(1)], **settings)


def test_groups_are_checked_too() -> None:
    with pytest.raises(EquipoiseError, match="lr=-1"):
        AdaptiveMomentum([{"params": [torch.zeros(1)], "lr": -1}])
