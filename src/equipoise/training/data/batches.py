"""Training batches of whole cases, or of patches, in an order drawn anew each epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.protocol import TrainingSection
from equipoise.training.data.patches import PatchSampler
from equipoise.training.data.samples import Samples, stack_cases
from equipoise.training.data.sampling import balanced_order, rarest_classes

Indices = NDArray[np.int64]


def batches(n: int, batch_size: int, order: Tensor | None = None) -> Iterator[Indices]:
    """Divide n indices into nearly equal batches: a remainder of one case would break batch normalisation.

    >>> [len(batch) for batch in batches(65, 32)]
    [22, 22, 21]
    """
    indices = np.arange(n) if order is None else order.numpy()
    yield from np.array_split(indices, max(1, math.ceil(n / batch_size)))


@dataclass(frozen=True)
class Batch:
    """Cases, or patches of them: indices (k,), images (k, channel, *spatial), targets (k, …)."""

    indices: Indices
    images: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(self.indices, self.images.to(device), self.targets.to(device))


def whole(samples: Samples, indices: Indices) -> Batch:
    """Make a batch of whole cases, which must have one shape."""
    return Batch(indices, _tensor(stack_cases(samples.images, indices)), _tensor(stack_cases(samples.targets, indices)))


def _tensor(array: NDArray[np.generic]) -> Tensor:
    """Convert an array to a dtype that losses accept: float32, or int64 class indices."""
    tensor = torch.from_numpy(array)
    return tensor if tensor.is_floating_point() else tensor.long()


class Feed:
    """Batches of a training part.

    patch: size of the patches; None feeds whole cases. per_case: patches per case and epoch. accumulate: batches per
    update. balanced: all classes come equally often; of a case with a mask counts the rarest class that it shows.
    """

    def __init__(
        self,
        batch_size: int,
        patch: tuple[int, ...] | None = None,
        per_case: int = 1,
        foreground: float = 0.0,
        *,
        accumulate: int = 1,
        balanced: bool = False,
    ) -> None:
        self.batch_size, self.per_case = batch_size, per_case if patch else 1
        self.accumulate, self.balanced = accumulate, balanced
        self.sampler = PatchSampler(patch, foreground) if patch else None
        self._classes: dict[tuple[str, ...], Indices] = {}

    @classmethod
    def of(cls, training: TrainingSection, spatial_dims: int) -> "Feed":
        """Make the feed that the protocol describes."""
        return cls(
            training.batch_size,
            training.patch_of(spatial_dims),
            training.patches_per_case,
            training.foreground_patches,
            accumulate=training.accumulate,
            balanced=training.sampling == "balanced",
        )

    def steps(self, cases: int) -> int:
        """Return the number of updates per epoch."""
        return math.ceil(cases * self.per_case / (self.batch_size * self.accumulate))

    def smallest(self, cases: int) -> int:
        """Return the size of the smallest batch of an epoch."""
        update = cases * self.per_case // self.steps(cases)
        return update // math.ceil(update / self.batch_size)

    def epoch(self, samples: Samples, draws: torch.Generator) -> Iterator[Batch]:
        """Yield all cases once (or `per_case` patches of each) in random order, or as many with balanced classes."""
        for update in self.updates(samples, draws):
            yield from update

    def updates(self, samples: Samples, draws: torch.Generator) -> Iterator[list[Batch]]:
        """Yield the batches of an epoch, grouped by update."""
        order = self._order(samples, draws)
        for chosen in batches(len(order), self.batch_size * self.accumulate, order):
            # Divided twice, into updates and then into batches, so that neither of them is a small remainder.
            parts = np.array_split(chosen, math.ceil(len(chosen) / self.batch_size))
            yield [self._batch(samples, indices, draws) for indices in parts]

    def _order(self, samples: Samples, draws: torch.Generator) -> Tensor:
        count = len(samples) * self.per_case
        if self.balanced:
            return balanced_order(self._class_of(samples), count, draws)
        return torch.randperm(count, generator=draws) % len(samples)

    def _class_of(self, samples: Samples) -> Indices:
        """Return the class of every case that is balanced; of masks it is found once, for it reads them all."""
        if len(samples.targets) and np.ndim(samples.targets[0]) == 0:
            return np.asarray(samples.targets)
        if samples.cases not in self._classes:
            dims = samples.images[0].ndim - 1
            self._classes[samples.cases] = rarest_classes((samples.targets[i] for i in range(len(samples))), dims)
        return self._classes[samples.cases]

    def _batch(self, samples: Samples, indices: Indices, draws: torch.Generator) -> Batch:
        if self.sampler is None:
            return whole(samples, indices)
        images, targets = zip(*(self.sampler.cut(samples, int(i), draws) for i in indices), strict=True)
        return Batch(indices, _tensor(np.stack(images)), _tensor(np.stack(targets)))
