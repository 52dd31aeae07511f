"""A network that takes images of one size alone gets a bundle for that size, and no traceback of its own code."""

import sys

import pytest
import torch

import equipoise.deploy.export  # noqa: F401 (a function has the module's name)
from equipoise.errors import EquipoiseError

export = sys.modules["equipoise.deploy.export"]


def test_a_network_of_one_size_is_told_from_one_of_all_sizes(monkeypatch):
    whole = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    free = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 2))
    monkeypatch.setattr(export, "onnx_network", lambda _: lambda images: free(torch.tensor(images)).detach().numpy())
    export._try_odd_sides(free, b"", 1, (8, 8))
    with pytest.raises(EquipoiseError, match=r"cannot process the shape \(1, 9, "):
        export._try_odd_sides(whole, b"", 1, (8, 8))
