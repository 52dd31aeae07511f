"""A plan whose networks are hardly trained says so before training and in the report."""

from types import SimpleNamespace

import pytest

from equipoise.protocol import Arm, TrainingSection
from equipoise.report.text.reasons import sentence
from equipoise.training.data.batches import Feed
from equipoise.trials.training_length import length_record, short_training


def trial(epochs, cases=(40, 32), *, masks=True, pretrained=None, members=()):
    """Two folds with these numbers of training cases, in batches of 4 pictures."""
    arm = SimpleNamespace(pretrained=pretrained, nnunet=None)
    training = TrainingSection(epochs=epochs, batch_size=4)
    jobs = [
        SimpleNamespace(arm=arm, training=training, spatial_dims=2, fold=fold, members=members) for fold in range(2)
    ]
    folds = tuple(SimpleNamespace(train=range(count)) for count in cases)
    record = SimpleNamespace(has_masks=masks)
    return SimpleNamespace(jobs=jobs, folds=folds, cohort=SimpleNamespace(task_record=record))


@pytest.mark.parametrize(("epochs", "masks", "short"), [(124, True, True), (125, True, False), (63, False, False)])
def test_updates_of_the_smallest_fold_decide(epochs, masks, short):
    # 32 cases in batches of 4 are 8 updates an epoch: 125 epochs are 1,000 updates, 63 are 504.
    planned = trial(epochs, masks=masks)
    assert (short_training(planned) is not None) is short
    assert length_record(planned) == ({"short_training": {"updates": 992, "fewest": 1000}} if short else {})


@pytest.mark.parametrize("settings", [{}, {"accumulate": 3}, {"patch": 8, "patches_per_case": 5}, {"batch_size": 7}])
def test_updates_are_those_of_the_training(settings):
    section = TrainingSection(epochs=3, **{"batch_size": 4, **settings})
    for cases in (1, 9, 32):
        assert section.updates_of(cases, 2) == 3 * Feed.of(section, 2).steps(cases)


def test_the_sentence_says_what_to_do():
    text = sentence(short_training(trial(10)))
    assert "80 updates each; with fewer than 1,000 a network has hardly begun to learn" in text
    assert "raise training.epochs" in text


def test_trained_weights_and_ensembles_are_not_judged_by_updates():
    assert short_training(trial(1, pretrained="weights")) is None
    assert short_training(trial(1, members=("a",))) is None
    assert Arm(name="a", model="unet").pretrained is None
