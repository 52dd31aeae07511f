"""The expected cost of one job of an arm, and the rates from which it follows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """Seconds and peak memory (MB) of one job, extrapolated from a few timed cases.

    Seconds are of processor time divided by the job's threads, which a busy machine does not change; on a graphics card
    of elapsed time. patch_seconds: to train on one case or patch; preparing_seconds: to recompute statistics of
    normalisation, per case or patch; answer_seconds: to validate one case. gradient_evaluations: for each update, the
    mean over some; None for a training that is not ours.
    """

    arm: str
    seconds: float
    memory_mb: float
    patch_seconds: float
    preparing_seconds: float
    answer_seconds: float
    gradient_evaluations: float | None = None
