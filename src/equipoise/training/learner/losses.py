"""Losses over logits (n, classes, *spatial).

Plain classes: targets are class indices (n, *spatial) or soft targets over the class axis, and probabilities are the
softmax. Overlapping regions (WT, TC, ET): targets are (n, regions, *spatial) from 0 to 1, and the probability of each
region is the sigmoid of its own channel.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from equipoise.cohorts.cohort import IGNORED
from equipoise.protocol.training_section import DiceSection

Loss = Callable[[Tensor, Tensor], Tensor]
FOCAL_GAMMA = 2.0
TINY = 1e-12
"""Smallest denominator: where all weights are zero, the loss is 0 and not 0/0."""
AREA_MEAN: dict[int, Callable[[Tensor, Any], Tensor]] = {
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


def _soft(logits: Tensor, target: Tensor) -> Tensor:
    """Convert targets to class shares with the shape of the logits."""
    if target.ndim == logits.ndim and target.shape[1] == logits.shape[1]:
        return target.to(logits.dtype)
    return functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits.dtype)


def _probabilities(logits: Tensor, overlapping: bool) -> Tensor:
    return logits.sigmoid() if overlapping else logits.softmax(1)


def _per_channel(weight: Tensor, logits: Tensor) -> Tensor:
    return weight.reshape([1, -1, *[1] * (logits.ndim - 2)])


def cross_entropy(weight: Tensor | None = None) -> Loss:
    """Mean of −log p of the true class, in nats; soft targets are allowed.

    With weights it is the weighted mean, where a soft target has the mean weight of its classes by share; where all
    weights are 0, the loss is 0.
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        if weight is None:
            return functional.cross_entropy(logits, target)
        # torch divides soft targets by n and hard ones by their weights; dividing here treats both alike.
        total = functional.cross_entropy(logits, target, weight=weight, reduction="sum")
        soft = target.is_floating_point()
        weighed = (target * _per_channel(weight, logits)).sum() if soft else weight[target].sum()
        return total / weighed.clamp(min=TINY)

    return loss


def region_cross_entropy(weight: Tensor | None = None) -> Loss:
    """Mean over voxels and regions of −t log p − (1 − t) log(1 − p), in nats; `weight` is one factor per region."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        factors = None if weight is None else _per_channel(weight, logits)
        return functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), weight=factors)

    return loss


def dice(
    smooth: float = 1.0,
    *,
    overlapping: bool = False,
    by_case: bool = False,
    absent_counts: bool = True,
    background: bool = True,
) -> Loss:
    """1 − soft Dice, averaged over classes (background included) or regions, over the whole batch.

    Dice_c = (2 Σ p_c t_c + s) / (Σ p_c + Σ t_c + s), 0 ≤ loss ≤ 1 (Milletari et al. 2016, without squares). A class
    absent from the batch has Dice s / (Σ p_c + s), which is finite and approaches 1 as its probabilities approach 0.
    Until then it adds nearly 1 to the loss, whatever is answered, and its gradient s / (Σ p_c + s)² is the steepest
    of all once few voxels are left: batches without a lesion then teach a network to answer none.

    by_case: take the Dice of every patch by itself. absent_counts: whether a class without a voxel of truth there
    counts; if not, and no class has one, the loss is 0. background: whether class 0 counts (regions have none).
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        p, t = _probabilities(logits, overlapping), _soft(logits, target)
        if not background and not overlapping:
            p, t = p[:, 1:], t[:, 1:]
        # Over the whole batch: per case, a small or absent structure would dominate the mean and its gradient.
        axes = [*range(2, logits.ndim)] if by_case else [0, *range(2, logits.ndim)]
        overlap, truth = (p * t).sum(axes), t.sum(axes)
        total = p.sum(axes) + truth
        scores = (2 * overlap + smooth) / (total + smooth).clamp(min=TINY)
        if absent_counts:
            return 1 - scores.mean()
        present = (truth > 0).to(scores.dtype)
        return ((1 - scores) * present).sum() / present.sum().clamp(min=1)

    return loss


