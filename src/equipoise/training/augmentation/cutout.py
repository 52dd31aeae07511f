"""Cut-out (DeVries & Taylor 2017): a box of the image is hidden; its mask and label stay as they are."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.chosen import change, spread
from equipoise.training.augmentation.settings import Augmentation


def draw_boxes(plan: Augmentation, spatial_dims: int, chance: Chance) -> Tensor | None:
    """First and last border of a box an image in shares of the size (n, d, 2); it may reach beyond the image."""
    if "cutout" not in plan.steps:
        return None
    sides = chance.uniform("cutout", 0.0, plan.cutout, spatial_dims)
    centres = torch.rand((chance.n, spatial_dims), generator=chance.generator)
    return torch.stack([centres - sides / 2, centres + sides / 2], 2)


def hide(images: Tensor, boxes: Tensor | None) -> Tensor:
    """Fill every image's box with its channels' means: the network has to do without what was there."""
    if boxes is None:
        return images

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        result, (mean, _) = some.clone(), spread(some)
        sides = torch.tensor(some.shape[2:])
        # a voxel belongs to the box where its centre lies in it
        borders = (boxes[rows] * sides[:, None] - 0.5).ceil().long().clamp(min=0)
        for image, filling, box in zip(result, mean, borders.tolist(), strict=True):
            image[:, *(slice(first, last) for first, last in box)] = filling
        return result

    return change(images, (boxes[:, :, 0] < boxes[:, :, 1]).all(1), effect)
