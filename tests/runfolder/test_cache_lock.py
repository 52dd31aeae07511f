"""Thirty-two processes write one cache at once, and some are killed: no row of the others is lost or torn."""

import os
import random
import signal
import time

import pytest

from equipoise.cohorts import store
from equipoise.runfolder import opening_registry, registry_file
from equipoise.runfolder.cache_lock import locked
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.opening_registry import register
from equipoise.runfolder.place import Place
from equipoise.statistics.seed_spread import Design, recall
from equipoise.trials.spread_memory import keep_spread

WRITERS, KILLED = 32, 3
parted = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes part by fork")


def side_by_side(work) -> list[int]:
    """Do `work(number)` in forked processes, kill some of them, and return those that came to their end."""
    started = {}
    for number in range(WRITERS):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        started[pid] = number
    chance = random.Random(0)
    for pid in chance.sample(sorted(started), KILLED):
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
    codes = {number: os.waitpid(pid, 0)[1] for pid, number in started.items()}
    assert set(codes.values()) <= {0, signal.SIGKILL}, codes
    return [number for number, code in codes.items() if code == 0]


@parted
def test_a_lock_of_a_process_that_ended_is_free(tmp_path):
    pid = os.fork()
    if pid == 0:
        with locked(tmp_path / "cache", "x.lock"):
            os._exit(0)
    os.waitpid(pid, 0)
    with locked(tmp_path / "cache", "x.lock") as folder:
        assert folder == tmp_path / "cache"


@parted
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # other tests of this process may have threads
def test_no_spread_between_runs_is_lost(tmp_path):
    file = tmp_path / "cache" / "seed-spreads.json"

    def design(number: int) -> Design:
        return Design(f"c{number}", "auc", ("no", "yes"), ("unet",), 12)

    def work(number: int) -> None:
        variance = {"endpoint": "auc", "seed_sd": 0.01 * (number + 1), "seed_df": 4}
        keep_spread({"protocol_sha256": f"p{number}", "variance": variance}, design(number), file)

    for number in side_by_side(work):
        assert recall(file, design(number)).sd == pytest.approx(0.01 * (number + 1))


@parted
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_opening_of_a_test_set_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    lock = {
        "protocol_sha256": "p", "cohort": {"fingerprint": "f"}, "name": "n", "question": "q", "arms": [], "seeds": [0],
        "endpoints": {"primary": "auc"},
    }  # fmt: skip

    def work(number: int) -> None:
        (tmp_path / str(number)).mkdir()
        ledger = Ledger(tmp_path / str(number))
        event = ledger.append(TEST_OPENED, jobs=[])
        register(
            lock,
            OpenedCases((f"case {number}",) * 2000, ("",) * 2000),
            Place(tmp_path / str(number), None, None),
            ledger,
            event,
        )

    ended = side_by_side(work)
    kept = {row["cases"][0] for row in opening_registry._rows()}
    assert {f"case {number}" for number in ended} <= kept
