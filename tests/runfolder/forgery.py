"""Edits of a finished run folder by somebody who wants to fool its readers, and who knows how the ledger is made."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.runfolder.ledger import _hash

Events = list[dict[str, Any]]


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def events_of(run: Path) -> Events:
    return [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]


def rechain(run: Path, events: Events) -> None:
    """Write events with numbers and hashes that follow from each other, as the short script of a forger does."""
    previous, lines = "", []
    for number, event in enumerate(events):
        event |= {"number": number, "previous": previous}
        previous = event["hash"] = _hash(number, event["time"], event["kind"], event["data"], previous)
        lines.append(json.dumps(event, sort_keys=True) + "\n")
    (run / "ledger.jsonl").write_text("".join(lines))


def edit_events(run: Path, change: Callable[[Events], Events | None]) -> None:
    events = events_of(run)
    rechain(run, change(events) or events)


def rehash(run: Path) -> None:
    """Put the hashes of the files as they are now into every event, and chain them anew."""

    def change(events: Events) -> None:
        for event in events:
            data = event["data"]
            if event["kind"] == "locked":
                data["lock_sha256"], data["cases_sha256"] = digest(run / "lock.json"), digest(run / "cases.csv")
                data["protocol_sha256"] = json.loads((run / "lock.json").read_text())["protocol_sha256"]
            for name in data.get("files", {}):
                file = run / ("jobs/" + data["job"] if "job" in data else "") / name
                data["files"][name] = digest(file) if file.is_file() else data["files"][name]
            for job in data.get("sha256", {}):
                file = run / "jobs" / job / "predictions.parquet"
                data["sha256"][job] = digest(file) if file.is_file() else data["sha256"][job]

    edit_events(run, change)


def edit_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content, indent=1))


def edit_table(file: Path, **columns: Callable[[list[Any]], list[Any]]) -> None:
    table = pq.read_table(file).to_pydict()
    for name, change in columns.items():
        table[name] = change(table[name])
    pq.write_table(pa.table(table), file)
