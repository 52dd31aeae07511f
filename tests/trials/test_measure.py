"""What is measured before training: detectable differences, and the device that jobs use."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from equipoise.engines.local import Failure
from equipoise.errors import EquipoiseError
from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.fit import device_of
from equipoise.trials.measure import detectable_of
from equipoise.trials.plan import plan

TEXT = """
[cohort]
source = "phantom"
task = "segmentation"
[training]
seeds = [0, 1, 2]
[[arms]]
name = "a"
model = "unet"
[[arms]]
name = "b"
model = "unet"
"""


class Answering:
    """Workers whose only answer is given."""

    threads = 1

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        assert function == "equipoise.training.loop.determinism:device_kind"
        yield 0, self.answer


def test_the_plan_of_folds_counts_every_patient_once() -> None:
    cohort = phantom(task="segmentation", cases=80, patients=40, size=16)
    protocol = Protocol.parse(TEXT + '[split]\nscheme = "kfold"\nfolds = 4\n')
    trial = plan(protocol, cohort, "unused")
    planned, unplanned = detectable_of(protocol, trial.cohort, trial.folds)
    assert unplanned is None
    assert (planned.patients, planned.folds, planned.seeds) == (40, 4, 3)
    one = Protocol.parse(TEXT.replace("[0, 1, 2]", "[0]"))
    nothing, reason = detectable_of(one, trial.cohort, trial.folds)
    assert nothing is None
    assert "use at least 3" in reason


def test_a_device_that_jobs_would_not_use_is_refused() -> None:
    assert device_of("", Answering("cuda")) == "cuda"
    assert device_of("cpu", Answering("cpu")) == "cpu"
    with pytest.raises(EquipoiseError, match="torch sees no CUDA device here"):
        device_of("cuda", Answering("cpu"))
    with pytest.raises(EquipoiseError, match="CUDA_VISIBLE_DEVICES="):
        device_of("cpu", Answering("cuda"))
    with pytest.raises(EquipoiseError, match="cannot be started"):
        device_of("", Answering(Failure("died", "no torch")))
