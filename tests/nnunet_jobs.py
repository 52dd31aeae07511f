"""Small cases for tests of nnU-Net: squares in noise, in two or three dimensions."""

from pathlib import Path

import numpy as np

from equipoise.preprocessing import Record
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Grid, PreparedCase, Samples


def squares(cases, dims=3, seed=0, side=24, prefix="c"):
    """Prepared cases with a bright cube each; spacings of 2 mm along the first axis, else 1 mm."""
    rng = np.random.default_rng(seed)
    spacing = (2.0, 1.0, 1.0)[-dims:] if dims == 3 else (2.0, 1.0)
    made = []
    for number in range(cases):
        mask = np.zeros((side,) * dims, np.uint8)
        low = rng.integers(2, 8, dims)
        mask[tuple(slice(start, start + 10) for start in low)] = 1
        image = (mask + rng.normal(0, 0.3, mask.shape))[None].astype(np.float32)
        arrays = {"images": image, "targets": mask, "truths": mask}
        grid = Grid(Record((), spacing).to_json(), spacing)
        made.append(PreparedCase(f"{prefix}{number}", f"p{number}", arrays, grid))
    return Samples.of(made)


def job(folder: Path, dims=3, ignores=False, **settings) -> Job:
    """A job of nnU-Net on such cases."""
    arm = Arm.model_validate({"name": "n", "model": {"name": "nnunet", **settings}})
    places = folder / "run" / "jobs" / "n" / "0-0", folder / "samples", folder
    training = TrainingSection(epochs=settings.get("epochs", 1), loss="dice-cross-entropy")
    return Job(
        arm, 0, 0, *places, "segmentation", ("background", "ignore"), 1, dims, training, {}, "dice",
        regions={"ignore": (1,)}, ignores=ignores,
    )  # fmt: skip
