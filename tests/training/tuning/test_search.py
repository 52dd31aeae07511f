import numpy as np
import pytest

from equipoise import optimizers
from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, Dimension, Named, Pretrained, Space
from equipoise.training.tuning.search import draw, space_of, validation_value, with_settings

LR = {"optimizer.lr": Dimension(log=(1e-4, 1e-1))}
MIXED = {
    "optimizer.lr": Dimension(log=(1e-4, 1e-1)),
    "optimizer.momentum": Dimension(linear=(0.5, 0.99)),
    "model.growth": Dimension(integer=(4, 8)),
    "optimizer.betas": Dimension(choices=([0.9, 0.99], [0.8, 0.9])),
}


def arm(optimizer: str = "adam", space: Space | None = None, **settings: object) -> Arm:
    return Arm(name="a", model=Named(name="unet"), optimizer=Named(name=optimizer, **settings), space=space or Space())


def test_draws_are_fixed_by_seed_and_space_and_few_begin_many() -> None:
    assert draw(MIXED, 6, 3) == draw(MIXED, 6, 3)
    assert draw(MIXED, 2, 3) == draw(MIXED, 6, 3)[:2]
    assert draw(MIXED, 6, 4) != draw(MIXED, 6, 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_power_of_two_draws_covers_a_range_evenly(seed: int) -> None:
    values = np.array([settings["optimizer.lr"] for settings in draw(LR, 16, seed)])
    cells = np.floor(16 * (np.log10(values) + 4) / 3 + 1e-6).astype(int)
    # three digits may move a value over the border of its cell
    assert len(set(cells.tolist())) >= 15


def test_draws_keep_to_their_ranges_and_kinds() -> None:
    for settings in draw(MIXED, 64, 0):
        assert list(settings) == list(MIXED)
        assert 1e-4 <= settings["optimizer.lr"] <= 1e-1
        assert 0.5 <= settings["optimizer.momentum"] <= 0.99
        assert settings["model.growth"] in range(4, 9)
        assert settings["optimizer.betas"] in ([0.9, 0.99], [0.8, 0.9])


@pytest.mark.parametrize("name", [name for name in optimizers.__all__ if name != "AdaptiveMomentum"])
def test_every_built_in_optimizer_has_a_space_that_holds_its_own_default(name: str) -> None:
    import torch

    space = space_of(arm(name))
    assert set(space) == {f"optimizer.{key.rpartition('.')[2]}" for key in space}
    assert len(space) == 2, "as many dimensions for every optimizer, or one budget would not be like another"
    made = getattr(optimizers, name)([torch.nn.Parameter(torch.zeros(2, 2))])
    low, high = space["optimizer.lr"].log or (0.0, 0.0)
    if name != "SGD":  # torch's 0.001 is below any rate that trains
        assert low <= made.defaults["lr"] <= high
    for settings in draw(space, 4, 0):
        own = {key.partition(".")[2]: value for key, value in settings.items()}
        getattr(optimizers, name)([torch.nn.Parameter(torch.zeros(2, 2))], **own)


@pytest.mark.parametrize("rule", ["paper", "bounded", "agreement", "adam"])
def test_every_rule_of_the_family_has_a_space_that_it_accepts(rule: str) -> None:
    import torch

    space = space_of(arm("adaptive_momentum", rule=rule))
    for settings in [
        *draw(space, 8, 0),
        {f"optimizer.{k}": (d.log or (0, 0))[1] for k, d in zip(("lr", "alpha"), space.values(), strict=True)},
    ]:
        made = with_settings(arm("adaptive_momentum", rule=rule), settings).optimizer
        optimizers.AdaptiveMomentum([torch.nn.Parameter(torch.zeros(2))], **made.settings)


def test_an_optimizer_of_ones_own_needs_a_space() -> None:
    with pytest.raises(
        ProtocolError, match=r"'my:Rule' has no default search space; declare one, for example space = \{"
    ):
        space_of(arm("my:Rule"))
    declared = Space(optimizer={"lr": Dimension(log=(0.1, 1.0))})
    assert list(space_of(arm("my:Rule", declared))) == ["optimizer.lr"]


def test_drawn_settings_replace_stated_ones_and_leave_the_rest() -> None:
    made = with_settings(arm("adam", lr=0.1, eps=1e-6), {"optimizer.lr": 0.2, "model.preset": "tiny"})
    assert made.optimizer.settings == {"lr": 0.2, "eps": 1e-6}
    assert made.model.settings == {"preset": "tiny"}
    assert made.name == "a"


def test_starting_weights_and_what_is_frozen_are_no_settings_to_draw() -> None:
    stated = arm("adam").model_copy(update={"freeze": ("encoder.*",), "pretrained": Pretrained(file="a")})
    made = with_settings(stated, {"optimizer.lr": 0.2})
    assert (made.freeze, made.pretrained) == (stated.freeze, stated.pretrained)


def test_a_value_that_is_not_finite_is_none() -> None:
    history = {"epoch": np.array([1.0, 2.0]), "validation_loss": np.array([0.5, np.nan])}
    assert validation_value(history, "validation_loss", 1) == 0.5
    assert validation_value(history, "validation_loss", 2) is None
    assert validation_value(history, "validation_loss", 3) is None
