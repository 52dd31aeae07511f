"""The expected cost of one job of an arm."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """Seconds and peak memory (MB) of one job, extrapolated from a few timed cases."""

    arm: str
    seconds: float
    memory_mb: float
