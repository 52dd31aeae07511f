"""A trial on masks with nnU-Net's label `ignore`, from files to the predictions' counts of voxels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import equipoise
from equipoise.cohorts.sources import load
from equipoise.errors import ProtocolError
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol
from equipoise.trials.plan import plan

pytestmark = pytest.mark.usefixtures("in_this_process")
PROTOCOL = """
[cohort]
source = "nnunet"
path = "data"
task = "segmentation"
ids = "plain"
[split]
fractions = [0.5, 0.25, 0.25]
[training]
epochs = 1
batch_size = 4
seeds = [0, 1, 2]
class_weights = "balanced"
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""


def data(folder: Path, cases: int = 12) -> dict[str, int]:
    """Pictures whose right three quarters nobody labelled; the number of labelled voxels of each case."""
    rng = np.random.default_rng(0)
    labelled = {}
    for n in range(cases):
        mask = rng.choice([0, 1], (32, 32)).astype(np.uint8)
        mask[:, 8:] = 2
        labelled[f"c{n:02d}"] = int((mask != 2).sum())
        for kind, name, values in (
            ("imagesTr", f"c{n:02d}_0000.png", rng.integers(0, 255, (32, 32))),
            ("labelsTr", f"c{n:02d}.png", mask),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(folder / kind / name)
    described = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "a": 1, "ignore": 2},
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return labelled


@pytest.mark.long
def test_no_voxel_is_counted_that_nobody_labelled(tmp_path: Path) -> None:
    labelled = data(tmp_path / "data")
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    results = equipoise.run(tmp_path / "protocol.toml", out=tmp_path / "run")
    assert results["failures"] == []
    counted = 0
    for file in sorted((tmp_path / "run").rglob("*.parquet")):
        table = read_parquet(file)
        for k, case in enumerate(table.case.tolist()):
            assert table.metrics["predicted_voxels_a"][k] <= labelled[case]
            assert table.metrics["truth_voxels_a"][k] <= labelled[case]
            counted += table.metrics["predicted_voxels_a"][k] > 0
    assert counted, "some answers do call voxels"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "[training]",
            "[preprocessing]\nsmooth_labels = {gaussian_mm = 1.0}\n[training]",
            "smooth_labels would blur unlabelled voxels",
        ),
        ("epochs = 1", 'epochs = 1\nloss = "boundary"', 'training.loss = "boundary" puts edges'),
    ],
)
def test_what_would_look_at_such_voxels_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    data(tmp_path / "data", 8)
    (tmp_path / "protocol.toml").write_text(PROTOCOL.replace(old, new, 1))
    protocol = Protocol.load(tmp_path / "protocol.toml")
    with pytest.raises(ProtocolError, match=reason):
        plan(protocol, load(protocol.cohort, protocol.cohort_path, protocol.folder), tmp_path / "run")
