"""Mixup (Zhang et al. 2018): mix every image and its class with those of another case of the batch."""

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mixup:
    """Settings of mixup: alpha of the Beta(alpha, alpha) distribution of λ; classes, the cohort's number of them."""

    alpha: float
    classes: int

    def mix(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return mixed images (n, channel, *spatial) and their fractions of each class (n, classes), of sum one.

        They are λ x_i + (1 − λ) x_j, and the same of the classes; every case has its own λ.
        """
        n = len(images)
        partner = torch.randperm(n, generator=draws).to(images.device)
        # Beta by inversion of its distribution function: torch.distributions.Beta takes no generator.
        uniform = torch.rand(n, generator=draws, dtype=torch.float64).numpy()
        shares = torch.from_numpy(betaincinv(self.alpha, self.alpha, uniform)).to(images)
        classes = functional.one_hot(labels, self.classes).to(images.dtype)
        share = shares.reshape(-1, *[1] * (images.ndim - 1))
        return torch.lerp(images[partner], images, share), torch.lerp(classes[partner], classes, shares[:, None])
