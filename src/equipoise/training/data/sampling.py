"""Order cases so that every class comes equally often, whatever its share of the cohort."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def balanced_order(labels: NDArray[np.integer], count: int, draws: torch.Generator) -> Tensor:
    """Draw indices of `count` cases in random order, equally many of each class in `labels` (n,), to within one.

    No case comes a second time before all of its class have come; which classes get one more is drawn.
    """
    classes = [torch.from_numpy(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    quotas = torch.full((len(classes),), count // len(classes))
    quotas[torch.randperm(len(classes), generator=draws)[: count % len(classes)]] += 1
    chosen = [_repeated(members, int(quota), draws) for members, quota in zip(classes, quotas, strict=True)]
    return torch.cat(chosen)[torch.randperm(count, generator=draws)]


def _repeated(members: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Draw `count` of the members, all of them before any comes again."""
    rounds = [members[torch.randperm(len(members), generator=draws)] for _ in range(-(-count // len(members)))]
    return torch.cat([*rounds, members[:0]])[:count]