def focal(weight: Tensor | None = None, *, overlapping: bool = False) -> Loss:
    """Mean of −(1 − p)² log p of the true class, or of each region's true state, per voxel (Lin et al. 2017)."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        t = _soft(logits, target)
        factors = 1.0 if weight is None else _per_channel(weight, logits)
        if overlapping:
            present = t * _hard_cases(functional.logsigmoid(logits))
            absent = (1 - t) * _hard_cases(functional.logsigmoid(-logits))
            return ((present + absent) * factors).mean()
        return (t * factors * _hard_cases(logits.log_softmax(1))).sum(1).mean()

    return loss


def _hard_cases(log_p: Tensor) -> Tensor:
    return -((1 - log_p.exp()) ** FOCAL_GAMMA) * log_p


def boundary(tolerance: int = 1, smooth: float = 1.0, *, overlapping: bool = False) -> Loss:
    """1 − soft surface Dice, averaged over the foreground classes or the regions, over the whole batch.

    A voxel's surface membership is its excess over the lowest of its face neighbours, b = p − min(p); its nearness to a
    surface is the largest membership within `tolerance` voxels on every axis, D = max(b). Soft surface Dice is
    (Σ b_p D(b_t) + Σ b_t D(b_p) + s) / (Σ b_p + Σ b_t + s). For masks of 0 and 1 it equals the normalised surface
    distance (Nikolov et al. 2021), so the loss optimises the endpoint; it needs no distance maps of augmented masks
    (Kervadec et al. 2019) and runs as a batch on the device. A flat answer has no surface and hardly a gradient: add
    the loss to an overlap loss. The edge of a patch is not a surface. The morphological form follows Bokhovkin &
    Burnaev (2019), with the shares of both surfaces pooled as in the endpoint.
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        p, t = _probabilities(logits, overlapping), _soft(logits, target)
        if not overlapping:
            # The background's surface is the union of all others and would count each of them twice.
            p, t = p[:, 1:], t[:, 1:]
        of_p, of_t = p - _lowest_neighbour(p), t - _lowest_neighbour(t)
        axes = [0, *range(2, logits.ndim)]
        agreed = (of_p * _nearby(of_t, tolerance) + of_t * _nearby(of_p, tolerance)).sum(axes)
        total = of_p.sum(axes) + of_t.sum(axes)
        return 1 - ((agreed + smooth) / (total + smooth).clamp(min=TINY)).mean()

    return loss


def _lowest_neighbour(x: Tensor) -> Tensor:
    """Return the least value among each voxel and its face neighbours; there are none beyond the edge."""
    lowest = x
    for axis in range(2, x.ndim):
        lowest = torch.minimum(lowest, _along(x, axis, torch.minimum))
    return lowest


def _nearby(x: Tensor, tolerance: int) -> Tensor:
    """Return the greatest value within `tolerance` voxels on every axis."""
    for _ in range(tolerance):
        for axis in range(2, x.ndim):
            x = _along(x, axis, torch.maximum)
    return x


