"""The model card: every item is marked, nothing of the user's breaks its table."""

import re

import pytest

from equipoise.report.study.tables import Table
from equipoise.report.text.model_card import AUTHOR, OPEN, RUN, _classes, bundle_card, run_card

CONTRACT = {"regions": [["organ", [1]]], "channels": ["image"], "classes": ["background", "organ"], "oriented": True}
LIMITS = {"cases": 4, "spacing_mm": {"low": [1.0], "high": [2.0]}, "sides": {"low": [5], "high": [9]},
          "levels": {"low": [[0.0, 1.0, 2.0]], "high": [[1.0, 2.0, 3.0]]}}  # fmt: skip


def record(**evidence):
    """A record as `export` makes it."""
    said = {
        "arm": "net", "trial": "toy", "question": "a | b?\nor c", "endpoint": "dice", "estimate": 0.8, "low": 0.7,
        "high": None, "patients": 12, "this_run": 0.81, "baseline": {"reason": "better."}, "exploratory": False,
        "exploratory_reasons": [], "comparisons": [{"other": "rival", "reason": "tied."}], "overruled": [],
        "although": "",
    }  # fmt: skip
    return {
        "contract": CONTRACT, "limits": LIMITS, "evidence": said | evidence,
        "network": {"name": "unet", "settings": {"preset": "tiny"}, "parameters": 7},
        "provenance": {"job": "0-1", "job_chosen_by": "the median", "protocol_sha256": "p", "ledger_head": "l",
                       "versions": {"torch": "2"}},
        "reading": {"cases": 3, "with_files": 0, "alike": 0},
    }  # fmt: skip


PARITY = {
    "reproduction": {"difference": 0.0, "rows": 9},
    "onnx": {"cases": 5, "probability": 1e-7, "changed": 1, "changed_clearly": 0, "decisions": 99, "unit": "voxels",
             "endpoint": {"torch": 0.81, "onnx": 0.81}},
}  # fmt: skip


def test_every_item_says_where_it_comes_from():
    text = bundle_card(record(), PARITY)
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| item")]
    assert all(line.endswith((f"| {RUN} |", f"| {AUTHOR} |")) for line in rows)
    assert all((f"| {OPEN} |" in line) == line.endswith(f"| {AUTHOR} |") for line in rows)
    assert sum(line.endswith(f"| {AUTHOR} |") for line in rows) >= 9
    assert "| question of the trial | a \\| b? or c | from the run |" in rows
    assert "0.800 (95 % interval 0.700 to none), 12 patients" in text
    assert "1 of 99 decisions changed (voxels), 0 of them not at a boundary" in text
    assert "not compared" in text
    assert "exported despite" not in text
    assert "**Research only.**" in text


def test_a_card_says_why_its_trial_is_exploratory():
    assert "| exploratory | no | from the run |" in bundle_card(record(), PARITY)
    reasons = ["the test set was opened 3 times", "one pair of cases | of one patient"]
    text = bundle_card(record(exploratory=True, exploratory_reasons=reasons), PARITY)
    row = "| exploratory | yes: the test set was opened 3 times; one pair of cases \\| of one patient | from the run |"
    assert row in text.splitlines()


def test_a_card_says_how_often_its_network_failed():
    known = record(failures=["failure rate 24 % (95 % interval 14 to 38 %; a case fails with a Dice below 0.1)"])
    row = f"| failures on the test cases | {known['evidence']['failures'][0]} | {RUN} |"
    text, before = bundle_card(known, PARITY).splitlines(), bundle_card(record(), PARITY).splitlines()
    assert row in text
    # The card of a bundle of before, whose record knows no failures, is compared with the one made again.
    assert [line for line in text if line != row] == before
    assert f"| known failures, and groups with lower performance | {OPEN} | {AUTHOR} |" in text


