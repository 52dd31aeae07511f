"""An ensemble answers with the mean of its members' probabilities, and stands wherever a network stands."""

import pytest
import torch
from torch import nn

from equipoise.models.ensemble import Ensemble
from equipoise.models.unet import UNet
from equipoise.training.inference.missing_modality import Without, without


class Fixed(nn.Module):
    """Answers always the same logits; with deep supervision on two scales."""

    def __init__(self, logits, scales=1):
        super().__init__()
        self.logits, self.scales = torch.tensor([logits]), scales

    def forward(self, x):
        return self.logits if self.scales == 1 else [self.logits, -self.logits]


def test_the_probabilities_are_averaged_and_not_the_logits():
    first, second = Fixed([4.0, 0.0, -1.0]), Fixed([-3.0, 1.0, 0.5], scales=2)
    logits = Ensemble([first, second])(torch.zeros(1, 1))
    expected = (first.logits.softmax(1) + second.logits.softmax(1)) / 2
    torch.testing.assert_close(logits.softmax(1), expected, rtol=1e-6, atol=1e-7)
    assert (logits.softmax(1) - ((first.logits + second.logits) / 2).softmax(1)).abs().max() > 0.01
    overlapping = Ensemble([first, second], overlapping=True)(torch.zeros(1, 1))
    torch.testing.assert_close(overlapping.sigmoid(), (first.logits.sigmoid() + second.logits.sigmoid()) / 2)


def test_certain_members_give_finite_logits():
    sure, against = Fixed([200.0, -200.0]), Fixed([-200.0, 200.0])
    for overlapping in (False, True):
        assert torch.isfinite(Ensemble([sure, sure], overlapping)(torch.zeros(1, 1))).all()
        assert Ensemble([sure, against], overlapping)(torch.zeros(1, 1)).diff().abs().max() < 1e-6


@pytest.mark.long
def test_one_file_of_weights_holds_all_members():
    made = [UNet(1, 2, 2, preset="tiny", task="segmentation") for _ in range(2)]
    together, again = Ensemble(made), Ensemble([UNet(1, 2, 2, preset="tiny", task="segmentation") for _ in range(2)])
    again.load_state_dict(together.state_dict())
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(together.eval()(x), again.eval()(x))
    assert together.smallest_side == max(getattr(one, "smallest_side", 0) for one in made) or (
        together.smallest_side is None
    )


def test_every_member_loses_the_channel_in_its_own_way():
    together = without(Ensemble([Fixed([1.0, 0.0]), Fixed([0.0, 1.0])]), 0)
    assert isinstance(together, Ensemble)
    assert all(isinstance(member, Without) for member in together.members)
    assert isinstance(without(Fixed([1.0, 0.0]), 0), Without)


def test_an_ensemble_of_nobody_is_refused():
    with pytest.raises(ValueError, match="needs members"):
        Ensemble([])(torch.zeros(1, 1))
