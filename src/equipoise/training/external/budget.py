"""The budget of a training by nnU-Net: its epochs, or processor time; and what each epoch left, line by line."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALIDATION_SHARE = 5
"""Updates for each batch of validation: nnU-Net's own ratio, 250 to 50."""


class SpentError(Exception):
    """The budget of processor time is used up."""


class Budget:
    """Decides how many updates an epoch has, and when the training ends.

    epochs: planned, an upper bound where `seconds` is given. steps: updates of an epoch, without meaning there.
    seconds: processor time of this process from here on, all its threads together (on a graphics card the clock); None
    for a budget of epochs. With it the epochs are of about equal time, the first a single update, from which the others
    are reckoned.
    """

    def __init__(
        self, epochs: int, steps: int, seconds: float | None, device: str, clock: Callable[[], float] | None = None
    ) -> None:
        self.epochs, self.steps, self.seconds = epochs, steps, seconds
        self._clock = clock or (time.perf_counter if device == "cuda" else time.process_time)
        self._wall, self._processor = time.perf_counter(), time.process_time()
        self._begun = self._clock()
        self._before: dict[str, float] = {"seconds": 0.0, "processor_seconds": 0.0, "budget_seconds": 0.0}
        self._epoch, self._updates, self._per_update, self._at = 0, 0, math.inf, 0.0

    def resume(self, rows: list[dict[str, float]]) -> None:
        """Go on after the epochs of an earlier process, whose time counts."""
        if rows:
            self._before = {key: rows[-1][key] for key in self._before}
            times = [0.0, *(row["budget_seconds"] for row in rows)]
            self._per_update = (times[-1] - times[-2]) / rows[-1]["updates"]
        self._epoch = len(rows)

    def used(self) -> float:
        """Return the seconds of the budget used until now."""
        return self._before["budget_seconds"] + self._clock() - self._begun

    def share_used(self) -> float:
        """Return the share of the budget used until now, at most 1."""
        return 1.0 if self.seconds is None else min(1.0, self.used() / self.seconds)

    def begin_epoch(self) -> tuple[int, int]:
        """Return the numbers of updates and of validation batches. Raises SpentError where the time is used up."""
        self._at = self.used()
        if self.seconds is None:
            self._updates = self.steps
        else:
            left = self.seconds - self._at
            if self._epoch and left < self._per_update:  # another update would end behind the budget
                raise SpentError
            share = left / max(1, self.epochs - self._epoch)
            fits = 1 if math.isinf(self._per_update) else int(share / self._per_update)
            self._updates = max(1, fits)
        return self._updates, max(1, self._updates // VALIDATION_SHARE)

    def end_epoch(self) -> dict[str, float]:
        """Return the epoch's number, its updates, and the times used since the beginning."""
        self._epoch += 1
        used = self.used()
        self._per_update = (used - self._at) / self._updates
        return {
            "epoch": float(self._epoch),
            "updates": float(self._updates),
            "budget_seconds": used,
            "seconds": self._before["seconds"] + time.perf_counter() - self._wall,
            "processor_seconds": self._before["processor_seconds"] + time.process_time() - self._processor,
        }


class Rows:
    """What each epoch left, one JSON object a line; read by the worker while the training goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, row: dict[str, float]) -> None:
        """Append a row. Raises ArithmeticError for a training loss that is not finite: the training has diverged."""
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        if not math.isfinite(row["train_loss"]):
            raise ArithmeticError(f"the loss was not finite in epoch {row['epoch']:.0f}")

    def cut(self, epochs: int) -> list[dict[str, float]]:
        """Keep the rows of the first `epochs` epochs alone, and return them."""
        rows = self.read()[:epochs]
        self.file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return rows

    def read(self) -> list[dict[str, float]]:
        """Return all whole rows; none where there is no file."""
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        rows: list[dict[str, float]] = []
        for line in lines:
            try:
                row: Any = json.loads(line)
            except ValueError:
                break  # being written, or cut off by a kill
            rows.append(row)
        return rows