def items(text):
    return [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| item")]


def test_the_card_of_a_run_says_what_a_run_knows():
    lock = {"cohort": {"channels": ["t1"], "classes": {"well": 3, "ill": 4}, "regions": []}, "protocol_sha256": "p"}
    arm = {"name": "net", "model": "unet", "optimizer": "adam", "settings": {"model": {"preset": "tiny"}},
           "parameters": 7, "seeds": [0, 1], "failed_jobs": 1}  # fmt: skip
    cohort = {"name": "toy", "cases": 7, "patients": 5, "split": {"train": 4, "test": 3}, "folds": 1, "notes": [],
              "split_patients": {"train": 3, "test": 2}, "excluded": [{"cases": 2, "reason": "no label"}]}  # fmt: skip
    results = {"arms": [arm], "untuned": [], "cohort": cohort}
    evidence = record(overruled=["it did not beat size-rule"])["evidence"]
    text = run_card(lock, results, evidence, "equipoise export run --arm net")
    rows = items(text)
    assert all(line.endswith((f"| {RUN} |", f"| {AUTHOR} |")) for line in rows)
    assert all((f"| {OPEN} |" in line) == line.endswith(f"| {AUTHOR} |") for line in rows)
    for part in (
        "`equipoise export run --arm net` writes", "seeds 0, 1 in 1 fold, 1 without a result", "3 of 2 patients",
        "2 cases: no label", "reasons against its use | it did not beat", "well, ill",
    ):  # fmt: skip
        assert part in text
    assert "of the exported run" not in text
    assert "a bundle cannot hold this task" in run_card(lock, results, evidence, None)
    # one maker: what both cards ask their author is the same, but for what only images say
    open_items = [{line for line in items(one) if AUTHOR in line} for one in (text, bundle_card(record(), PARITY))]
    assert open_items[0] == open_items[1]


def test_what_was_overruled_is_printed_with_its_reason():
    text = bundle_card(record(overruled=["it did not beat size-rule"], although="for a study of failures"), PARITY)
    assert "| exported despite | it did not beat size-rule: for a study of failures | from the run |" in text


def test_no_name_puts_markup_into_a_card():
    evil = "<script>alert(1)</script> ![x](http://y) [z](javascript:1) | & \x1b[2J"
    rows = {"arm": evil, "trial": evil, "question": evil, "endpoint": evil, "exploratory_reasons": [evil]}
    text = bundle_card(record(**rows, exploratory=True, comparisons=[{"other": evil, "reason": evil}]), PARITY)
    assert "<" not in text
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[\[\]]", text)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in text.splitlines() if line.startswith("| "))


def test_neither_does_one_into_the_tables_of_a_study():
    table = Table("<i>", ("a", "b|c"), (("<script>", "[x](y)"),), "<b>")
    assert table.markdown().splitlines() == [
        "### &lt;i&gt;", "| a | b\\|c |", "| --- | --- |", "| &lt;script&gt; | \\[x\\](y) |", "", "&lt;b&gt;",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cohort", "classes"),
    [
        # The names of a bundle's contract: the classes of the cohort, whose masks no case is counted by.
        ({"classes": {}, "class_names": ["background", "tumour"], "regions": ["tumour"]}, "background, tumour"),
        ({"classes": {"benign": 3, "malignant": 2}, "class_names": ["benign", "malignant"]}, "benign, malignant"),
        # Locks of earlier versions.
        ({"classes": {}, "regions": ["tumour"]}, "background and the regions below"),
        ({"classes": {"benign": 3}}, "benign"),
        ({"classes": {}}, "none"),
    ],
)
def test_the_card_of_a_run_names_the_classes_of_its_bundle(cohort, classes):
    assert _classes(cohort) == classes


def test_a_card_states_what_the_trial_recommends():
    text = bundle_card(record(recommendation="not recommended: net is left out."), PARITY)
    assert "| recommendation | not recommended: net is left out. | from the run |" in text
    assert "| recommendation |" not in bundle_card(record(), PARITY)  # a bundle of an earlier version
