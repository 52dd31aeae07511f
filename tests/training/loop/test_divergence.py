"""Which finite losses are a divergence: what a trained network showed, and what an exploded one shows."""

import math

import pytest

from equipoise.training.loop.divergence import guessing_loss, refuse_divergence
from equipoise.training.loop.ending import DivergedError


def rows(*pairs):
    return [{"train_loss": train, "validation_loss": validation} for train, validation in pairs]


# As recorded: a small residual network after 44 updates of a study of 3 optimizers; the class shares have .582.
EARLY = rows((0.2821, 4.2487), (0.1608, 4.6883))


def test_a_validation_loss_before_its_statistics_have_settled_is_no_divergence():
    note = refuse_divergence(EARLY, 1, 0.582, 0.693)
    assert note == (
        "the validation loss of its chosen epoch, 4.25, is over 5 times that of the class shares, 0.582, but its "
        "training loss, 0.161, did not diverge"
    )


def test_losses_that_rose_together_are_a_divergence():
    with pytest.raises(DivergedError, match="last training loss, 3e.05, over 5 times that of guesses, 0.693"):
        refuse_divergence(rows((20.0, 9e3), (3e5, 8e4)), 2, 0.582, 0.693)
    with pytest.raises(DivergedError, match="no epoch had a finite"):
        refuse_divergence(rows((0.2, math.nan)), None, 0.582, 0.693)


def test_a_network_that_was_of_use_before_it_exploded_is_kept():
    assert refuse_divergence(rows((0.5, 0.4), (3e5, 8e4)), 1, 0.582, 0.693) is None
    assert refuse_divergence(rows((3e5, 8e4)), 1, None, None) is None


def test_a_network_that_has_not_learnt_a_rare_class_yet_is_no_divergence():
    """One case of a hundred: shares have a loss of .056, and an untrained network begins at log 2."""
    start = guessing_loss(0.056, 2, "cross-entropy")
    assert start == pytest.approx(math.log(2))
    assert refuse_divergence(rows((0.69, 0.68)), 1, 0.056, start) is not None
    assert guessing_loss(1.4, 2, "cross-entropy") == 1.4
    assert guessing_loss(0.2, 4, "own:loss") == 0.2
    assert guessing_loss(None, 2, "cross-entropy") is None
