"""One job of a trial: an arm on a fold with a seed, as data that can be sent to another process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.protocol import Arm, TrainingSection


@dataclass(frozen=True)
class Job:
    """Everything a job needs; `samples` holds the folders `train` and `validation` of its fold.

    outputs: classes that the model tells apart.
    code: the folder where the user's own modules lie.
    """

    arm: Arm
    fold: int
    seed: int
    folder: Path
    samples: Path
    code: Path
    task: str
    classes: tuple[str, ...]
    channels: int
    spatial_dims: int
    training: TrainingSection
    augmentation: dict[str, Any]
    primary: str

    @property
    def name(self) -> str:
        """arm/fold-seed, as in the run folder."""
        return f"{self.arm.name}/{self.fold}-{self.seed}"

    @property
    def done_file(self) -> Path:
        """Written last; its presence means that the job ended."""
        return self.folder / "done.json"

    @property
    def weights_file(self) -> Path:
        """The weights of the chosen epoch."""
        return self.folder / "checkpoint" / "model.safetensors"
