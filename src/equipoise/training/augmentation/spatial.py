"""All movements of voxels in one resampling of images and masks."""

from torch import Tensor

from equipoise.kernels.resample import resample
from equipoise.training.augmentation.affine import affine, linear_parts
from equipoise.training.augmentation.chosen import change
from equipoise.training.augmentation.draws import Draws
from equipoise.training.augmentation.elastic import displacement


def move(images: Tensor, masks: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor | None]:
    """Resample images (n, c, *spatial) and soft targets linearly, integer masks by the nearest voxel.

    Images that are only mirrored, or not moved at all, keep exact values.
    """
    resampled = _off_the_grid(draws)
    images = _move(images, draws, resampled, nearest=False)
    if masks is None:
        return images, None
    if masks.is_floating_point():
        return images, _move(masks, draws, resampled, nearest=False)
    # float32 represents every whole number up to 2^24, more than any mask has classes, so one kernel serves both.
    with_channel = masks.view(len(masks), -1, *images.shape[2:]).float()
    return images, _move(with_channel, draws, resampled, nearest=True).to(masks.dtype).view(masks.shape)


def _off_the_grid(draws: Draws) -> Tensor:
    """Mark the images (n,) that need more than mirrors."""
    moved = (draws.angles != 0).any(1) | (draws.zooms != 1) | (draws.shifts != 0).any(1)
    if draws.controls is not None:
        moved |= (draws.controls != 0).flatten(1).any(1)
    return moved


def _move(values: Tensor, draws: Draws, resampled: Tensor, nearest: bool) -> Tensor:
    """Mirror the images that need nothing else, and resample the marked ones."""
    # A mirror alone is a copy without interpolation weights, cheaper than a resampling and exact by construction.
    for axis in range(draws.mirrors.shape[1]):
        mirrored = (draws.mirrors[:, axis] < 0) & ~resampled
        values = change(values, mirrored, lambda selected, _, axis=axis: selected.flip(axis + 2))  # type: ignore[misc]

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Resample the images at their new places."""
        size, device = selected.shape[2:], selected.device
        linear = linear_parts(draws.angles[rows], draws.zooms[rows], draws.mirrors[rows])
        shifts = None if draws.controls is None else displacement(draws.controls[rows], linear, size, device)
        return resample(selected, affine(linear, draws.shifts[rows], size).to(device), shifts, nearest)

    return change(values, resampled, effect)
