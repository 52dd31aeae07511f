"""What a layout was recognised as."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Recognised:
    """The source that fits, with what a protocol needs to say beside its path.

    patients_known: whether the layout states which cases belong to one patient.
    images, masks: some of the files, evenly spaced, for a look at their sizes and values.
    remarks: what the reader of the protocol should know of the reading. needs_classes: whether the source must be told
        what the values of its masks are.
    """

    source: str
    task: str
    scheme: str = "holdout"
    patients_known: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    images: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    needs_classes: bool = False
