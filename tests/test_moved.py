"""Names of version 0.1 go on working for one version, and say where they are now."""

import importlib
import importlib.util
import sys

import pytest

from equipoise._moved import PLACES


@pytest.mark.parametrize("old", sorted(PLACES))
def test_every_old_module_leads_to_one_that_exists(old):
    assert importlib.util.find_spec(f"equipoise.{PLACES[old]}") is not None


def test_an_old_module_is_the_new_one_and_warns():
    sys.modules.pop("equipoise.cohorts.leakage", None)
    with pytest.warns(DeprecationWarning, match=r"equipoise\.cohorts\.splits\.leakage"):
        old = importlib.import_module("equipoise.cohorts.leakage")
    new = importlib.import_module("equipoise.cohorts.splits.leakage")
    assert old is new
    assert new.__spec__.name == "equipoise.cohorts.splits.leakage"


def test_names_of_a_module_that_became_a_package_lead_on():
    package = importlib.import_module("equipoise.report.results")
    with pytest.warns(DeprecationWarning, match=r"equipoise\.report\.summary\.results_of"):
        old = package.results_of
    assert old is importlib.import_module("equipoise.report.summary").results_of
    with pytest.warns(DeprecationWarning, match=r"equipoise\.training\.learner\.learner\.Learner"):
        learner = importlib.import_module("equipoise.training.loop").Learner
    assert learner is importlib.import_module("equipoise.training.learner.learner").Learner
    with pytest.warns(DeprecationWarning, match=r"equipoise\.tasks\.segmentation\.target_regions"):
        assert importlib.import_module("equipoise.evaluation.regions").target_regions(["a", "b"], {}) == {"b": (1,)}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name
