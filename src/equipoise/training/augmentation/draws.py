"""The drawn parameters of a batch; given these, every effect is deterministic."""

from dataclasses import dataclass

import torch
from torch import Tensor

from equipoise.training.augmentation.affine import draw_motions
from equipoise.training.augmentation.bias_field import draw_coefficients
from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.cutout import draw_boxes
from equipoise.training.augmentation.elastic import draw_controls
from equipoise.training.augmentation.settings import Augmentation


@dataclass(frozen=True)
class Draws:
    """Parameters of n images, on the CPU; None where the plan has no such step.

    angles in radians (n, 1 or 3), zooms (n,), mirrors ±1 (n, d), shifts (n, d) as fractions of the size;
    controls (n, d, …) of the elastic deformation; coefficients (n, …) of the bias field; factors of contrast,
    offsets of brightness, exponents, blurs in voxels and noise, all (n,), and the seed of the noise;
    boxes (n, d, 2), first and last border of the cut-out, as fractions of the size.

    The spatial axes are in array order (z, y, x).
    """

    angles: Tensor
    zooms: Tensor
    mirrors: Tensor
    shifts: Tensor
    controls: Tensor | None = None
    coefficients: Tensor | None = None
    contrasts: Tensor | None = None
    offsets: Tensor | None = None
    exponents: Tensor | None = None
    blurs: Tensor | None = None
    noise: Tensor | None = None
    noise_seed: int = 0
    boxes: Tensor | None = None


def draw(augmentation: Augmentation, n: int, spatial_dims: int, generator: torch.Generator) -> Draws:
    """Draw the parameters of n images; the same generator state gives the same draws on every device."""
    plan, chance = augmentation, Chance(n, generator, augmentation.probability)

    def number(step: str, low: float, high: float, neutral: float = 0.0) -> Tensor | None:
        """Draw one parameter of a step; None where the plan leaves the step out."""
        return chance.uniform(step, low, high, neutral=neutral) if step in plan.steps else None

    # Uniform in the logarithm: exponents of 1/2 and 2, which darken and brighten equally, are equally likely.
    logarithms = (torch.tensor(limit).log().item() for limit in plan.gamma)
    gammas = number("gamma", *logarithms)
    return Draws(
        **draw_motions(plan, spatial_dims, chance),
        controls=draw_controls(plan, spatial_dims, chance),
        coefficients=draw_coefficients(plan, spatial_dims, chance),
        contrasts=number("contrast", *plan.contrast, neutral=1.0),
        offsets=number("brightness", -plan.brightness, plan.brightness),
        exponents=None if gammas is None else gammas.exp(),
        blurs=number("blur", 0.0, plan.blur),
        noise=number("noise", 0.0, plan.noise),
        noise_seed=chance.seed() if "noise" in plan.steps else 0,
        boxes=draw_boxes(plan, spatial_dims, chance),
    )
