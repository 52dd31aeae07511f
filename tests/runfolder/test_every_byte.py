"""Whatever a report reads is in a record: one byte changed in any file of a run folder is named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from runfolder.forgery import digest, edit_events

from equipoise.errors import LedgerError
from equipoise.runfolder.deposit import verification
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.read import read_folder
from equipoise.runfolder.verify import interrupted_maps

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-run"
NO_EVIDENCE = {"README.md", ".equipoise"}
"""What a report does not read."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose ledger has the record of its attribution maps, as this version writes it."""
    run = Path(shutil.copytree(RECORDED, tmp_path / "run"))

    def change(events: list[dict[str, Any]]) -> None:
        events[0]["data"]["record"] = 3
        files = {name: digest(run / name) for name in ("attributions.json", "attributions.npz")}
        events.append({"time": events[-1]["time"], "kind": "explained", "data": {"files": files}})

    edit_events(run, change)
    return run


def problems(run: Path) -> list[str]:
    try:
        return list(verification(read_folder(run))["problems"])
    except LedgerError as error:
        return [str(error)]


@pytest.mark.long
def test_a_changed_byte_is_named_in_every_file(run: Path) -> None:
    state = verification(read_folder(run))
    assert state["verified"]
    assert state["notes"] == []
    files = [file for file in sorted(run.rglob("*")) if file.is_file() and file.name not in NO_EVIDENCE]
    assert {"attributions.json", "attributions.npz", "thumbnails.npz", "history.csv"} <= {file.name for file in files}
    for file in files:
        kept = file.read_bytes()
        place = len(kept) // 2
        file.write_bytes(kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :])
        assert any(file.name in one for one in problems(run)), file
        file.unlink()
        assert any(file.name in one for one in problems(run)), f"{file} removed"
        file.write_bytes(kept)
    assert problems(run) == []


def test_maps_whose_record_is_missing_are_named(run: Path) -> None:
    edit_events(run, lambda events: events[:-1])
    assert [one.partition(";")[0] for one in problems(run)] == [
        "ledger.jsonl does not record attributions.json", "ledger.jsonl does not record attributions.npz",
    ]  # fmt: skip
    assert interrupted_maps(RECORDED, Ledger(RECORDED).events) == (), "an older ledger need not hold them"
