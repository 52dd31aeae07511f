"""Whatever somebody writes into a file of a run folder, its report is made, or refused in one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import EquipoiseError
from equipoise.report import summarise, write_report

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = (
    "lock.json", "ledger.jsonl", "cases.csv", "protocol.toml", "thumbnails.npz", "attributions.json",
    "attributions.npz", "jobs/unet/0-1/done.json", "jobs/unet/0-1/history.csv", "jobs/unet/0-1/predictions.parquet",
    "baselines/size-rule/0-0/done.json", "baselines/size-rule/0-0/predictions.parquet",
)  # fmt: skip
WHOLE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "not text": lambda content: b"\xff\xfe\x00" + content[3:],
    "zeros": lambda content: bytes(len(content)),
    "a list": lambda content: b"[]\n",
    "a number": lambda content: b"3\n",
    "null": lambda content: b"null\n",
    "nested": lambda content: b"[" * 100_000,
    "tables": lambda content: b'{"a":' * 20_000,
    "twice": lambda content: content + content,
    "line ends": lambda content: content.replace(b"\n", b"\r\n"),
    "no line ends": lambda content: content.replace(b"\n", b" "),
    "a flipped bit": lambda content: content[: len(content) // 3] + bytes([content[len(content) // 3] ^ 8])
    + content[len(content) // 3 + 1 :],
    "numbers too long": lambda content: content.replace(b"0", b"9" * 5000, 1),
    "commas": lambda content: content.replace(b",", b",,", 5),
    "quotes": lambda content: content.replace(b'"', b"'", 3).replace(b",", b'"', 1),
}  # fmt: skip
STRANGE: tuple[Any, ...] = (None, True, -1, 10**30, float("nan"), "", "x" * 5000, [], [None], {}, {"a": {}}, "../../x")


def _sentence(folder: Path, *, page: bool = False) -> None:
    try:
        results = write_report(folder) if page else summarise(folder)
    except EquipoiseError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert len(text) < 1000
    else:
        json.dumps(results, allow_nan=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "recorded-run", tmp_path / "run"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["lock.json", "ledger.jsonl", "cases.csv", "jobs/unet/0-1/done.json"])
def test_half_a_file_is_a_sentence(name: str, run: Path) -> None:
    (run / name).write_bytes(WHOLE["cut"]((run / name).read_bytes()))
    _sentence(run)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mutation", WHOLE)
def test_a_spoilt_file_is_a_sentence(name: str, mutation: str, run: Path) -> None:
    (run / name).write_bytes(WHOLE[mutation]((run / name).read_bytes()))
    _sentence(run)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [place, *(one for key, part in inner for one in _places(part, (*place, key)))] if place or inner else [place]


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[place[0]] = _with(value[place[0]], place[1:], new)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["recorded-run", "run-of-0.1/classification", "run-of-0.1/detection"])
@pytest.mark.parametrize("name", ["lock.json", "jobs/unet/0-1/done.json", "attributions.json"])
def test_a_strange_value_anywhere_is_a_sentence(folder: str, name: str, tmp_path: Path) -> None:
    run = Path(shutil.copytree(DATA / folder, tmp_path / "run"))
    if not (run / name).is_file():
        pytest.skip(f"{folder} has no {name}")
    original = json.loads((run / name).read_text())
    for number, place in enumerate(_places(original)):
        strange = STRANGE[number % len(STRANGE)]
        (run / name).write_text(json.dumps(_with(original, place, strange)))
        _sentence(run)


@pytest.mark.long
@pytest.mark.parametrize("place", ["cohort", "split", "endpoints", "arms", "seeds", "jobs", "own", "versions", "leaks"])
@pytest.mark.parametrize("strange", [None, 3, "x", [], {}, [None], {"a": {}}], ids=str)
def test_a_strange_part_of_the_lock_is_a_sentence(place: str, strange: Any, run: Path) -> None:
    lock = json.loads((run / "lock.json").read_text()) | {place: strange}
    (run / "lock.json").write_text(json.dumps(lock))
    _sentence(run)
