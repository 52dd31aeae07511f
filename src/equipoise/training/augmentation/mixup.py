"""Mixup (Zhang et al. 2018): every image and its class mixed with those of another case of the batch."""

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mixup:
    """alpha: of the Beta(alpha, alpha) distribution of the shares; classes: how many the cohort has."""

    alpha: float
    classes: int

    def mix(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixed images (n, channel, *spatial), and what they hold of each class (n, classes), which sums to one.

        λ x_i + (1 − λ) x_j and the same of the classes, with a λ of its own for every case.
        """
        n = len(images)
        partner = torch.randperm(n, generator=draws).to(images.device)
        uniform = torch.rand(n, generator=draws, dtype=torch.float64).numpy()
        shares = torch.from_numpy(betaincinv(self.alpha, self.alpha, uniform)).to(images)
        classes = functional.one_hot(labels, self.classes).to(images.dtype)
        share = shares.reshape(-1, *[1] * (images.ndim - 1))
        return torch.lerp(images[partner], images, share), torch.lerp(classes[partner], classes, shares[:, None])
