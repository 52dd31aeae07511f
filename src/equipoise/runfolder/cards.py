"""How many graphics cards there are and which one a worker process uses; the first process asks without torch."""

import os
from pathlib import Path

PER_CARD = 4
"""Jobs side by side on one card: each holds its memory, and more of them hardly make better use of it."""
DEVICES = Path("/dev")
VISIBLE, WORKER = "CUDA_VISIBLE_DEVICES", "EQUIPOISE_WORKER"


def cards() -> int:
    """Return the number of CUDA devices that jobs may use here; 0 where none can be seen from the file system.

    Where CUDA_VISIBLE_DEVICES is set it counts the devices that it names before the first one that is none.
    """
    there = len([path for path in DEVICES.glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()])
    named = os.environ.get(VISIBLE)
    if named is None or not there:
        return there
    chosen = [name.strip() for name in named.split(",")]
    end = next((number for number, name in enumerate(chosen) if name in ("", "-1")), len(chosen))
    return min(end, there)


def number_of(devices: int) -> int:
    """Return the index, below `devices`, of the device for this process: workers take the cards in turn.

    Processes that torchrun started take those of their local ranks.
    """
    number = os.environ.get(WORKER, os.environ.get("LOCAL_RANK", "0"))
    return int(number) % devices if number.isdigit() and devices else 0
