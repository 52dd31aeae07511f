import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from equipoise.protocol import TrainingSection
from equipoise.report.results.warnings import other_budgets
from equipoise.report.summary import results_of
from equipoise.report.text.methods import budget_in_words, methods, other_kinds
from equipoise.report.text.methods_statistics import _undecided, _unseen
from equipoise.report.text.reasons import sentence
from equipoise.runfolder.read import read_folder

Make = Callable[..., Path]


def _text(folder: Path) -> tuple[str, list[str]]:
    run = read_folder(folder)
    return methods(results_of(run), run.lock)


NNUNET = {"name": "theirs", "model": "nnunet", "optimizer": None}


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        ({"minutes": 5}, "5 minutes"),
        ({"epochs": 1, "steps_per_epoch": 1}, "1 epoch of 1 update"),
        ({}, "8 epochs of 250 updates"),
    ],
)
def test_an_arm_with_another_budget_is_told_in_the_text_and_as_a_warning(settings, budget) -> None:
    arms = [{"name": "mine", "model": "unet"}, NNUNET | {"settings": {"model": settings}}]
    words = budget_in_words(arms)
    assert words == "an equal budget of epochs for all arms but theirs, which had another budget"
    jobs = [SimpleNamespace(arm="mine", done={"epochs": 8}), SimpleNamespace(arm="theirs", done={"epochs": 1})]
    (reason,) = other_budgets(SimpleNamespace(jobs=jobs), arms)
    assert f"theirs was trained for {budget}, which is another budget than the 8 epochs of the networks" in sentence(
        reason
    )
    both = [arms[1], arms[1] | {"name": "again"}]
    assert other_budgets(SimpleNamespace(jobs=jobs), both) == []
    assert budget_in_words(both).startswith("an equal budget of ")
    assert other_budgets(SimpleNamespace(jobs=jobs), arms[:1]) == []
    other = [*both, NNUNET | {"name": "longer", "settings": {"model": {"minutes": 9}}}]
    assert len(other_budgets(SimpleNamespace(jobs=jobs), other)) == 3
    assert budget_in_words(other) == "unequal budgets"


def test_the_guard_that_withheld_a_verdict_is_in_the_paragraph() -> None:
    pair = {"verdict": "not_enough_data", "unseen_failures": {"arm": "a"}, "withheld": "a_better"}
    results = {"comparisons": [pair, pair | {"withheld": None}], "endpoints": {"margin": 0.03}}
    text = _unseen(results)
    assert text.startswith("A verdict had also to hold with failures that the test patients do not exclude")
    assert "1 of 2 comparisons had no verdict for this reason" in text
    assert "nor to be equivalent and pairs whose verdict such failures could undo are" in _undecided(results)
    assert _unseen({**results, "comparisons": [pair]}).endswith("; the comparison had no verdict for this reason.")
    calm = {"comparisons": [pair | {"unseen_failures": None, "withheld": None}], "endpoints": {"margin": None}}
    assert _unseen(calm) == ""
    assert "such failures" not in _undecided(calm)


@pytest.mark.long
def test_the_data_bear_the_name_of_the_trial_and_the_budget_its_numbers(make_folder: Make) -> None:
    """ "pairs" is a way to read files, and no cohort that a reader of a paper could look up."""
    run = read_folder(make_folder(patients=60))
    results = results_of(run)
    results["cohort"]["name"] = run.lock["cohort"]["name"] = "pairs"
    text, _ = methods(results, run.lock, TrainingSection(epochs=20, batch_size=8, accumulate=2))
    assert f"from the cohort of the trial {run.lock['name']}" in text
    assert "an equal budget of 20 epochs in batches of 8 (2 batches to an update); the epoch" in text


@pytest.mark.long
def test_references_are_numbered_as_they_appear(make_folder: Make) -> None:
    text, references = _text(make_folder(patients=120))
    cited = [int(number) for group in re.findall(r"\[([\d,]+)\]", text) for number in group.split(",")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(references) + 1))
    assert references[0].startswith("Armato SG")
    assert any(reference.startswith("Hillis SL") for reference in references)


@pytest.mark.long
def test_the_paragraph_says_what_was_done(make_folder: Make) -> None:
    text, _ = _text(make_folder(patients=120))
    for words in (
        "no patient in more than one part", "seeds 0, 1, 2", "primary endpoint was the AUC", "margin of ±0.030",
        "interval recovered from those of both arms",
        "The test set was opened once.", "unet-adam (unet with adam)", "1,702 nodules were excluded", "torch 2.15.0",
    ):  # fmt: skip
        assert words in text


@pytest.mark.long
def test_other_cohorts_do_not_cite_this_one(make_folder: Make) -> None:
    run = read_folder(make_folder(patients=60))
    results = results_of(run)
    results["cohort"]["name"] = run.lock["cohort"]["name"] = "brats"
    results["cohort"] |= {"folds": 5, "excluded": []}
    results["endpoints"] |= {"primary": "dice", "family": "unet-adam", "margin": None}
    text, references = methods(results, run.lock)
    assert not any("LIDC" in reference for reference in references)
    assert not any("DeLong" in reference for reference in references)
    for words in ("5 folds", "summed within patients", "comparisons with unet-adam", "cases of 60 patients"):
        assert words in text
    assert "excluded" not in text
    assert "margin of" not in text


def test_nnunet_and_ensembles_are_described_as_what_they_are():
    cited = []
    nn = {"name": "nn", "model": "nnunet", "optimizer": None, "settings": {"model": {"minutes": 5}}, "seeds": [0, 1]}
    both = {
        "name": "both",
        "model": "ensemble",
        "optimizer": None,
        "ensemble": ["a", "b"],
        "members": 2,
        "seeds": [0, 2],
    }
    plain = {"name": "a", "model": "unet", "optimizer": "adam"}
    sentences = other_kinds([plain, nn, both], lambda *keys: cited.extend(keys) or "[1]")
    assert cited == ["isensee"]
    assert "by nnU-Net [1] on the same prepared training and validation cases, within 5 minutes" in sentences[0]
    assert "ensemble of 2 runs of each of a and b" in sentences[1]
    assert "each of its 2 ensembles per fold has its own runs" in sentences[1]
    assert len(sentences) == 2