def _along(x: Tensor, axis: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Apply `pick` (minimum or maximum) to each voxel and its two neighbours on one axis."""
    n = x.shape[axis]
    # The edge voxel is repeated, so that the patch's edge changes neither minimum nor maximum.
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)], axis)
    after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], axis)
    return pick(pick(x, before), after)


def deeply_supervised(loss: Loss) -> Callable[[Tensor | Sequence[Tensor], Tensor], Tensor]:
    """Sum the loss over several outputs, full resolution first, with weights 1, ½, ¼ and so on divided by their sum.

    Each coarser output is compared with the target at its own size: class indices are resampled by the nearest voxel,
    shares and regions by the mean over the coarse voxel. A single tensor has the plain loss.
    Reference: F. Isensee et al., Nature Methods 18 (2021) 203–211.
    """

    def total(outputs: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        """Sum the losses of all scales, each coarser one with half the weight."""
        if isinstance(outputs, Tensor):
            return loss(outputs, target)
        weights = [2.0**-level for level in range(len(outputs))]
        parts = [w * loss(logits, _resized(target, logits)) for w, logits in zip(weights, outputs, strict=True)]
        return torch.stack(parts).sum() / sum(weights)

    return total


def _resized(target: Tensor, logits: Tensor) -> Tensor:
    """Resample the target to the sides of the logits."""
    size = tuple(logits.shape[2:])
    if not size or tuple(target.shape[-len(size) :]) == size:
        return target
    if target.ndim == logits.ndim:
        return AREA_MEAN[len(size)](target.to(logits.dtype), size)
    nearest = functional.interpolate(target[:, None].float(), list(size), mode="nearest-exact")
    return nearest[:, 0].to(target.dtype)


def by_region(loss: Loss, table: Tensor) -> Loss:
    """Make a loss over regions accept targets of classes: indices (n, *spatial) or soft (n, classes, *spatial).

    table: (regions, classes), 1 where a class belongs to a region.
    """

    def of_regions(logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss on the regions that the target's classes belong to."""
        here = table.to(logits.device)
        if target.is_floating_point():
            return loss(logits, torch.einsum("rc,nc...->nr...", here, target))
        return loss(logits, here.T[target].movedim(-1, 1))

    return of_regions


def without_ignored(loss: Loss) -> Loss:
    """Restrict a loss to labelled voxels, for class indices (n, *spatial) that may be IGNORED; 0 without any.

    The labelled voxels of the whole batch are put in one row, (1, classes, voxels). A loss that pools over the batch
    and uses no neighbours then has the value that it would have without the other voxels.
    """

    def of_labelled(logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss on the labelled voxels alone."""
        labelled = target != IGNORED
        if not labelled.any():
            # A zero that depends on the logits, so that backward still works.
            return logits.sum() * 0.0
        return loss(logits.movedim(1, -1)[labelled].T[None], target[labelled][None])

    return of_labelled


def build(
    name: str, weight: Tensor | None = None, *, overlapping: bool = False, settings: DiceSection | None = None
) -> Loss:
    """Return the loss a protocol names; `weight` is one factor per class, or per region if these are `overlapping`.

    settings: how its Dice is averaged.

    cross-entropy: mean of −log p of the true class, or of each region's true state.
    dice: 1 − soft Dice, averaged over classes or regions, over the whole batch.
    dice-cross-entropy: the sum of the two: Dice is judged, and cross-entropy has gradients where Dice has none.
    focal: cross-entropy times (1 − p)², which makes easy voxels count less (Lin et al. 2017).
    boundary: the sum of Dice, cross-entropy and 1 − soft surface Dice within a voxel.
    """
    entropy = region_cross_entropy(weight) if overlapping else cross_entropy(weight)
    average = settings or DiceSection()
    overlap = dice(
        overlapping=overlapping,
        by_case=average.over == "case",
        absent_counts=average.absent == "counted",
        background=average.background,
    )
    surface = boundary(overlapping=overlapping)

    def both(logits: Tensor, target: Tensor) -> Tensor:
        """Sum the cross-entropy and the overlap loss."""
        return entropy(logits, target) + overlap(logits, target)

    losses: dict[str, Loss] = {
        "cross-entropy": entropy,
        "dice": overlap,
        "dice-cross-entropy": both,
        "focal": focal(weight, overlapping=overlapping),
        "boundary": lambda logits, target: both(logits, target) + surface(logits, target),
    }
    return losses[name]


def balanced_weights(counts: Tensor) -> Tensor:
    """Return n / (classes × n_c) per class from the counts n_c: every class weighs the same; absent classes get 0."""
    counts = counts.float()
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), 0.0)
