"""The small parts of the optimizers' contract suite: its problems by hand, and how its report reads."""

import pytest
import torch

from equipoise.testing.optimizer import OptimizerReport
from equipoise.testing.optimizer_problems import quadratic, rosenbrock
from equipoise.testing.violation import ContractViolation


def test_the_minima_of_the_problems_are_known():
    assert quadratic(torch.zeros(4)) >= 0
    assert rosenbrock(torch.ones(2)) == 0
    assert rosenbrock(torch.zeros(2)) == 1  # (1 - 0)² + 100 (0 - 0)²


def test_a_clause_that_holds_and_a_description_are_lines_of_the_report():
    report = OptimizerReport("mine")
    report.add("repeats", True)
    report.add("ignores the scale of the loss", False, "off by 2", mandatory=False)
    described = "mine: ignores the scale of the loss: no (off by 2); describes the rule, no trial depends on it"
    assert str(report).splitlines() == ["mine: repeats: yes", described]
    assert report["repeats"].held


def test_a_mandatory_clause_that_breaks_ends_the_suite():
    with pytest.raises(ContractViolation, match="mine"):
        OptimizerReport("mine").add("repeats", False, "other bits")
