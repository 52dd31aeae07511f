"""Calls side by side give their results in order, and what one raises."""

import threading
import time

import pytest

from equipoise.cohorts.formats.alarm import Alarm
from equipoise.cores import available_cores, side_by_side


def test_the_environment_sets_the_cores(monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CORES", "3")
    assert available_cores() == 3


@pytest.mark.parametrize("cores", ["1", "3"])
def test_results_come_in_order_and_errors_in_their_turn(monkeypatch, cores):
    monkeypatch.setenv("EQUIPOISE_CORES", cores)
    assert list(side_by_side(lambda one: one * one, range(100))) == [one * one for one in range(100)]
    made = []

    def divide(one):
        made.append(one)
        return 6 // one

    results = side_by_side(divide, [3, 2, 0, *range(1, 400)])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert len(made) < 60, "what was not begun is dropped"
    assert list(side_by_side(abs, [])) == []


def test_an_alarm_rings_once_unless_it_is_cancelled():
    alarm, rung = Alarm(), threading.Event()
    alarm.set_in(60, rung.set)
    alarm.cancel()
    alarm.set_in(0.01, rung.set)
    assert rung.wait(5)
    rung.clear()
    alarm.set_in(0.02, rung.set)
    alarm.cancel()
    time.sleep(0.06)
    assert not rung.is_set()
