"""Tell divergence with finite numbers from a validation loss that is high for another reason.

A training diverges where its *training* loss has risen far above that of guesses without the image. The validation
loss alone does not show it: the running statistics of batch normalisation lag behind after few updates, so a network
whose training loss has fallen to .16 may still have a validation loss seven times that of the class shares.
"""

import math
from collections.abc import Mapping, Sequence

from equipoise.training.loop.ending import DivergedError

FACTOR = 5.0
"""A loss above this multiple of that of guesses without the image is of no use."""


def refuse_divergence(
    history: Sequence[Mapping[str, float]], chosen_epoch: int | None, validation: float | None, training: float | None
) -> str | None:
    """Return a note on a high validation loss of a network that did learn; None where there is nothing to note.

    history: rows with "train_loss" and "validation_loss", by epoch. chosen_epoch: from 1; None without a finite
    validation loss. validation, training: the losses of guesses without the image on the cases of either part; None
    where they are not known. Raises DivergedError.
    """
    if chosen_epoch is None:
        raise DivergedError("no epoch had a finite validation loss")
    if validation is None or training is None:
        return None
    chosen, last = history[chosen_epoch - 1]["validation_loss"], history[-1]["train_loss"]
    if chosen <= FACTOR * validation:
        return None
    high = f"the validation loss of its chosen epoch, {chosen:.3g}, is over {FACTOR:.0f} times that of the class shares"
    if last > FACTOR * training:
        raise DivergedError(
            f"{high}, {validation:.3g}, and its last training loss, {last:.3g}, over {FACTOR:.0f} times that of "
            f"guesses, {training:.3g}"
        )
    return f"{high}, {validation:.3g}, but its training loss, {last:.3g}, did not diverge"


def guessing_loss(prior: float | None, classes: int, loss: str) -> float | None:
    """Return the training loss of guesses without the image, from that of the class shares on the training cases.

    An untrained network gives all classes about equal probability. Of rare classes the shares have a far lower loss
    than that, and with weights of classes a far higher one: a network that has not learnt yet is no divergence.
    """
    return max(prior, math.log(classes)) if prior is not None and loss == "cross-entropy" and classes > 1 else prior
