"""Which path takes a step is chosen in one place and told."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum
from equipoise.optimizers.adaptive_momentum import dispatch


def step(path: str, monkeypatch: pytest.MonkeyPatch, works: bool) -> dict[str, int]:
    monkeypatch.setattr(dispatch, "works", lambda: works)
    params = [torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(2, dtype=torch.float64))]
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer = AdaptiveMomentum(params, path=path)
    assert optimizer.paths_taken == {}
    optimizer.step()
    return optimizer.paths_taken


def test_auto_without_a_working_kernel_loops(monkeypatch) -> None:
    assert step("auto", monkeypatch, works=False) == {"loop": 2}


def test_named_paths_are_taken(monkeypatch) -> None:
    assert step("loop", monkeypatch, works=True) == {"loop": 2}
    assert step("foreach", monkeypatch, works=True) == {"foreach": 2}


def test_groups_may_take_different_paths() -> None:
    params = [torch.nn.Parameter(torch.ones(4)) for _ in range(3)]
    for param in params:
        param.grad = torch.ones(4)
    groups = [{"params": params[:1], "path": "foreach"}, {"params": params[1:], "path": "loop"}]
    optimizer = AdaptiveMomentum(groups)
    optimizer.step()
    assert optimizer.paths_taken == {"foreach": 1, "loop": 2}


def test_an_unknown_path_is_refused_by_name() -> None:
    with pytest.raises(EquipoiseError, match="path='turbo' is unknown; choose one of auto, compiled, foreach, loop"):
        dispatch.check_path("turbo")
