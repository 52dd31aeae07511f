"""The packages behind an arm: read from what it is made of, whoever wrote the line that imports them."""

import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from equipoise.training.loop.packages import packages_of, versions_of

SGD = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


def job_of(model="unet", optimizer="adam", task="classification"):
    arm = SimpleNamespace(model=SimpleNamespace(name=model), optimizer=SimpleNamespace(name=optimizer))
    return SimpleNamespace(arm=arm, task=task, training=SimpleNamespace(loss="cross-entropy"))


def test_an_arm_of_torch_alone_names_nothing():
    assert packages_of(job_of(), nn.Linear(1, 1), SGD) == {}


def test_the_classes_of_a_network_name_their_package():
    class Foreign(nn.Module):
        """A layer whose class says that it is of pydantic, as a layer of timm does of timm."""

    Foreign.__module__ = "pydantic.inner"
    network = nn.Sequential(nn.Linear(1, 1), nn.Sequential(Foreign()))
    assert packages_of(job_of(), network, SGD) == {"pydantic": version("pydantic")}


def test_own_code_names_what_it_imports_also_by_a_module_beside_it(tmp_path, monkeypatch):
    (tmp_path / "beside_nets.py").write_text("from pydantic import BaseModel\nimport json\n")
    (tmp_path / "nets_of_mine.py").write_text("import beside_nets\nimport numpy\nfrom pyarrow import csv\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("nets_of_mine")
    try:
        named = packages_of(job_of(model="nets_of_mine:Net"), nn.Linear(1, 1), SGD)
    finally:
        for name in ("nets_of_mine", "beside_nets"):
            del sys.modules[name]
    assert named == {name: version(name) for name in ("pyarrow", "pydantic")}


def test_a_package_is_named_by_its_distribution():
    assert versions_of(["sklearn.metrics"]) == {"scikit-learn": version("scikit-learn")}


@pytest.mark.long
def test_a_network_of_timm_names_timm():
    timm = pytest.importorskip("timm", reason="needs the extra [zoo]")
    network = timm.create_model("resnet10t", in_chans=1, num_classes=2)
    assert packages_of(job_of("equipoise.zoo:timm"), network, SGD) == {"timm": version("timm")}
