"""Cards are counted from the file system, and worker processes take them in turn."""

import pytest

from equipoise.engines import local
from equipoise.runfolder import cards as rooms
from equipoise.runfolder.cards import cards, number_of


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two cards and eight cores."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.setattr(rooms, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("EQUIPOISE_CORES", raising=False)
    monkeypatch.setattr(local, "available_cores", lambda: 16)
    return monkeypatch


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,-1,1", 1), ("0,1,2,3", 2), ("GPU-8932f937", 1)],
)
def test_visible_cards_are_counted(machine, visible, count):
    if visible is not None:
        machine.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cards() == count


def test_jobs_share_cards_and_the_time_is_divided_by_cards(machine):
    assert (local.side_by_side(1), local.at_full_speed(1)) == (8, 2)
    assert local.side_by_side(8) == 2
    machine.setenv("EQUIPOISE_CORES", "16")  # said on purpose
    assert (local.side_by_side(1), local.at_full_speed(1)) == (16, 2)
    machine.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (local.side_by_side(1), local.at_full_speed(1)) == (16, 16)


def test_workers_take_the_cards_in_turn(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("EQUIPOISE_WORKER", raising=False)
    assert number_of(2) == 0
    taken = []
    for worker in range(5):
        monkeypatch.setenv("EQUIPOISE_WORKER", str(worker))
        taken.append(number_of(2))
    assert taken == [0, 1, 0, 1, 0]
    assert number_of(0) == 0
    monkeypatch.delenv("EQUIPOISE_WORKER")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert number_of(2) == 1
