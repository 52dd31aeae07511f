"""What is done for speed without a key: channels last where it was measured to pay, and fused optimizer steps."""

from pathlib import Path

import pytest
import torch
from torch import nn

from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.loop.arm import build_optimizer
from equipoise.training.loop.layout import layout_of


@pytest.mark.parametrize(
    ("spatial_dims", "device", "built_in", "layout"),
    [
        (2, "cpu", True, torch.channels_last),
        (2, "cuda", False, torch.channels_last),
        (3, "cpu", True, torch.channels_last_3d),
        (3, "cpu", False, torch.contiguous_format),
        (3, "cuda", True, torch.contiguous_format),
    ],
)
def test_channels_lie_last_where_that_pays_and_breaks_no_code(spatial_dims, device, built_in, layout):
    assert layout_of(spatial_dims, torch.device(device), built_in) is layout


@pytest.mark.parametrize(
    ("optimizer", "fused"),
    [
        ("adam", True),
        ("adamw", True),
        ("sgd", True),
        ({"name": "adam", "foreach": True}, None),
        ({"name": "adam", "fused": False}, False),
    ],
    ids=str,
)
def test_steps_are_fused_unless_the_protocol_says_how(optimizer, fused):
    arm = Arm.model_validate({"name": "a", "model": "unet", "optimizer": optimizer})
    nowhere = Path("nowhere")
    job = Job(arm, 0, 0, nowhere, nowhere, nowhere, "classification", ("x", "y"), 1, 2, TrainingSection(), {}, "auc")
    (group,) = build_optimizer(job, nn.Linear(2, 2)).param_groups
    assert group["fused"] is fused
