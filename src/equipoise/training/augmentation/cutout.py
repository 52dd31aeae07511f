"""Cut-out (DeVries & Taylor 2017): hide a box of the image; its mask and label do not change."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.chosen import change, spread
from equipoise.training.augmentation.settings import Augmentation


def draw_boxes(plan: Augmentation, spatial_dims: int, chance: Chance) -> Tensor | None:
    """Draw the first and last border of one box per image, as fractions of the size (n, d, 2)."""
    if "cutout" not in plan.steps:
        return None
    sides = chance.uniform("cutout", 0.0, plan.cutout, spatial_dims)
    # Boxes may reach beyond the image, which DeVries & Taylor found important. Boxes kept inside would hide the
    # corners far less often than the middle.
    centres = torch.rand((chance.n, spatial_dims), generator=chance.generator)
    return torch.stack([centres - sides / 2, centres + sides / 2], 2)


def cut_out(images: Tensor, boxes: Tensor | None) -> Tensor:
    """Fill every image's box with its channels' means, so that the network cannot rely on one place alone."""
    if boxes is None:
        return images

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Fill the boxes with each channel's mean."""
        result, (mean, _) = selected.clone(), spread(selected)
        sides = torch.tensor(selected.shape[2:])
        # A voxel belongs to the box if its centre lies in it.
        borders = (boxes[rows] * sides[:, None] - 0.5).ceil().long().clamp(min=0)
        for image, filling, box in zip(result, mean, borders.tolist(), strict=True):
            image[:, *(slice(first, last) for first, last in box)] = filling
        return result

    return change(images, (boxes[:, :, 0] < boxes[:, :, 1]).all(1), effect)
