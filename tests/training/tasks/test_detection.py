from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts import Case, Cohort, Image
from equipoise.evaluation.candidates import MOST_CANDIDATES
from equipoise.preprocessing import Pipeline
from equipoise.protocol import Protocol
from equipoise.training.data.samples import Samples
from equipoise.training.preparation.detection import marked
from equipoise.training.preparation.staging import plan_jobs, samples_of, stage
from equipoise.training.tasks.detection import candidates_in

TEXT = """
[cohort]
source = "x:y"
task = "detection"
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
"""


def cohort():
    """One volume stored from front to back and from left to right upside down, with two findings."""
    mask = np.zeros((12, 20, 16), np.uint8)
    mask[2:5, 3:7, 4:8] = 1
    mask[8:10, 12:16, 9:13] = 1
    affine = np.array([[-0.7, 0, 0, 5], [0, 0.9, 0, 7], [0, 0, -2.0, 3], [0, 0, 0, 1]])
    image = Image(mask[None].astype(np.float32), (2.0, 0.9, 0.7), mask, affine)
    case = Case("a", "p", read=lambda: image)
    return Cohort("c", "detection", (case,), ("background", "finding", "irrelevant"), ("image",), 3)


def job(**inference):
    protocol = Protocol.parse(TEXT)
    protocol = protocol.model_copy(update={"inference": protocol.inference.model_copy(update=inference)})
    return plan_jobs(protocol, cohort(), 1, Path("unused"))[0]


@pytest.mark.parametrize("settings", [{}, {"crop": True}, {"resample": [1.0, 0.45, 0.7], "size": [30, 44, 20]}])
def test_a_perfect_map_finds_all_on_the_cases_own_grid(settings):
    made = cohort()
    samples = samples_of(made, np.array([0]), Pipeline.from_settings({"scale": "unit", **settings}))
    assert samples.truths is None
    spacing = samples.grids[0].prepared_spacing_mm
    found = candidates_in(job(), np.asarray(samples.targets[0], np.float32), spacing)
    scan = marked(samples, 0, "test", found)
    assert scan.counts() == {"findings": 2, "found": 2, "candidates": 2, "false_positives": 0}
    apart = np.linalg.norm(scan.candidates.centre_mm[:, None] - scan.findings.centre_mm[None], axis=2).min(axis=0)
    assert apart.max() < 0.4


def test_peaks_of_centres_find_all_as_well():
    samples = samples_of(cohort(), np.array([0]), Pipeline(), "centres")
    asked = job()
    asked = replace(asked, training=asked.training.model_copy(update={"targets": "centres"}))
    found = candidates_in(asked, samples.targets[0][1], samples.grids[0].prepared_spacing_mm)
    scan = marked(samples, 0, "test", found)
    assert scan.counts() == {"findings": 2, "found": 2, "candidates": 2, "false_positives": 0}


def test_the_threshold_is_the_protocols_and_lists_are_cut():
    probability = np.random.default_rng(0).random((60, 60))
    probability[1::2], probability[:, 1::2] = 0, 0  # every part is one pixel
    assert len(candidates_in(job(), probability, (1.0, 1.0))) == MOST_CANDIDATES
    few = candidates_in(job(candidate_threshold=0.9), probability, (1.0, 1.0))
    assert len(few) == int((probability >= 0.9).sum()) < MOST_CANDIDATES
    assert (np.diff(few.score) <= 0).all()


def test_findings_are_staged_with_their_cases(tmp_path):
    made = cohort()
    there = stage(made, np.array([0]), Pipeline(), tmp_path, "centres")
    memory = samples_of(made, np.array([0]), Pipeline(), "centres")
    loaded = Samples.load(tmp_path)
    for samples in (there, loaded):
        for name in ("centre_mm", "diameter_mm", "relevant"):
            np.testing.assert_array_equal(getattr(samples.findings[0], name), getattr(memory.findings[0], name))
        np.testing.assert_array_equal(samples.targets[0], memory.targets[0])
    assert loaded.head(1).findings[0].relevant.tolist() == [True, True]


def test_cases_without_findings_are_staged_too(tmp_path):
    empty = Image(np.zeros((1, 8, 8), np.float32), (1.0, 1.0), np.zeros((8, 8), np.uint8))
    made = Cohort("c", "detection", (Case("a", "p", read=lambda: empty),), ("b", "f", "irrelevant"), ("image",), 2)
    assert stage(made, np.array([0]), Pipeline(), tmp_path).findings[0].centre_mm.shape == (0, 2)
