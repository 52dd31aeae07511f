"""A new metric is one function in one file: `toy_metric.py` is all that is added, and it appears everywhere."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.statistics.endpoints import documented, endpoint_named
from equipoise.trials.audit import audit
from equipoise.trials.check import check

pytestmark = pytest.mark.usefixtures("in_this_process")
NAME = "toy_metric:box_overlap"
PROTOCOL = f"""
[cohort]
source = "squares_for_toys:cohort"
task = "segmentation"
[split]
fractions = [0.3, 0.1, 0.6]
[training]
epochs = 1
batch_size = 8
seeds = [0, 1, 2]
[endpoints]
primary = "{NAME}"
secondary = ["dice"]
margin = 0.05
[[arms]]
name = "unet"
model = {{name = "unet", preset = "tiny"}}
"""
COHORT = """
import numpy as np
from equipoise.cohorts import Case, Cohort, Image

def cohort(path=None, task="segmentation"):
    def read(index):
        mask = np.zeros((16, 16), np.uint8)
        mask[3:11, 2 : 10 + index % 3] = 1
        image = np.random.default_rng(index).normal(0, 0.2, (1, 16, 16)) + mask
        return Image(image.astype(np.float32), (1.0, 1.0), mask)

    cases = tuple(Case(f"c{i:02d}", f"p{i:02d}", read=lambda i=i: read(i), sha256={"made": str(i)}) for i in range(40))
    return Cohort("squares", "segmentation", cases, ("background", "square"), ("c",), 2)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A protocol with the toy metric beside it."""
    place = tmp_path_factory.mktemp("toy")
    shutil.copy(Path(__file__).with_name("toy_metric.py"), place)
    (place / "squares_for_toys.py").write_text(COHORT)
    (place / "protocol.toml").write_text(PROTOCOL)
    return place


@pytest.mark.trial
def test_it_is_planned_trained_and_reported(folder: Path) -> None:
    text = check(folder / "protocol.toml").text()
    assert "a difference in box overlap of" in text
    results = equipoise.run(folder / "protocol.toml", folder / "run")
    value = results["arms"][0]["endpoints"][NAME]
    assert 0 <= value["low"] <= value["estimate"] <= value["high"] <= 1
    page = (folder / "run" / "report.html").read_text()
    assert "The primary endpoint was the box overlap" in page


@pytest.mark.long
def test_it_is_audited_from_masks_and_from_a_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    truth = np.zeros((12, 12), np.uint8)
    truth[2:8, 2:8] = 1
    for arm, shift in (("near", 1), ("far", 3)):
        for case in range(40):
            for name, mask in (("truth", truth), (arm, np.roll(truth, shift + case % 2, axis=1))):
                file = tmp_path / name / f"case{case:02d}.npy"
                file.parent.mkdir(exist_ok=True)
                np.save(file, mask)
    found = audit([tmp_path / "near", tmp_path / "far"], NAME, 0.05, truth=tmp_path / "truth", cases_are_patients=True)
    near, far = (next(a for a in found["arms"] if a["name"] == name) for name in ("near", "far"))
    assert near["endpoints"][NAME]["estimate"] == pytest.approx(np.mean([5 / 7, 4 / 8]))
    assert far["endpoints"][NAME]["estimate"] == pytest.approx(np.mean([3 / 9, 2 / 10]))
    table = {key: np.repeat([f"{n:02d}" for n in range(40)], 2) for key in ("case", "patient")}
    table |= {"arm": np.tile(["a", "b"], 40), NAME: np.tile([0.5, 0.7], 40) + 0.001 * np.arange(80)}
    assert audit(table, NAME)["endpoints"]["higher_is_better"] is True


def test_its_row_of_the_documentation_is_made_like_any_other(folder: Path) -> None:
    record = endpoint_named(NAME, folder=folder)
    assert f"| `{NAME}` | box overlap | 0 to 1 | higher | – |" in documented([record])
    assert "toy_metric" in sys.modules
