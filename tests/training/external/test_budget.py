"""The budget of an external training: epochs as planned, or processor time, over kills and resumptions."""

import json

import pytest

from equipoise.training.external.budget import Budget, Rows, SpentError


class Clock:
    """A clock that goes on when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def spent(seconds, update, epochs=20):
    """Train on a clock until the time is used up; return the updates of every epoch and the time used."""
    clock, updates = Clock(), []
    budget = Budget(epochs, 250, seconds, "cpu", clock)
    for _ in range(epochs):
        try:
            steps, held_out = budget.begin_epoch()
        except SpentError:
            break
        clock.now += steps * update + held_out * update / 3
        updates.append(steps)
        budget.end_epoch()
    return updates, clock.now - 100.0


@pytest.mark.parametrize("update", [0.01, 0.5, 3.0, 12.0, 70.0])
def test_the_time_is_used_and_hardly_more(update):
    updates, used = spent(300.0, update)
    assert updates[0] == 1
    assert used <= 300.0 + 1.4 * update
    assert used >= 300.0 - max(2 * 1.4 * update, 15.0)


def test_a_budget_of_epochs_is_nnunets_own():
    budget = Budget(3, 250, None, "cpu", Clock())
    assert [budget.begin_epoch() for _ in range(3)] == [(250, 50)] * 3
    assert budget.share_used() == 1.0


def test_the_time_of_earlier_processes_counts():
    clock = Clock()
    budget = Budget(20, 250, 100.0, "cpu", clock)
    row = {"seconds": 50.0, "processor_seconds": 40.0, "budget_seconds": 60.0, "updates": 6.0}
    budget.resume([{**row, "budget_seconds": 30.0}, row])
    assert budget.used() == 60.0
    assert budget.share_used() == pytest.approx(0.6)
    steps, _ = budget.begin_epoch()
    clock.now += 38.0
    assert steps == 1
    after = budget.end_epoch()
    assert after["epoch"] == 3.0
    assert after["budget_seconds"] == pytest.approx(98.0)
    with pytest.raises(SpentError):
        budget.begin_epoch()


def test_rows_without_a_checkpoint_are_cut_off(tmp_path):
    rows = Rows(tmp_path / "progress.jsonl")
    assert rows.read() == rows.cut(2) == []
    for epoch in (1, 2, 3):
        rows.add({"epoch": float(epoch), "train_loss": 0.5})
    with rows.file.open("a") as file:
        file.write('{"epoch": 4.0, "tra')  # a kill while it was written
    assert [row["epoch"] for row in rows.read()] == [1, 2, 3]
    assert [row["epoch"] for row in rows.cut(2)] == [1, 2]
    assert len(rows.file.read_text().splitlines()) == 2


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    rows = Rows(tmp_path / "progress.jsonl")
    with pytest.raises(ArithmeticError, match="not finite in epoch 2"):
        rows.add({"epoch": 2.0, "train_loss": float("nan")})
    assert json.loads(rows.file.read_text())["epoch"] == 2.0
