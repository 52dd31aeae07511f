"""Attribute a classifier's logit to pixels by integrated gradients, and check that the maps depend on its weights.

Attributions describe a network, not a disease. They come with two checks: they must add up to the logit they explain,
and a network with shuffled weights must give another map (Adebayo et al. 2018); where it does not, the map shows the
image's edges and not what the network learnt.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from equipoise.errors import EquipoiseError

STEPS = 32
"""Points per path at which gradients are taken (Gauss-Legendre quadrature)."""
SAME_MAP = 0.5
"""Rank correlation at and above which a map counts as independent of the weights."""


@dataclass(frozen=True)
class Attribution:
    """Maps of n cases and their checks.

    maps: (n, *spatial), summed over channels, in logits; positive where a pixel raises the class's logit.
    gap: (n,) difference between each map's sum and the logit's change from the blank image, as a share of that change.
    likeness: (n,) absolute rank correlation of each map with that of the network with shuffled weights, 0 to 1. Maps
        are compared with their signs: gradients times pixels are large where pixels are, in any network.
    """

    maps: NDArray[np.float32]
    gap: NDArray[np.float64]
    likeness: NDArray[np.float64]

    @property
    def depends_on_weights(self) -> bool:
        """Whether the median likeness to the maps of shuffled weights is below `SAME_MAP`."""
        return bool(np.median(self.likeness) < SAME_MAP)


def attribute(model: nn.Module, images: Tensor, classes: Tensor, generator: torch.Generator) -> Attribution:
    """Compute maps of images (n, c, *spatial) for the classes (n,), with the model in evaluation mode.

    The generator shuffles the weights of the network used for comparison.
    """
    model.eval()
    gradients = integrated_gradients(model, images, classes)
    random = integrated_gradients(shuffled(model, generator), images, classes)
    with torch.no_grad():
        change = _logit(model(images), classes) - _logit(model(_blank(images)), classes)
    # Clamped for an image whose logit equals that of the blank image.
    gap = (change - gradients.flatten(1).sum(1)).abs() / change.abs().clamp(min=1e-6)
    maps, others = (each.sum(1).cpu().numpy() for each in (gradients, random))
    likeness = np.array([_likeness(*pair) for pair in zip(maps, others, strict=True)])
    return Attribution(maps, gap.double().cpu().numpy(), likeness)


def integrated_gradients(
    answer: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor, steps: int = STEPS
) -> Tensor:
    """Compute (x − x₀) × the mean gradient of the class's logit on the straight path from x₀ to x: (n, c, *spatial).

    x₀ is 0; a missing modality (NaN) stays missing and gets an attribution of 0. Gradients are taken at the nodes of
    Gauss-Legendre quadrature. Reference: M. Sundararajan et al., ICML 2017.
    """
    # Gauss-Legendre and not the usual Riemann sum: on a smooth path it converges far faster with the number of points.
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(images)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (images * float(node)).requires_grad_()
        with torch.enable_grad():
            logit = _logit(answer(point), classes)
        (slope,) = torch.autograd.grad(logit.sum(), point)
        total += float(weight) * slope
    return torch.where(images.isnan(), 0.0, images * total)


def shuffled(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Copy the model with the numbers of each parameter in random order: the same distribution, but nothing learnt."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            # Shuffled and not drawn anew: weights of another scale would change the map even without learning.
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return other


def _logit(logits: Tensor, classes: Tensor) -> Tensor:
    if logits.ndim != 2:
        raise EquipoiseError(
            f"attribution explains class logits (case, class), but the model returned shape {tuple(logits.shape)}; "
            "ask for maps of a classifier"
        )
    return logits.gather(1, classes[:, None])[:, 0]


def _blank(images: Tensor) -> Tensor:
    """Return zeros where there is an image, NaN where a modality is missing."""
    return images * 0


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the absolute value of Spearman's correlation; 1 where either map is constant."""
    ranks = [rankdata(each) for each in (one, other)]
    if min(float(np.ptp(each)) for each in ranks) == 0:
        return 1.0
    return float(np.abs(np.corrcoef(*ranks)[0, 1]))
