"""What the validation cases say after an epoch, with the same estimators that will judge the test cases."""

import numpy as np
from torch import Tensor

from equipoise.errors import PredictionError
from equipoise.statistics.endpoints import Endpoint, endpoint_named
from equipoise.statistics.influence import influence
from equipoise.statistics.panel import Fold


def endpoint_of(primary: str, classes: int) -> Endpoint:
    """The endpoint over plain class scores; unknown names are refused."""
    return endpoint_named(primary, classes=[str(index) for index in range(classes)])


def lower_is_better(primary: str, classes: int) -> bool:
    """Whether a smaller value of the endpoint is the better one."""
    return not endpoint_of(primary, classes).higher_is_better


def validation_metric(primary: str, logits: Tensor, targets: Tensor) -> float:
    """The primary endpoint of class logits (n, classes) against class indices (n,); nan where it is undefined.

    A validation part may lack a class, or an epoch may have predicted no finite number: the epoch then has no value
    and is not chosen for it.
    """
    n, classes = logits.shape
    names = np.arange(n)
    scores = logits.softmax(1).double().numpy()[None]
    fold = Fold(0, names.astype(str), names, targets.numpy(), scores, {})
    try:
        value = influence(fold, endpoint_of(primary, classes), 1 if classes == 2 else None, n).value[0]
    except PredictionError:
        return float("nan")
    return float(value)
