"""Which pixels speak for a class: integrated gradients of a classifier, and whether they depend on what it learnt.

Attributions describe a network, not a disease. They come with two checks: they must add up to the logit they explain,
and a network with shuffled weights must give another map (Adebayo et al. 2018); where it does not, the map shows the
image's edges whatever was learnt.
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
"""Points of the path at which gradients are taken (Gauss-Legendre)."""
SAME_MAP = 0.5
"""Rank correlation from which a map hardly depends on the weights."""


@dataclass(frozen=True)
class Attribution:
    """Maps of n cases and their checks.

    maps: (n, *spatial), summed over channels, in logits; positive where a pixel speaks for the class.
    gap: (n,) what is missing from each map's sum to the difference in logit from the blank image, as a share of it.
    likeness: (n,) size of the rank correlation of each map with that of the network with shuffled weights, 0 to 1.
        Signs count: gradients times pixels are large where pixels are, so absolute values are alike for any network.
    """

    maps: NDArray[np.float32]
    gap: NDArray[np.float64]
    likeness: NDArray[np.float64]

    @property
    def depends_on_weights(self) -> bool:
        """Whether the median map is unlike the one of shuffled weights."""
        return bool(np.median(self.likeness) < SAME_MAP)


def attribute(model: nn.Module, images: Tensor, classes: Tensor, generator: torch.Generator) -> Attribution:
    """Maps of images (n, c, *spatial) for the classes (n,) in question, by the model as it is, in evaluation mode.

    The generator shuffles the weights of the network that is compared with.
    """
    model.eval()
    found = integrated_gradients(model, images, classes)
    random = integrated_gradients(shuffled(model, generator), images, classes)
    with torch.no_grad():
        change = _logit(model(images), classes) - _logit(model(_blank(images)), classes)
    gap = (change - found.flatten(1).sum(1)).abs() / change.abs().clamp(min=1e-6)
    maps, others = (each.sum(1).cpu().numpy() for each in (found, random))
    likeness = np.array([_likeness(*pair) for pair in zip(maps, others, strict=True)])
    return Attribution(maps, gap.double().cpu().numpy(), likeness)


def integrated_gradients(
    answer: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor, steps: int = STEPS
) -> Tensor:
    """(x − x₀) × the mean gradient of the class's logit on the straight path from x₀ to x: (n, c, *spatial).

    x₀ is blank (0), where a modality is missing (NaN) it stays missing and has no part. Gradients are taken at the
    nodes of Gauss-Legendre quadrature. Reference: M. Sundararajan et al., ICML 2017.
    """
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
    """A copy whose learnt numbers stand in random order within each tensor: as large as before, but knowing nothing."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return other


def _logit(logits: Tensor, classes: Tensor) -> Tensor:
    if logits.ndim != 2:
        raise EquipoiseError(
            f"attribution explains class logits (case, class), but the model answered with shape "
            f"{tuple(logits.shape)}; ask for maps of a classifier"
        )
    return logits.gather(1, classes[:, None])[:, 0]


def _blank(images: Tensor) -> Tensor:
    """Zeros where there is an image, NaN where a modality is missing."""
    return images * 0


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Size of Spearman's correlation; 1 where either map is the same everywhere: it says nothing."""
    ranks = [rankdata(each) for each in (one, other)]
    if min(float(np.ptp(each)) for each in ranks) == 0:
        return 1.0
    return float(np.abs(np.corrcoef(*ranks)[0, 1]))
