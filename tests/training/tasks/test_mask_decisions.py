"""A segmenter's decision: the likeliest class of each voxel, or every region above one half."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.tasks.segmentation import probabilities, to_masks

NOWHERE = Path("nowhere")
JOB = Job(
    Arm.model_validate({"name": "net", "model": "unet"}), 0, 0, NOWHERE, NOWHERE, NOWHERE, "segmentation",
    ("background", "core", "rim"), 1, 2, TrainingSection(), {}, "dice",
    regions={"core": (1,), "whole": (1, 2)},
)  # fmt: skip
LOGITS = torch.tensor([[[3.0, 0.0, 0.0]], [[0.0, 3.0, 0.0]], [[0.0, 0.0, 3.0]]])


def test_the_likeliest_class_decides_and_regions_are_sets_of_classes():
    shares = probabilities(JOB, LOGITS[None])[0].numpy()
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-6)
    masks = to_masks(JOB, shares)
    assert masks["core"].tolist() == [[False, True, False]]
    assert masks["whole"].tolist() == [[False, True, True]]


def test_regions_that_are_answered_by_themselves_are_cut_at_one_half():
    job = replace(JOB, training=TrainingSection(targets="regions"))
    shares = probabilities(job, torch.tensor([[[[-1.0, 0.1, 2.0]], [[0.2, -0.1, 2.0]]]]))[0].numpy()
    masks = to_masks(job, shares)
    assert masks["core"].tolist() == [[False, True, True]]
    assert masks["whole"].tolist() == [[True, False, True]]
