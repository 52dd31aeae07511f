"""Muon: orthogonal updates for kernels, Adam's for the rest."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.optimizers import Muon
from equipoise.optimizers.muon import orthogonalised


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (12, 12)])
def test_singular_values_come_near_one(shape) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_singular_vectors_stay() -> None:
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    core = u.T @ orthogonalised(matrix) @ vh.T
    torch.testing.assert_close(core, torch.diag(core.diagonal()), rtol=0, atol=1e-9)


def test_zeros_stay_zero() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_a_matrix_moves_as_under_torchs_muon(stream, drive) -> None:
    """torch's iterates in bfloat16, so agreement is to its two digits."""
    grads = [[grad] for grad in stream((16, 30), 10)]
    ours, theirs = (torch.nn.Parameter(torch.zeros(16, 30)) for _ in range(2))
    drive(Muon([ours], 0.1), [ours], grads)
    peer = torch.optim.Muon([theirs], 0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    drive(peer, [theirs], grads)
    assert (ours - theirs).norm() < 0.03 * theirs.norm()


def test_vectors_and_groups_that_are_not_orthogonal_follow_adamw(stream, drive) -> None:
    vector, matrix = stream((30,), 20), stream((6, 5), 20)
    ours, theirs = ([torch.nn.Parameter(torch.ones(30)), torch.nn.Parameter(torch.ones(6, 5))] for _ in range(2))
    groups = [{"params": ours[:1]}, {"params": ours[1:], "orthogonal": False}]
    grads = list(zip(vector, matrix, strict=True))
    drive(Muon(groups, 0.01, weight_decay=0.1), ours, grads)
    drive(torch.optim.AdamW(theirs, 0.01, weight_decay=0.1), theirs, grads)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_kernel_is_taken_as_outputs_by_patch(stream, drive) -> None:
    grads = stream((8, 3, 3, 3), 5)
    kernel, matrix = torch.nn.Parameter(torch.zeros(8, 3, 3, 3)), torch.nn.Parameter(torch.zeros(8, 27))
    drive(Muon([kernel]), [kernel], [[grad] for grad in grads])
    drive(Muon([matrix]), [matrix], [[grad.flatten(1)] for grad in grads])
    assert torch.equal(kernel.detach().flatten(1), matrix.detach())


def test_updates_have_about_the_size_of_adams(stream, drive) -> None:
    param = torch.nn.Parameter(torch.zeros(20, 50))
    drive(Muon([param], lr=1.0), [param], [[stream((20, 50), 1)[0]]])
    assert param.detach().square().mean().sqrt() == pytest.approx(0.2, rel=0.3)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(EquipoiseError, match="Muon got lr=-1"):
        Muon([torch.zeros(1)], lr=-1)
