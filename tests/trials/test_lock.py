import csv
import json
import subprocess
import sys

import pytest

import equipoise.trials.lock
from equipoise.cohorts.splits.split import split
from equipoise.errors import EquipoiseError, LedgerError
from equipoise.protocol import Protocol
from equipoise.runfolder.paths import CASES, LOCK
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.claim import claimed
from equipoise.trials.lock import lock, refuse_other_plan

TEXT = """
[cohort]
source = "phantom"
[[arms]]
name = "a"
model = "unet"
"""


@pytest.fixture(scope="module")
def plan():
    protocol, cohort = Protocol.parse(TEXT), phantom(cases=60, size=16)
    return protocol, cohort, split(cohort)


def test_locking_twice_finds_the_same_plan(plan, tmp_path):
    first = lock(tmp_path, *plan, {"device": "cpu"})
    content = (tmp_path / LOCK).read_bytes()
    again = lock(tmp_path, *plan, {"device": "another machine"})
    assert (tmp_path / LOCK).read_bytes() == content
    assert again.events == first.events
    assert (tmp_path / "protocol.toml").read_text() == TEXT


def test_the_plan_names_every_case_once(plan, tmp_path):
    lock(tmp_path, *plan, {})
    fold = json.loads((tmp_path / LOCK).read_text())["split"]["folds"][0]
    names = [case for part in fold.values() for case in part]
    assert sorted(names) == sorted(case.id for case in plan[1].cases)
    rows = list(csv.DictReader((tmp_path / CASES).read_text().splitlines()))
    assert {row["case"] for row in rows if row["part_0"] == "test"} == set(fold["test"])
    assert {row["label"] for row in rows} <= set(plan[1].classes)


@pytest.mark.parametrize(
    ("text", "cases", "seed", "complaint"),
    [
        (TEXT + "[training]\nepochs = 3\n", 60, 0, "belongs to another protocol"),
        (TEXT, 61, 0, "was locked with other data"),
        (TEXT, 60, 1, "was locked with another split"),
    ],
)
def test_another_plan_is_refused_and_named(plan, tmp_path, text, cases, seed, complaint):
    lock(tmp_path, *plan, {})
    content = (tmp_path / LOCK).read_bytes()
    cohort = phantom(cases=cases, size=16)
    with pytest.raises(LedgerError, match=complaint):
        lock(tmp_path, Protocol.parse(text), cohort, split(cohort, seed=seed), {})
    assert (tmp_path / LOCK).read_bytes() == content


def test_another_protocol_or_cohort_is_refused_before_an_arm_is_tried(plan, tmp_path):
    protocol, cohort = plan[:2]
    refuse_other_plan(tmp_path / "new", protocol, cohort)
    lock(tmp_path, *plan, {})
    refuse_other_plan(tmp_path, protocol, cohort)
    with pytest.raises(LedgerError, match="belongs to another protocol; nothing was overwritten"):
        refuse_other_plan(tmp_path, Protocol.parse(TEXT + "[training]\nepochs = 3\n"), cohort)
    with pytest.raises(LedgerError, match="was locked with other data"):
        refuse_other_plan(tmp_path, protocol, phantom(cases=61, size=16))


def test_other_code_of_ones_own_is_refused(plan, tmp_path):
    lock(tmp_path, *plan, {"code": {"nets:A": "1"}})
    with pytest.raises(LedgerError, match=r"other code of your own modules \(nets:A\); nothing"):
        lock(tmp_path, *plan, {"code": {"nets:A": "2"}})


def test_other_weights_to_start_from_are_refused(plan, tmp_path):
    lock(tmp_path, *plan, {"pretrained": {"a": "1"}})
    with pytest.raises(LedgerError, match="was locked with other pretrained weights"):
        lock(tmp_path, *plan, {"pretrained": {"a": "2"}})


def test_an_edited_lock_is_refused(plan, tmp_path):
    lock(tmp_path, *plan, {})
    file = tmp_path / LOCK
    file.write_text(file.read_text().replace('"margin": 0.03', '"margin": 0.30'))
    with pytest.raises(LedgerError, match="changed after locking"):
        lock(tmp_path, *plan, {})


def test_a_damaged_lock_is_refused(plan, tmp_path):
    lock(tmp_path, *plan, {})
    (tmp_path / LOCK).write_text("{")
    with pytest.raises(LedgerError, match="is not readable"):
        lock(tmp_path, *plan, {})


def test_a_crash_between_lock_and_ledger_is_mended(plan, tmp_path):
    lock(tmp_path, *plan, {})
    (tmp_path / "ledger.jsonl").unlink()
    assert lock(tmp_path, *plan, {}).count("locked") == 1


def test_a_folder_with_other_things_is_refused(plan, tmp_path):
    (tmp_path / "holiday.jpg").write_text("x")
    with pytest.raises(EquipoiseError, match=r"is not empty and holds no run \(it has holiday.jpg\)"):
        lock(tmp_path, *plan, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.jpg"]


@pytest.mark.long
def test_one_run_at_a_time(tmp_path):
    with claimed(tmp_path / "run"):
        lines = ["import sys, pathlib", "from equipoise.trials.claim import claimed"]
        script = "\n".join([*lines, "with claimed(pathlib.Path(sys.argv[1])): pass"])
        command = [sys.executable, "-c", script, str(tmp_path / "run")]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "in use by another run" in result.stderr
    with claimed(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(EquipoiseError, match="cannot be written"), claimed(tmp_path / "file" / "run"):
        pass


def test_a_folder_of_before_goes_on_unless_its_settings_were_drawn_otherwise(plan, tmp_path, monkeypatch):
    (untuned := tmp_path / "untuned").mkdir()
    (tuned := tmp_path / "tuned").mkdir()
    with monkeypatch.context() as earlier:
        earlier.setattr(equipoise.trials.lock, "SCHEMA", 1)
        lock(untuned, *plan, {"tuning": {}})
        lock(tuned, *plan, {"tuning": {"draws": [0.1]}})
    assert lock(untuned, *plan, {"tuning": {}}).events
    content = (tuned / LOCK).read_bytes()
    with pytest.raises(LedgerError, match="with an earlier version, which drew other tuning settings"):
        lock(tuned, *plan, {"tuning": {"draws": [0.2]}})
    assert (tuned / LOCK).read_bytes() == content


def test_the_packages_behind_the_arms_are_locked_and_another_version_is_refused(plan, tmp_path):
    lock(tmp_path, *plan, {"packages": {"timm": "1.0.20"}})
    written = (tmp_path / LOCK).read_bytes()
    assert json.loads(written)["versions"]["timm"] == "1.0.20"
    lock(tmp_path, *plan, {"packages": {"timm": "1.0.20"}})
    with pytest.raises(LedgerError, match=r"locked with timm 1.0.20, and timm 1.0.31 is installed.*timm==1.0.20"):
        lock(tmp_path, *plan, {"packages": {"timm": "1.0.31"}})
    assert (tmp_path / LOCK).read_bytes() == written


def test_a_lock_of_an_earlier_version_names_no_package_and_goes_on(plan, tmp_path):
    lock(tmp_path, *plan, {})
    lock(tmp_path, *plan, {"packages": {"timm": "1.0.31"}})
