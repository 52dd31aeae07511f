"""Every optimizer can be had by name, and other people's packages are imported only when asked for."""

import subprocess
import sys

import prodigyopt
import pytest
import schedulefree
import torch

from equipoise import optimizers
from equipoise.optimizers import Momentum, Prodigy, ScheduleFreeAdamW


@pytest.mark.long
def test_importing_the_room_imports_no_ones_package() -> None:
    code = (
        "import sys, equipoise.optimizers as o; "
        "before = {'schedulefree', 'prodigyopt'} & set(sys.modules); "
        "o.Prodigy, o.ScheduleFreeAdamW; "
        "print(before, {'schedulefree', 'prodigyopt'} <= set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nadamax"):
        optimizers.Nadamax  # noqa: B018


def test_momentum_is_torchs_sgd_with_nesterovs_momentum(stream, drive) -> None:
    grads = [[grad] for grad in stream((9,), 20)]
    ours, theirs = torch.nn.Parameter(torch.ones(9)), torch.nn.Parameter(torch.ones(9))
    drive(Momentum([ours], 0.01, weight_decay=0.1), [ours], grads)
    theirs_too = torch.optim.SGD([theirs], 0.01, momentum=0.9, nesterov=True, weight_decay=0.1)
    drive(theirs_too, [theirs], grads)
    assert torch.equal(ours, theirs)


def test_prodigy_is_the_packages_without_its_print(stream, drive, capsys) -> None:
    grads = [[grad] for grad in stream((9,), 20)]
    ours, theirs = torch.nn.Parameter(torch.ones(9)), torch.nn.Parameter(torch.ones(9))
    drive(Prodigy([ours], weight_decay=0.1), [ours], grads)
    assert capsys.readouterr().out == ""
    drive(prodigyopt.Prodigy([theirs], weight_decay=0.1), [theirs], grads)
    assert torch.equal(ours, theirs)


def test_schedule_free_is_the_packages() -> None:
    assert ScheduleFreeAdamW is schedulefree.AdamWScheduleFree
