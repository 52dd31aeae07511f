"""A trial under the limits that schedulers set: open files, and memory that is too small for an arm."""

import os
import resource
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")]

PROTOCOL = """
[cohort]
source = "phantom"
cases = 60
size = 12
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 4
seeds = [0, 1]
batch_size = 5
[[arms]]
name = "hungry"
model = "nets_for_limits:Hungry"
"""
# Memory that is asked for and not touched: the ceiling refuses it, and no machine must have it.
NETS = """
import os
import torch
from torch import nn

class Hungry(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        layers = nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, out_channels)
        super().__init__(*layers)
        self.calls = 0

    def forward(self, images):
        self.calls += self.training
        if self.calls > int(os.environ["HUNGRY_AFTER"]):
            torch.empty(8 << 30, dtype=torch.uint8)
        return super().forward(images)
"""
CEILING = 9 << 30


@pytest.fixture
def command(tmp_path):
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    (tmp_path / "nets_for_limits.py").write_text(NETS)

    def ended(after: int, *, limit: int = resource.RLIM_INFINITY) -> tuple[int, str]:
        """Run under a ceiling of address space, and with 256 open files a process; the exit code and the complaint."""

        def limits() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

        environment = os.environ | {
            "EQUIPOISE_CACHE": str(tmp_path / "cache"), "EQUIPOISE_CORES": "1", "HUNGRY_AFTER": str(after),
        }  # fmt: skip
        text = [sys.executable, "-P", "-m", "equipoise", "run", "protocol.toml", "--out", "run", "--quiet"]
        process = subprocess.run(
            text, cwd=tmp_path, env=environment, preexec_fn=limits, capture_output=True, text=True, check=False
        )
        return process.returncode, process.stderr

    return ended


def test_an_arm_too_large_for_the_ceiling_is_told_before_the_lock_and_is_no_failure(command, tmp_path):
    code, complaint = command(0, limit=CEILING)
    assert code == 75, complaint
    assert "arm 'hungry': out of memory in its first step" in complaint or "allocate" in complaint
    assert not (tmp_path / "run" / "lock.json").exists()


def test_memory_that_runs_out_in_training_interrupts_and_more_of_it_goes_on(command, tmp_path):
    code, complaint = command(8, limit=CEILING)
    assert code == 75, complaint
    assert "not a failure of the arm: give the machine more memory" in complaint
    assert (tmp_path / "run" / "lock.json").exists()
    assert not list((tmp_path / "run").rglob("done.json"))
    code, complaint = command(8)
    assert code == 0, complaint
