"""Every example protocol runs on a small setting and leaves a complete report."""

import re
from pathlib import Path

import pytest

import equipoise
from equipoise.protocol import Protocol

pytestmark = [pytest.mark.trial, pytest.mark.usefixtures("in_this_process")]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEW = """
import dataclasses
from pathlib import Path
import numpy as np
from equipoise.cohorts.sources import load
from equipoise.protocol import CohortSection

def few(path, inner, per_part, task="classification", **settings):
    "The first patients of every class and part of another source's cohort, at most two cases each."
    section = CohortSection(source=inner, task=task, **settings)
    found = load(section, path, Path(CODE))
    kept, seen = [], {}
    for case in found.cases:
        patients = seen.setdefault((case.label, case.part), {})
        taken = patients.get(case.patient, 0)
        if taken == 1 or (taken == 0 and len(patients) < per_part):
            patients[case.patient] = taken + 1
            kept.append(case)
    return dataclasses.replace(found, cases=tuple(kept))
"""


def small(of_data, name: str, folder: Path, data: Path, per_part: int, **changes: str) -> Protocol:
    """An example with few cases, tiny networks, one epoch and two seeds; its paths point to the data."""
    (folder / "few_for_examples.py").write_text(FEW.replace("CODE", repr(str(EXAMPLES))))
    text = (EXAMPLES / f"{name}.toml").read_text()
    text = of_data(text, name, data)
    text = re.sub(
        r'\nsource = "([^"]+)"', rf'\nsource = "few_for_examples:few"\ninner = "\1"\nper_part = {per_part}', text
    )
    text = re.sub(r"\nepochs = \d+", "\nepochs = 1", text)
    text = re.sub(r"\nseeds = \[[^\]]*\]", "\nseeds = [0, 1]", text)
    text = re.sub(r'preset = "\w+"', 'preset = "tiny"', text)
    text = re.sub(r"channels = \[[^\]]*\]", "channels = [4, 8, 16]", text)
    for key, value in changes.items():
        text, count = re.subn(rf"\n{key} = [^\n]+", f"\n{key} = {value}", text)
        assert count, f"{name} has no key {key}"
    return Protocol.parse(text, name, folder)


@pytest.mark.parametrize(
    ("name", "per_part", "changes"),
    [
        ("pneumonia", 16, {}),
        ("adrenal", 6, {}),
        ("lidc-nodules2d", 24, {"size": "32"}),
        ("cheng-segmentation", 24, {}),
        ("cheng-detection", 24, {}),
        ("hippocampus", 8, {}),
    ],
)
def test_an_example_gives_a_complete_report(name, per_part, changes, shared_data, of_data, tmp_path):
    protocol = small(of_data, name, tmp_path, shared_data, per_part, **changes)
    results = equipoise.run(protocol, tmp_path / "run")
    assert not results["failures"]
    for arm in results["arms"]:
        assert arm["endpoints"][protocol.endpoints.primary]["estimate"] is not None
    page = (tmp_path / "run" / "report.html").read_text()
    for section in ("differences", "endpoints", "examples", "learning", "cost", "methods", "checklists", "provenance"):
        assert f'id="{section}"' in page, section


def test_two_brats_cases_run_end_to_end(shared_data, of_data, tmp_path):
    """The whole example on real volumes at 3 mm: one case trains, the other is scored on every endpoint."""
    text = (EXAMPLES / "brats-pair.toml").read_text()
    text = of_data(text, "brats-pair", shared_data)
    (tmp_path / "brats_pair.py").write_text((EXAMPLES / "brats_pair.py").read_text())
    text = re.sub(r"\nepochs = \d+", "\nepochs = 1", text)
    text = re.sub(r"\npatches_per_case = \d+", "\npatches_per_case = 2", text)
    text = re.sub(r"\nseeds = \[[^\]]*\]", "\nseeds = [0]", text).replace('preset = "small"', 'preset = "tiny"')
    text = re.sub(r"\nresample = [^\n]+", "\nresample = 3", text).replace("patch = 48", "patch = 32")
    results = equipoise.run(Protocol.parse(text, folder=tmp_path), tmp_path / "run")
    assert not results["failures"]
    assert {"dice", "dice_WT", "dice_TC", "dice_ET", "hd95", "lesion_f1"} <= set(results["arms"][0]["endpoints"])
    assert results["cohort"]["split"] == {"train": 1, "validation": 1, "test": 1}
