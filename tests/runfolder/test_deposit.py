"""A ledger that was written anew as a whole agrees with itself; a deposit of its head shows it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from runfolder.forgery import digest, edit_events, edit_json, events_of, rechain, rehash

from equipoise.cli import main
from equipoise.errors import EquipoiseError
from equipoise.runfolder.deposit import read_deposit, verification, write_deposit
from equipoise.runfolder.read import read_folder

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-run"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "run"))


def test_maps_of_an_older_ledger_are_a_note(run: Path) -> None:
    state = verification(read_folder(run))
    assert state["verified"]
    assert [note.rpartition(" ")[2] for note in state["notes"]] == ["attributions.json", "attributions.npz"]


@pytest.fixture
def deposit(run: Path, tmp_path: Path) -> Path:
    write_deposit(read_folder(run), tmp_path / "deposit.json")
    return tmp_path / "deposit.json"


def other_margin(run: Path) -> None:
    """Another margin in the protocol, the lock and the ledger."""
    from equipoise.protocol import Protocol

    protocol = run / "protocol.toml"
    protocol.write_text(protocol.read_text().replace("[endpoints]", "[endpoints]\nmargin = 0.9"))

    def change(lock: dict) -> None:
        lock["endpoints"]["margin"] = 0.9
        lock["protocol_sha256"] = Protocol.load(protocol).sha256()
        lock["protocol_file_sha256"] = digest(protocol)

    edit_json(run / "lock.json", change)
    rehash(run)


def failed_everywhere(run: Path) -> None:
    """A run that somebody did not like, called failed in its outcome, its end, the opening and the predictions."""
    edit_json(run / "jobs/unet/0-1/done.json", lambda done: done.update(status="failed", reason="it diverged"))
    (run / "jobs/unet/0-1/predictions.parquet").unlink()

    def change(events: list[dict]) -> None:
        for event in events:
            if event["data"].get("job") == "unet/0-1":
                event["kind"], event["data"]["reason"] = "failed", "it diverged"
            if event["kind"] == "test opened":
                event["data"]["jobs"].remove("unet/0-1")
            if event["kind"] == "predicted":
                del event["data"]["sha256"]["unet/0-1"]

    edit_events(run, change)
    rehash(run)


@pytest.mark.long
@pytest.mark.parametrize("forge", [other_margin, failed_everywhere])
def test_a_whole_forgery_is_shown_by_the_deposit_alone(run: Path, deposit: Path, forge: Callable[[Path], None]) -> None:
    assert verification(read_folder(run), deposit)["verified"]
    forge(run)
    assert verification(read_folder(run))["verified"], "or README says too much of what the ledger does not prove"
    state = verification(read_folder(run), deposit)
    assert not state["verified"]
    assert "is not the one that was deposited" in state["problems"][0]


def test_a_removed_second_opening_is_shown(run: Path, tmp_path: Path) -> None:
    events = events_of(run)
    opened = next(event for event in events if event["kind"] == "test opened")
    last = events[-1]
    rechain(run, [*events, {**opened, "time": last["time"]}, {**last}])
    folder = read_folder(run)
    assert folder.ledger.test_openings == 2
    write_deposit(folder, tmp_path / "deposit.json")
    rechain(run, events)
    assert read_folder(run).ledger.test_openings == 1
    (problem,) = verification(read_folder(run), tmp_path / "deposit.json")["problems"]
    assert "has 10 events, and 12 were deposited" in problem


def test_events_after_the_deposit_do_not_contradict_it(run: Path, deposit: Path) -> None:
    events = events_of(run)
    opened = next(event for event in events if event["kind"] == "test opened")
    rechain(run, [*events, {**opened, "time": events[-1]["time"]}, dict(events[-1])])
    assert verification(read_folder(run), deposit)["verified"]


@pytest.mark.long
def test_the_command_says_it_and_ends_with_one(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["ledger", "deposit", str(run)]) == 0
    file = tmp_path / "run-deposit.json"
    kept = json.loads(file.read_text())
    assert kept["head"] == events_of(run)[-1]["hash"]
    assert set(kept) >= {"question", "protocol_sha256", "events", "last_event", "test_openings"}
    assert main(["ledger", "verify", str(run), "--deposit", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"verified: head {kept['head']} of 10 events")
    assert main(["ledger", "deposit", str(run)]) == 1
    assert "exists already" in capsys.readouterr().err
    other_margin(run)
    assert main(["ledger", "verify", str(run), "--deposit", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verified"] is False


def test_a_contradicted_folder_is_not_deposited(run: Path, tmp_path: Path) -> None:
    (run / "jobs/unet/0-1/done.json").unlink()
    with pytest.raises(EquipoiseError, match=r"cannot be deposited: jobs/unet/0-1/done.json is missing"):
        write_deposit(read_folder(run), tmp_path / "deposit.json")
    assert not (tmp_path / "deposit.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "equipoise ledger deposit", "events": "x"}', "[" * 9999])
def test_a_file_that_is_no_deposit_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(EquipoiseError, match="equipoise ledger deposit"):
        read_deposit(tmp_path / "file")
    with pytest.raises(EquipoiseError, match="is not readable"):
        read_deposit(tmp_path / "nowhere")
