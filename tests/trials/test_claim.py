"""A run folder on a file system without locks is held by a lease."""

import errno
import fcntl
import json
import logging
import os
import sys

import pytest

from equipoise.errors import EquipoiseError, Superseded
from equipoise.runfolder import lease as lease_module
from equipoise.runfolder.lease import TAKEN_AFTER_SECONDS, Lease
from equipoise.runfolder.ledger import LOCKED, Ledger
from equipoise.runfolder.ownership import RUN, prove_ours
from equipoise.trials.claim import claimed, refuse_in_use


@pytest.fixture
def no_locks(monkeypatch):
    def refuses(_handle, _operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuses)


class Clock:
    """A clock that runs only while somebody waits; `meanwhile` happens beside it."""

    def __init__(self, meanwhile=lambda: None):
        self.now, self.meanwhile = 0.0, meanwhile

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        self.meanwhile()


def taken(folder, clock):
    return Lease.taken(folder, clock, clock.wait)


def elsewhere(folder):
    """Make the newest lease that of a process on another machine."""
    file = max(folder.glob(".lease-0*"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"host": "node7", "boot": "other"}))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_lease_holds_and_nothing_is_left_in_the_way(no_locks, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "equipoise"), claimed(tmp_path / "run") as held:
        held()
        assert names(tmp_path / "run") == [".lease-000001"]
        assert not prove_ours(tmp_path / "run", RUN), "a new folder"
    assert names(tmp_path / "run") == []
    assert "does not support locks (No locks available)" in caplog.text


def test_where_locks_work_no_lease_is_made(tmp_path):
    with claimed(tmp_path) as held:
        held()
        assert names(tmp_path) == [".claim"]


def test_a_folder_that_another_run_holds_is_refused_before_it_is_claimed(tmp_path):
    refuse_in_use(tmp_path / "new")
    with claimed(tmp_path), pytest.raises(EquipoiseError, match="in use by another run"):
        refuse_in_use(tmp_path)
    refuse_in_use(tmp_path)
    with claimed(tmp_path):  # and the question holds nothing
        pass
    assert names(tmp_path) == [".claim"]


def test_a_system_without_locks_has_no_answer_before_the_claim(no_locks, tmp_path):
    (tmp_path / ".claim").write_bytes(b"")
    refuse_in_use(tmp_path)


def test_a_claim_of_before_stays(no_locks, tmp_path):
    (tmp_path / ".claim").write_bytes(b"")
    with claimed(tmp_path):
        assert names(tmp_path) == [".claim", ".lease-000001"]


def test_a_system_without_fcntl_takes_a_lease(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with claimed(tmp_path):
        assert names(tmp_path) == [".lease-000001"]


def test_another_error_of_the_lock_is_told(monkeypatch, tmp_path):
    def fails(_handle, _operation):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(EquipoiseError, match="cannot be written"), claimed(tmp_path):
        pass


def test_a_lease_that_is_renewed_is_not_taken(tmp_path):
    with taken(tmp_path, Clock()) as first:
        elsewhere(tmp_path)
        clock = Clock(lambda: os.utime(first.file))
        sentence = r"in use by another run \(process \d+ on node7"
        with pytest.raises(EquipoiseError, match=sentence), taken(tmp_path, clock):
            pass
        assert clock.now < 30
        first.check()


def test_a_lease_without_renewal_is_taken_after_two_minutes_and_its_holder_stops(tmp_path, caplog):
    clock = Clock()
    with taken(tmp_path, Clock()) as first:
        elsewhere(tmp_path)
        os.utime(first.file, (2e9, 2e9))  # a clock that runs ahead says nothing
        ledger = Ledger(tmp_path)
        ledger.held = first.check
        with caplog.at_level(logging.WARNING, "equipoise"), taken(tmp_path, clock) as second:
            assert clock.now >= TAKEN_AFTER_SECONDS
            assert (second.number, names(tmp_path)) == (2, [".lease-000002"])
            with pytest.raises(Superseded, match="taken over by another run"):
                ledger.append(LOCKED)
            second.check()
        with pytest.raises(Superseded):
            first.check()
    assert names(tmp_path) == []
    assert caplog.text.count("waiting up to two minutes") == 1


def test_of_two_that_take_over_one_gets_it(tmp_path, monkeypatch):
    other, link = Lease(tmp_path, 2, "f" * 32), Lease._link

    def late(self):
        """The other is faster by a moment."""
        if not other.file.exists():
            assert link(other)
            elsewhere(tmp_path)
        return link(self)

    with taken(tmp_path, Clock()) as first:
        elsewhere(tmp_path)
        monkeypatch.setattr(Lease, "_link", late)
        clock = Clock()
        with taken(tmp_path, clock) as third:
            assert third.number == 3, "the loser waits for the winner in turn"
            assert clock.now >= 2 * TAKEN_AFTER_SECONDS
        with pytest.raises(Superseded):
            first.check()


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(tmp_path):
    dead = Lease(tmp_path, 1, "a" * 32)
    assert dead._link()
    dead.file.write_text(json.dumps(json.loads(dead.file.read_text()) | {"pid": 2**22 + 1}))
    clock = Clock()
    with taken(tmp_path, clock) as lease:
        assert (lease.number, clock.now) == (2, 0)


@pytest.mark.parametrize("content", ["", "[]", "{", "{}"])
def test_a_damaged_lease_is_taken_in_time(tmp_path, content):
    (tmp_path / ".lease-000004").write_text(content)
    clock = Clock()
    with taken(tmp_path, clock) as lease:
        assert lease.number == 5
        assert clock.now >= TAKEN_AFTER_SECONDS


def test_a_holder_renews_its_file_and_makes_no_new_one(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "RENEWED_SECONDS", 0.001)
    with taken(tmp_path, Clock()) as lease:
        os.utime(lease.file, (1, 1))
        while lease.file.stat().st_mtime == 1:
            pass
        lease.file.unlink()
    assert names(tmp_path) == []


def test_without_links_either_the_run_is_refused_in_one_sentence(no_locks, monkeypatch, tmp_path):
    def refuses(_source, _target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    with pytest.raises(EquipoiseError, match="neither locks nor hard links"), claimed(tmp_path / "run"):
        pass
    assert names(tmp_path / "run") == []
