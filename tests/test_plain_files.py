"""Files of folders from elsewhere: no reader waits at a named pipe, and nothing is written through a link."""

import os
from pathlib import Path

import pytest

from equipoise.atomic_write import draft_beside, write_text
from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation.candidate_table import read_candidates
from equipoise.evaluation.predictions import read_parquet
from equipoise.live import trackers
from equipoise.plain_files import appending, bytes_of, create, inside, opened, refuse_links, text_of


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's own, outside the folder from elsewhere."""
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "rc"
    file.write_text("mine")
    (tmp_path / "run").mkdir()
    return file


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xc3\xa9\r\n")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert bytes_of(tmp_path / "link") == b"\xc3\xa9\r\n"
    assert text_of(tmp_path / "a") == "é\n"
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match="not a regular file"):
            opened(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none")


def test_a_new_file_is_new_and_an_appended_one_no_link(victim: Path) -> None:
    for name, target in (("whole", victim), ("dangling", victim.with_name("none"))):
        link = victim.parents[1] / "run" / name
        link.symlink_to(target)
        with pytest.raises(FileExistsError):
            create(link)
        for mode in ("ab", "r+b"):
            with pytest.raises(OSError):
                appending(link, mode)
    os.mkfifo(victim.parents[1] / "run" / "pipe")
    with pytest.raises(OSError):
        appending(victim.parents[1] / "run" / "pipe")
    assert victim.read_text() == "mine"
    assert not victim.with_name("none").exists()


def test_the_writer_follows_no_link_at_the_file_or_at_a_temporary(victim: Path) -> None:
    run = victim.parents[1] / "run"
    (run / "results.json").symlink_to(victim)
    for name in (".results.json.part", f".results.json.{'0' * 16}.part"):
        (run / name).symlink_to(victim)
    write_text(run / "results.json", "ours")
    assert victim.read_text() == "mine"
    assert [path.name for path in run.iterdir()] == ["results.json"]
    assert not (run / "results.json").is_symlink()
    assert draft_beside(run / "a") != draft_beside(run / "a"), "no name is known before"


def test_within_a_folder_no_folder_on_the_way_is_a_link(victim: Path) -> None:
    run = victim.parents[1] / "run"
    (run / "figures").symlink_to(victim.parent)
    write_text(run / "figures" / "user-made", "the user's own link is followed elsewhere")
    for name in ("figures/rc", "figures/new/rc"):
        with inside(run), pytest.raises(EquipoiseError, match="figures is a link to another folder"):
            write_text(run / name, "ours")
    (victim.parents[1] / "named").symlink_to(run)
    with inside(victim.parents[1] / "named"):
        write_text(victim.parents[1] / "named" / "a", "the folder that the user named may be a link")
    assert victim.read_text() == "mine"
    assert not (victim.parent / "new").exists()


def test_the_first_link_in_a_folder_is_named(victim: Path) -> None:
    run = victim.parents[1] / "run"
    (run / "jobs").mkdir()
    refuse_links(run)
    (run / "jobs" / "log").symlink_to(victim)
    with pytest.raises(EquipoiseError, match="log is a link, and nothing is written through a link"):
        refuse_links(run)
    (run / "jobs" / "log").unlink()
    os.mkfifo(run / "jobs" / "log")
    with pytest.raises(EquipoiseError, match="log is neither a file nor a folder"):
        refuse_links(run)


def test_tables_of_predictions_are_read_from_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "predictions.parquet")
    for read in (read_parquet, read_candidates):
        with pytest.raises(PredictionError, match="not a regular file"):
            read(tmp_path / "predictions.parquet")


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_curves_beside_a_run_are_written_through_no_link(victim: Path, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(trackers, "import_module", lambda name: None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = victim.parents[1] / "run"
    run.with_name(f"run-{kind}").symlink_to(victim.parent)
    with pytest.raises(EquipoiseError, match=f"run-{kind} is a link to another folder"):
        getattr(trackers, f"{kind}_tracker")(run, None)
