import dataclasses
from pathlib import Path

import numpy as np
import pytest

from equipoise.report.figures.subgroups import subgroup_figure
from equipoise.report.results.subgroups import _compared, grouped_attributes, subgroup_results
from equipoise.report.text.reasons import in_words
from equipoise.report.text.subgroups import variation_in_words, words_of
from equipoise.statistics.subgroups import NOT_STATED


class Folder:
    """As much of a run folder as subgroups read."""

    sources = ()

    def __init__(self, cases, subgroups=(), size=None):
        self.cases, self.baselines, self.path = cases, (), Path()
        self.lock = {"cohort": {"size_attribute": size}, "endpoints": {"primary": "auc", "subgroups": list(subgroups)}}

    def arms(self):
        return ["good", "poor"]


@pytest.fixture
def judged(predictions_of_arms):
    return predictions_of_arms


@pytest.fixture
def predictions_of_arms():
    from equipoise.evaluation.predictions import Predictions, concatenate

    generator = np.random.default_rng(0)
    n = 240
    truth = np.tile([0, 1], n // 2)
    tables = []
    for arm, effect in (("good", 2.0), ("poor", 0.2)):
        for seed in range(3):
            positive = 1 / (1 + np.exp(-(effect * (2 * truth - 1) + generator.normal(0, 1, n))))
            names = np.array([f"c{i:03d}" for i in range(n)])
            tables.append(
                Predictions(
                    names, names, np.full(n, "test"), np.full(n, arm), np.zeros(n, np.int64), np.full(n, seed), truth,
                    np.stack([1 - positive, positive], 1), ("benign", "malignant"),
                )
            )  # fmt: skip
    return concatenate(tables)


def cases(n=240):
    return tuple(
        {"case": f"c{i:03d}", "site": "AB"[i // 120], "size_mm": str(i / 10), "note": f"n{i}"} for i in range(n)
    )


def test_declared_attributes_and_size_are_grouped():
    found = grouped_attributes(Folder(cases(), ["site"], "size_mm"))
    assert set(found) == {"site", "size_mm"}
    assert sorted(set(found["site"].values())) == ["A", "B"]
    assert len(set(found["size_mm"].values())) == 3
    assert grouped_attributes(Folder(cases())) == {}
    assert grouped_attributes(Folder(cases(), ["absent"])) == {}


def worded(*asked):
    """The attributes as results.json has them."""
    return in_words(subgroup_results(*asked))


def test_every_group_has_its_own_estimates(predictions_of_arms):
    (site,) = worded(Folder(cases(), ["site"]), predictions_of_arms, 1)
    assert [group["value"] for group in site["groups"]] == ["A", "B"]
    assert [group["n_patients"] for group in site["groups"]] == [120, 120]
    for group in site["groups"]:
        assert group["arms"]["good"]["low"] <= group["arms"]["good"]["estimate"] <= group["arms"]["good"]["high"]
        assert group["arms"]["good"]["estimate"] > 0.9 > group["arms"]["poor"]["estimate"]
    assert [(test["a"], test["b"]) for test in site["tests"]] == [("good", None), ("poor", None), ("good", "poor")]


def test_a_difference_that_holds_at_one_site_only_is_found(predictions_of_arms):
    """The poor arm is as good as the other at site A."""
    table = predictions_of_arms
    first = np.char.lstrip(table.case, "c").astype(int) < 120
    better = np.where((table.arm == "poor") & first, 2.5 * (table.truth - 0.5), 0.0)
    positive = 1 / (1 + np.exp(-(np.log(table.scores[:, 1] / table.scores[:, 0]) + better * 1.5)))
    corrected = dataclasses.replace(table, scores=np.stack([1 - positive, positive], axis=1))
    (site,) = worded(Folder(cases(), ["site"]), corrected, 1)
    found = {(test["a"], test["b"]): test["p_adjusted"] for test in site["tests"]}
    assert found["good", "poor"] < 0.05
    assert found["good", None] >= 0.05
    words = variation_in_words(site["tests"])
    assert "The difference in AUC of good and poor by site: varies more than chance explains" in words
    assert "For the others no variation was shown (1 test, smallest adjusted p" in words


def test_a_control_arm_and_many_arms():
    assert _compared(["a", "b", "c"], "b") == [("a", "b"), ("c", "b")]
    assert _compared([str(k) for k in range(7)], "all") == []
    assert _compared(["a", "c"], "b") == []


def test_small_groups_and_missing_values_are_named(predictions_of_arms):
    rows = tuple(row | {"site": "rare" if i < 6 else "" if i < 40 else "A"} for i, row in enumerate(cases()))
    (site,) = worded(Folder(rows, ["site"]), predictions_of_arms, 1)
    values = {group["value"]: group for group in site["groups"]}
    assert "for an estimate" in values["rare"]["reason"]
    assert NOT_STATED in values
    figure = subgroup_figure(site, ["good", "poor"], {}, "AUC", "nodule")
    assert "6 patients, 6 nodules: too few for an estimate" in str(figure.panels[0])
    assert any(row[0] == "rare" and row[4] is None for row in figure.rows)


def test_names_are_written_for_people():
    assert words_of("diameter_mm") == "diameter (mm)"
