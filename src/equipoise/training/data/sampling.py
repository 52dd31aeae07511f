"""Order cases so that every class comes equally often, whatever its share of the cohort."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.cohorts.cohort import IGNORED


def balanced_order(labels: NDArray[np.integer], count: int, draws: torch.Generator) -> Tensor:
    """Draw indices of `count` cases in random order, equally many of each class in `labels` (n,), to within one.

    No case comes a second time before all of its class have come; which classes get one more is drawn.
    """
    classes = [torch.from_numpy(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    quotas = torch.full((len(classes),), count // len(classes))
    quotas[torch.randperm(len(classes), generator=draws)[: count % len(classes)]] += 1
    chosen = [_repeated(members, int(quota), draws) for members, quota in zip(classes, quotas, strict=True)]
    return torch.cat(chosen)[torch.randperm(count, generator=draws)]


def rarest_classes(targets: Iterable[NDArray[Any]], dims: int) -> NDArray[np.int64]:
    """Return, for every mask, the class it shows that the fewest masks show; 0, background, where it shows none.

    targets: class indices (*spatial), or shares of classes (classes, *spatial), of which the largest counts.
    """
    shown = []
    for target in targets:
        values = np.unique(target if target.ndim == dims else target.argmax(axis=0))
        shown.append({int(value) for value in values if value not in (0, IGNORED)})
    counts: dict[int, int] = {}
    for classes in shown:
        for value in classes:
            counts[value] = counts.get(value, 0) + 1
    # Of equally rare classes the lower one, so that the choice never depends on an order.
    rarest = [min(classes, key=lambda value: (counts[value], value), default=0) for classes in shown]
    return np.array(rarest, np.int64)


def _repeated(members: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Draw `count` of the members, all of them before any comes again."""
    rounds = [members[torch.randperm(len(members), generator=draws)] for _ in range(-(-count // len(members)))]
    return torch.cat([*rounds, members[:0]])[:count]
