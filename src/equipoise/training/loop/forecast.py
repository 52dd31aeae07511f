"""What one job of an arm is expected to take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """Seconds and memory of one job, from a few timed cases."""

    arm: str
    seconds: float
    memory_mb: float
