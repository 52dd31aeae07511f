import fcntl
import json
import os
import time

import pytest

from equipoise.live.holder import LOCKS, is_held


@pytest.mark.skipif(not LOCKS.exists(), reason="only Linux lists the locks of its processes")
def test_a_lock_is_seen_and_not_touched(tmp_path):
    assert is_held(tmp_path) is False
    with (tmp_path / ".claim").open("w") as file:
        assert is_held(tmp_path) is False
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_held(tmp_path) is True
    assert is_held(tmp_path) is False


def test_a_lease_holds_as_long_as_it_is_renewed(tmp_path):
    lease = tmp_path / ".lease-000001"
    lease.write_text("{}")
    assert is_held(tmp_path) is True
    old = time.time() - 600
    os.utime(lease, (old, old))
    assert is_held(tmp_path) is False


def test_another_machines_locks_cannot_be_known(tmp_path):
    (tmp_path / ".claim").touch()
    locks = tmp_path / "locks"
    locks.write_text("")
    assert is_held(tmp_path, locks) is False
    job = tmp_path / "jobs" / "a" / "0-0"
    job.mkdir(parents=True)
    (job / ".writer.json").write_text(json.dumps({"host": "elsewhere"}))
    assert is_held(tmp_path, locks) is None
    assert is_held(tmp_path, tmp_path / "none") is None
