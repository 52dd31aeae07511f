import json

import pytest

from equipoise.errors import LedgerError
from equipoise.runfolder.ledger import Ledger, first_event
from equipoise.runfolder.paths import LEDGER


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path)
    for number in range(4):
        ledger.append("finished", job=number)
    return ledger


def test_reads_back_what_was_appended(ledger, tmp_path):
    again = Ledger(tmp_path)
    assert again.events == ledger.events
    assert again.count("finished") == 4
    assert again.last("finished").data == {"job": 3}
    assert again.last("failed") is None


@pytest.mark.parametrize("line", [0, 1, 3])
def test_an_edited_line_is_named(ledger, tmp_path, line):
    lines = ledger.path.read_text().splitlines()
    event = json.loads(lines[line])
    event["data"] = {"job": 99}
    lines[line] = json.dumps(event)
    ledger.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(LedgerError, match=f"line {line + 1}"):
        Ledger(tmp_path)


def test_a_removed_line_is_named(ledger, tmp_path):
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(LedgerError, match="line 2"):
        Ledger(tmp_path)


def test_a_rehashed_edit_still_breaks_the_chain(ledger, tmp_path):
    from equipoise.runfolder.ledger import _hash

    lines = ledger.path.read_text().splitlines()
    event = json.loads(lines[1])
    event["data"] = {"job": 99}
    event["hash"] = _hash(event["number"], event["time"], event["kind"], event["data"], event["previous"])
    lines[1] = json.dumps(event)
    ledger.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(LedgerError, match="line 3"):
        Ledger(tmp_path)


def test_a_torn_last_line_is_cut_off(ledger, tmp_path):
    with ledger.path.open("a") as file:
        file.write('{"number": 4, "ti')
    again = Ledger(tmp_path)
    assert len(again.events) == 4
    again.append("predicted")
    assert len(Ledger(tmp_path).events) == 5


def test_a_line_that_is_no_event_is_named(tmp_path):
    (tmp_path / LEDGER).write_text('{"a": 1}\n')
    with pytest.raises(LedgerError, match="not a ledger event"):
        Ledger(tmp_path)


def test_a_reader_changes_nothing_beside_a_writer(ledger, tmp_path):
    with ledger.path.open("ab") as file:
        file.write(b'{"number": 4, "ti')
    before = ledger.path.read_bytes()
    assert len(Ledger(tmp_path).events) == 4
    assert ledger.path.read_bytes() == before


def test_two_writers_are_noticed(ledger, tmp_path):
    other = Ledger(tmp_path)
    ledger.append("finished", job=4)
    with pytest.raises(LedgerError, match="changed by another process"):
        other.append("finished", job=5)
    assert len(Ledger(tmp_path).events) == 5


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"number": true}', "null", "\ufeff{}"], ids=["deep", "other", "null", "bom"]
)
def test_no_line_is_a_traceback(ledger, tmp_path, line):
    with ledger.path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(LedgerError, match="line 5 is not a ledger event"):
        Ledger(tmp_path)


def test_the_head_stands_for_all_events(ledger, tmp_path):
    assert Ledger(tmp_path).head == ledger.events[-1].hash
    assert Ledger(tmp_path / "nowhere").head == ""


def test_the_first_event_is_read_alone(tmp_path):
    """Each job asks for it, and a ledger has some events of every job."""
    assert first_event(tmp_path) is None
    ledger = Ledger(tmp_path)
    ledger.append("locked", note="a\u2028b")
    ledger.append("started", jobs=["a/0-0"])
    assert first_event(tmp_path) == ledger.events[0]
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(lines[0].replace(b"locked", b"looked") + lines[1])
    with pytest.raises(LedgerError, match="was changed at line 1"):
        first_event(tmp_path)
    ledger.path.write_bytes(lines[0][:-1])
    assert first_event(tmp_path) is None, "a line that is being written"
