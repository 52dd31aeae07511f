"""See whether a network answers an image from that image alone, whatever else is in the batch.

Cases are predicted in the order of the cohort, which may be sorted by class: a network that looks across the batch, as
with a mean over its first axis, would be told the class of a case by its neighbours.
"""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from equipoise.training.learner.learner import Learner
from equipoise.training.loop.determinism import generator

SAME_SHAPE = 1e-4
"""Largest difference, in units of the largest answer, where only the other images differ: the kernels are the same."""
OTHER_SHAPE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""The same for another place in the batch, or none beside it: kernels then add up in another order."""
REMEDY = (
    "compute each answer from its own image alone in evaluation (axis 0 is that of the cases; "
    "equipoise.testing.check_model tries a model alone)"
)


class BatchDependenceError(Exception):
    """A trained network's answer to an image depends on the other images of the batch; the text says how much."""


def batch_dependence(learner: Learner, images: Tensor, *, compiled: bool) -> str | None:
    """Return how the answer to an image depends on what is beside it, as a predicate; None where it does not.

    images: (n, channel, *sides), at least one, on the learner's device. compiled: whether the model is, which is then
    asked without its graphs. The model is left in evaluation mode.
    """
    learner.model.eval()
    # Graphs of other batch sizes may take a minute each.
    with torch.no_grad(), torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        return _dependence(learner.logits, images, OTHER_SHAPE[learner.precision])


def refuse_dependence(learner: Learner, images: Tensor, *, compiled: bool) -> None:
    """Raise BatchDependenceError for a trained network that `batch_dependence` says something of."""
    fault = batch_dependence(learner, images, compiled=compiled)
    if fault is not None:
        raise BatchDependenceError(f"its trained model {fault}; {REMEDY}")


def _dependence(answer: Callable[[Tensor], Tensor], images: Tensor, loose: float) -> str | None:
    noise = _noise_like(torch.cat([images, images[:1]]))
    batch = torch.cat([images, noise[:1]])  # never one image alone
    together = answer(batch)
    ends = sorted({0, len(images) - 1})
    largest = together[: len(images)].nan_to_num(0, 0, 0).abs().max().clamp_min(1e-6)

    def apart(one: Tensor, other: Tensor) -> float:
        """Return the largest difference in units of the largest answer; infinite where one alone is finite."""
        if not torch.equal(one.isfinite(), other.isfinite()):
            return float("inf")
        return float((one - other).nan_to_num(0, 0, 0).abs().max() / largest)

    again = apart(together, answer(batch))
    if again > SAME_SHAPE:
        return _sentence("when it is called again", again)
    # Each at its place among others, brighter ones, so that a small share of them shows.
    others = [torch.cat([images[:1], noise[1:]]), torch.cat([noise[1:-1], images[-1:], noise[-1:]])]
    beside = max(apart(answer(one)[i], together[i]) for one, i in zip(others, (0, len(images) - 1), strict=True))
    if beside > SAME_SHAPE:
        return _sentence("with other images beside it in the batch", beside)
    moved = answer(batch.flip(0)).flip(0)
    place = max(apart(moved[i], together[i]) for i in ends)
    if place > loose:
        return _sentence("at another place in the batch", place)
    alone = max(apart(answer(images[i : i + 1])[0], together[i]) for i in ends)
    return _sentence("without a batch around it", alone) if alone > loose else None


def _sentence(when: str, apart: float) -> str:
    return f"answers an image differently in evaluation {when} (by {apart:.1g} of the largest answer)"


def _noise_like(images: Tensor) -> Tensor:
    """Return noise of three times the images' spread, around other means for each image."""
    draws = generator("batch independence", *images.shape)
    noise = torch.randn(images.shape, generator=draws).to(images)
    steps = torch.arange(1, len(images) + 1).to(images).reshape(-1, *[1] * (images.ndim - 1))
    return images.mean() + images.std().clamp_min(1e-3) * (3 * noise + steps)
