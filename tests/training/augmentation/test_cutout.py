import torch

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.cutout import cut_out, draw_boxes
from equipoise.training.augmentation.settings import Augmentation


def test_a_box_is_filled_with_the_channels_mean_and_nothing_else_changes():
    x = torch.rand(2, 3, 10, 20, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[[0.1, 0.3], [0.5, 0.75]], [[0.4, 0.4], [0.0, 1.0]]])
    found = cut_out(x, boxes)
    oracle = x.clone()
    oracle[0, :, 1:3, 10:15] = x[0].mean((1, 2), keepdim=True)
    torch.testing.assert_close(found, oracle)
    outside = torch.ones(10, 20, dtype=torch.bool)
    outside[1:3, 10:15] = False
    assert torch.equal(found[0][:, outside], x[0][:, outside])
    assert torch.equal(found[1], x[1]), "a box without a side hides nothing"


def test_a_box_may_reach_beyond_the_image():
    x = torch.rand(1, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    found = cut_out(x, torch.tensor([[[-0.5, 0.5], [0.5, 1.5], [-1.0, 2.0]]]))
    torch.testing.assert_close(found[0, 0, :2, 2:], x.mean().expand(2, 2, 4))
    assert torch.equal(found[0, 0, 2:], x[0, 0, 2:])


def test_boxes_have_sides_up_to_the_plan_and_centres_inside():
    boxes = draw_boxes(Augmentation(cutout=0.4), 3, Chance(300, torch.Generator().manual_seed(0), {}))
    sides, centres = boxes[:, :, 1] - boxes[:, :, 0], boxes.mean(2)
    assert float(sides.min()) >= 0
    assert 0.39 < float(sides.max()) <= 0.4001
    assert 0 <= float(centres.min()) < float(centres.max()) <= 1
    assert draw_boxes(Augmentation(), 3, Chance(300, torch.Generator(), {})) is None


def test_no_step_leaves_the_very_tensor():
    x = torch.rand(1, 1, 4, 4)
    assert cut_out(x, None) is x
    assert cut_out(x, torch.zeros(1, 2, 2)) is x
