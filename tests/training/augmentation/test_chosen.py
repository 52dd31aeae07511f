import torch

from equipoise.training.augmentation.chosen import change, per_image, spread


def test_only_chosen_rows_are_handed_to_the_effect_and_changed():
    values = torch.arange(12.0).view(4, 3)
    seen = []

    def effect(some, rows):
        seen.append(rows.tolist())
        return -some

    found = change(values, torch.tensor([False, True, False, True]), effect)
    assert seen == [[1, 3]]
    assert torch.equal(found, values * torch.tensor([1.0, -1, 1, -1])[:, None])
    assert torch.equal(values, torch.arange(12.0).view(4, 3)), "nothing is changed in place"


def test_no_row_leaves_the_very_tensor():
    values = torch.ones(2, 3)
    assert change(values, torch.zeros(2, dtype=torch.bool), lambda *_: 1 / 0) is values


def test_mean_and_deviation_are_those_of_every_channel():
    x = 1000 + torch.rand(2, 3, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    mean, deviation = spread(x)
    torch.testing.assert_close(mean, x.double().mean((2, 3, 4), keepdim=True).float())
    torch.testing.assert_close(
        deviation, x.double().std((2, 3, 4), correction=0, keepdim=True).float(), rtol=1e-4, atol=0
    )
    assert per_image(torch.ones(2), x).shape == (2, 1, 1, 1, 1)
