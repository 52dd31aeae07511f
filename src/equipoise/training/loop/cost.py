"""Measure the cost of a job: its peak memory, and the time per case."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import psutil
import torch

SAMPLED_EVERY_SECONDS = 0.05
LATENCY_REPEATS = 15
LATENCY_SECONDS = 5.0


class PeakMemory:
    """Largest resident memory of this process inside a `with` block, in MB (10^6 bytes), and that of a graphics card.

    device_mb: the most that this process had allocated on its CUDA device; None without one.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._process = psutil.Process()
        # Sampled by a thread: the system's own peak (ru_maxrss) covers a process' whole life, which is many jobs.
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _measure(self) -> None:
        self.peak_mb = max(self.peak_mb, self._process.memory_info().rss / 1e6)

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLED_EVERY_SECONDS):
            self._measure()

    @property
    def device_mb(self) -> float | None:
        """The peak on the CUDA device since the block began."""
        return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None

    def __enter__(self) -> Self:
        self._measure()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._measure()


def latency_ms(answer: Callable[[], object]) -> float:
    """Measure the median time of one answer for one case, in milliseconds, after a warm-up.

    A slow answer is timed less often: at most about `LATENCY_SECONDS` are spent.
    """
    times: list[float] = []
    with torch.inference_mode():
        while len(times) < LATENCY_REPEATS + 2 and (len(times) < 2 or sum(times) < 1000 * LATENCY_SECONDS):
            start = time.perf_counter()
            answer()
            # CUDA calls return before the work is done.
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times[2:] or times[1:]))
