"""Reports of a folder from elsewhere: links in it lead no write out of it, and a named pipe holds up no reader."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from equipoise import cli
from equipoise.errors import EquipoiseError, LedgerError
from equipoise.report import write_report, write_study
from equipoise.runfolder.paths import JOBS, PICTURES, STUDY_PLAN, WRITER
from equipoise.runfolder.read import read_attributions, read_folder, read_places
from equipoise.trials.claim import claimed

ARMS = ["unet-adam", "deeplab-adam", "densenet-adam", "densenet-adaptive-momentum"]
RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-run"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "run"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of the user's own, which must stay as it is."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.long
def test_a_report_overwrites_nothing_that_links_in_its_folder_name(run: Path, home: Path) -> None:
    before = {file for file in run.rglob("*") if file.is_file()}
    clean = run.with_name("clean")
    shutil.copytree(run, clean)
    write_report(clean)
    written = [file.relative_to(clean) for file in clean.rglob("*") if file.is_file()]
    written = [name for name in written if run / name not in before or name.name == "results.json"]
    assert {"report.html", "tables", "figures", "model-cards"} <= {name.parts[0] for name in written}
    for number, name in enumerate(written):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).unlink(missing_ok=True)
        for place in (run / name, (run / name).with_name(f".{name.name}.part")):
            victim = home / f"{number}-{place.name}"
            victim.write_text("mine")
            place.symlink_to(victim)
    write_report(run)
    assert {file.read_text() for file in home.iterdir()} == {"mine"}
    assert not any((run / name).is_symlink() for name in written)


@pytest.mark.long
@pytest.mark.parametrize("name", ["figures", "tables", "model-cards"])
def test_a_report_writes_into_no_linked_folder(run: Path, home: Path, name: str) -> None:
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).symlink_to(home)
    with pytest.raises(EquipoiseError, match=f"{name} is a link to another folder"):
        write_report(run)
    assert not list(home.iterdir())
    assert not (run / "results.json").exists(), "the files of a report fit each other"


@pytest.mark.long
@pytest.mark.parametrize("name", ["figures", "a"])
def test_neither_does_a_study(make_folder: Callable[..., Path], tmp_path: Path, home: Path, name: str) -> None:
    out = tmp_path / "study"
    shutil.copytree(make_folder(patients=60), out / "a" / "one")
    write_report(out / "a" / "one")
    plan = (
        '{"name": "s", "question": "?", "study_sha256": "ab", "cohorts": ["a"], "models": ["one"], "optimizers": ARMS}'
    )
    (out / STUDY_PLAN).write_text(plan.replace("ARMS", json.dumps(ARMS)))
    if name == "a":
        (out / "a").rename(home / "a")
        (out / "a").symlink_to(home / "a")
        before = (home / "a" / "one" / "results.json").stat().st_mtime_ns
        assert cli.main(["report", str(out)]) == 1
        assert (home / "a" / "one" / "results.json").stat().st_mtime_ns == before
    else:
        (out / name).symlink_to(home)
        with pytest.raises(EquipoiseError, match="figures is a link to another folder"):
            write_study(out)
        assert not list(home.iterdir())


def test_a_run_continues_in_no_folder_with_links(run: Path, home: Path) -> None:
    victim = home / "rc"
    victim.write_text("mine")
    for name in ("ledger.jsonl", ".claim", "jobs/unet/0-1/history.csv"):
        place = run / name
        kept = place.read_bytes() if place.exists() else None
        place.unlink(missing_ok=True)
        place.symlink_to(victim)
        with pytest.raises(EquipoiseError, match="is a link, and nothing is written through a link"), claimed(run):
            pass
        place.unlink()
        if kept is not None:
            place.write_bytes(kept)
    with claimed(run):
        pass
    assert victim.read_text() == "mine"


@pytest.mark.long
def test_a_deposit_is_written_through_no_link(run: Path, home: Path) -> None:
    victim = home / "rc"
    victim.write_text("mine")
    for name in (".run-deposit.json.part", "run-deposit.json"):
        (run.parent / name).symlink_to(victim)
    assert cli.main(["ledger", "deposit", str(run)]) == 1
    (run.parent / "run-deposit.json").unlink()
    (run.parent / "run-deposit.json").symlink_to(home / "nowhere")
    assert cli.main(["ledger", "deposit", str(run)]) == 1
    (run.parent / "run-deposit.json").unlink()
    assert cli.main(["ledger", "deposit", str(run)]) == 0
    assert victim.read_text() == "mine"
    assert not (home / "nowhere").exists()


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """A reader that waits for ever fails; the time only bounds the test, and nothing depends on it."""

    def fail(*_: object) -> None:
        raise AssertionError("a reader waits at a named pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(100)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.long
def test_no_reader_of_a_run_waits_at_a_named_pipe(run: Path, no_waiting: None) -> None:
    files = sorted(file for file in run.rglob("*") if file.is_file())
    job = ("slices.npz", "rates.csv", WRITER)
    further = [*(run / JOBS / "unet/0-1" / name for name in job), run / PICTURES]
    for file in dict.fromkeys([*files, *further]):
        kept = file.read_bytes() if file.exists() else None
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        with contextlib.suppress(LedgerError):  # in a sentence, or named as a problem
            read_folder(run)
            read_places(run)
            read_attributions(run)
        file.unlink()
        if kept is not None:
            file.write_bytes(kept)
