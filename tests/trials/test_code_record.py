"""What the user's own code imports is part of the plan: a helper that changes is refused by the name of its file."""

from dataclasses import replace

import numpy as np
import pytest

import equipoise
from equipoise.engines.local import Workers
from equipoise.errors import LedgerError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import LATE_MODULES, Job
from equipoise.runfolder.own_code import MODULES
from equipoise.runfolder.read import read_lock
from equipoise.training.data.samples import Samples
from equipoise.trials.code_record import modules_hashed, refuse_late_modules, with_own_modules
from equipoise.trials.plan import read

PROTOCOL = """
[cohort]
source = "phantom"
cases = 60
patients = 60
size = 12
[training]
epochs = 1
batch_size = 16
seeds = [0]
[[arms]]
name = "a"
model = "{module}:Net"
[[arms]]
name = "b"
model = {{name = "unet", preset = "tiny"}}
"""
NET = """
import importlib
from torch import nn
from {module}_helper import WIDTH

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__()
        self.out = nn.Linear(in_channels, out_channels)

    def forward(self, image):
        {late}
        return self.out(image.mean((2, 3)))
"""


def written(folder, module, late="pass"):
    (folder / f"{module}.py").write_text(NET.format(module=module, late=late))
    (folder / f"{module}_helper.py").write_text("WIDTH = 4\n")
    (folder / "protocol.toml").write_text(PROTOCOL.format(module=module))
    return folder / "protocol.toml"


def test_a_plan_names_the_helpers_of_all_that_its_protocol_names(tmp_path):
    protocol, _ = read(written(tmp_path, "named_net"))
    hashed = modules_hashed(protocol)
    assert set(hashed) == {"named_net", "named_net_helper"}
    record = with_own_modules(protocol, {"device": "cpu", MODULES: {"late": "00"}})
    assert record == {"device": "cpu", MODULES: dict(sorted((hashed | {"late": "00"}).items()))}
    (tmp_path / "plain.toml").write_text(PROTOCOL.format(module="x").replace('"x:Net"', '"densenet"'))
    assert with_own_modules(read(tmp_path / "plain.toml")[0], {"device": "cpu", MODULES: {}}) == {"device": "cpu"}


@pytest.mark.trial
@pytest.mark.usefixtures("jobs_here")
def test_a_helper_that_changed_stops_a_trial(tmp_path):
    protocol = written(tmp_path, "locked_net")
    equipoise.run(protocol, tmp_path / "run")
    assert set(read_lock(tmp_path / "run")[MODULES]) == {"locked_net", "locked_net_helper"}
    before = (tmp_path / "run" / "results.json").read_bytes()
    (tmp_path / "locked_net_helper.py").write_text("WIDTH = 8\n")
    with pytest.raises(
        LedgerError, match=r"locked_net_helper\.py \(module 'locked_net_helper'\) has changed since .*run"
    ):
        equipoise.run(protocol, tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def job(place, module, **changes):
    for part, n in (("train", 8), ("validation", 4)):
        images = np.random.default_rng(n).normal(size=(n, 1, 8, 8)).astype(np.float32)
        names = tuple(f"{part}{i}" for i in range(n))
        Samples(images, np.arange(n) % 2, names, names).save(place / "samples" / part)
    arm = Arm.model_validate({"name": "a", "model": f"{module}:Net"})
    places = (place / "jobs" / "a" / "0-0", place / "samples", place)
    training = TrainingSection(epochs=1, batch_size=4)
    return replace(Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, training, {}, "auc"), **changes)


@pytest.mark.long
def test_a_job_looks_at_its_code_and_records_what_it_loads_late(tmp_path):
    protocol = written(tmp_path, "late_net", 'importlib.import_module("late_" + "table")')
    (tmp_path / "late_table.py").write_text("")
    modules = modules_hashed(read(protocol)[0])
    assert set(modules) == {"late_net", "late_net_helper"}
    one = job(tmp_path, "late_net", modules=modules | {"late_net_helper": "00"})
    with Workers(1) as workers:
        (refused,) = dict(workers.run("equipoise.training.jobs:train", [one], lambda: None)).values()
        assert (refused.kind, one.done()) == ("LedgerError", None)
        one = replace(one, modules=modules)
        (done,) = dict(workers.run("equipoise.training.jobs:train", [one], lambda: None)).values()
    assert set(done[LATE_MODULES]) == {"late_table"}
    refuse_late_modules([one])
    (tmp_path / "late_table.py").write_text("changed = True\n")
    with pytest.raises(LedgerError, match=r"late_table\.py .* has changed since job a/0-0 was trained"):
        refuse_late_modules([one])
