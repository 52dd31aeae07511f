"""A trial on test cases that were opened before is called exploratory before it is trained."""

import pytest

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.split import split
from equipoise.protocol import Protocol
from equipoise.report.text.reasons import sentence
from equipoise.runfolder.ledger import TEST_OPENED
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import plan_identity, register, register_predictions
from equipoise.runfolder.place import Place
from equipoise.runfolder.read import read_lock
from equipoise.statistics.reasons import Reason
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials import check as checking
from equipoise.trials.earlier_looks import earlier_looks
from equipoise.trials.fit import fit
from equipoise.trials.lock import lock

TEXT = """
[cohort]
source = "phantom"
[split]
seed = {seed}
{reuse}
[training]
epochs = {epochs}
[[arms]]
name = "a"
model = "{model}"
optimizer = "{optimizer}"
"""
COHORT = phantom(cases=60, size=16)
CARDS = CaseCards(COHORT)


def protocol(seed=0, epochs=5, model="unet", optimizer="adam", reuse=""):
    return Protocol.parse(TEXT.format(seed=seed, epochs=epochs, model=model, optimizer=optimizer, reuse=reuse))


def looks(**plan):
    return earlier_looks(protocol(**plan), COHORT, split(COHORT, seed=plan.get("seed", 0)), CARDS)


@pytest.fixture
def opened(tmp_path):
    """Open the test set of a plan, as a trial does."""

    def act(ends=True, **plan):
        folds, folder = split(COHORT, seed=plan.get("seed", 0)), tmp_path / str(sorted(plan.items()))
        folder.mkdir()
        ledger = lock(folder, protocol(**plan), COHORT, folds, {"device": "cpu", "code": {}})
        event = ledger.append(TEST_OPENED, jobs=[])
        plan = read_lock(folder)
        register(plan, opened_cases(COHORT, folds, CARDS.all()), Place.of(folder, plan), ledger, event)
        if ends:
            register_predictions(plan_identity(plan), ledger.events[0].hash, "equal for equal plans", "trial", event)

    return act


OTHER_ARMS = {"model": "densenet", "optimizer": "sgd"}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({}, None),  # the very same again
        ({"epochs": 9}, "a verdict needs test cases that no trial has opened"),
        ({"seed": 1}, "a verdict needs test cases that no trial has opened"),
        ({"epochs": 9, "reuse": 'reuse = "one cohort for all"'}, "split.reuse does not help where arms are related"),
        (OTHER_ARMS, 'state why before the run: split.reuse = "REASON"'),
        ({**OTHER_ARMS, "reuse": 'reuse = "one cohort for all"'}, None),
    ],
)
def test_earlier_openings_are_told_with_what_helps(opened, plan, words):
    assert looks(**plan) == []
    opened()
    sentences = looks(**plan)
    assert bool(sentences) is (words is not None)
    if words:
        assert sentences[0].startswith("This trial would be exploratory: ")
        assert words in sentences[0]


def test_an_interrupted_opening_of_the_same_plan_is_told_with_what_helps(opened):
    opened(ends=False)
    (text,) = looks()
    assert "of this plan was opened before" in text
    assert text.endswith("end the run that was interrupted, by the same command in its folder, in place of a new one.")


def test_what_was_opened_after_the_same_plan_does_not_count(opened):
    opened()
    opened(epochs=9)
    assert looks() == []
    assert looks(epochs=7)[0].count("2 times before") == 1


def test_a_finished_trial_is_not_told_to_train_longer_without_the_consequence():
    facts = {"updates": 80, "fewest": 1000}
    assert "raise training.epochs" in sentence(Reason("short_training", **facts))
    text = sentence(Reason("short_training", **facts, opened=True))
    assert "raise training.epochs" not in text
    assert "more training.epochs is exploratory on these test cases, which are opened now" in text


@pytest.mark.long
@pytest.mark.usefixtures("jobs_here")
def test_check_and_init_say_so(opened, monkeypatch, tmp_path):
    monkeypatch.setattr(checking, "forecasts_of", lambda *_: [])
    settings = "cases = 60\nsize = 16"
    later = TEXT.format(seed=0, epochs=9, model="unet", optimizer="adam", reuse="").replace(
        'source = "phantom"', f'source = "phantom"\n{settings}'
    )

    def told():
        base = {"trial": {"name": "x"}, "cohort": {"source": "phantom", "cases": 60, "size": 16}}
        return [checking.check(Protocol.parse(later)).warnings, fit(base, tmp_path).sentences]

    assert not any("exploratory" in text for texts in told() for text in texts)
    opened()
    assert [sum("This trial would be exploratory" in text for text in texts) for texts in told()] == [1, 1]
