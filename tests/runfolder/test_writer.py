"""One writer per job: whoever was overtaken writes nothing more, wherever it stood still."""

import shutil

import pytest

from equipoise.errors import EquipoiseError, Superseded
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import WRITER
from equipoise.runfolder.writer import Writer, written_by


def listed(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def text(content):
    return lambda path: path.write_text(content)


def test_one_writer_writes_and_leaves_only_its_files(tmp_path):
    writer = Writer.begin(tmp_path / "job")
    assert written_by(tmp_path / "job").keys() == {"token", "host", "pid"}
    writer.write(tmp_path / "job" / "checkpoint" / "1.json", text("one"))
    writer.write(tmp_path / "job" / "checkpoint" / "1.json", text("two"))
    writer.end()
    assert listed(tmp_path) == {"job/checkpoint/1.json": b"two"}
    assert sorted(path.name for path in (tmp_path / "job").iterdir()) == ["checkpoint"]


def test_whoever_was_overtaken_writes_nothing_and_names_the_other(tmp_path):
    first = Writer.begin(tmp_path)
    second = Writer.begin(tmp_path)
    before = listed(tmp_path)
    for act in (lambda: first.write(tmp_path / "a", text("late")), first.check, first.end):
        with pytest.raises(Superseded, match=r"taken over by process \d+ on .*run the same command again"):
            act()
    assert listed(tmp_path) == before
    second.write(tmp_path / "a", text("in time"))
    second.end()
    assert listed(tmp_path) == {"a": b"in time"}


def test_nor_after_the_other_has_ended(tmp_path):
    first = Writer.begin(tmp_path)
    Writer.begin(tmp_path).end()
    with pytest.raises(Superseded, match="another process, which has ended"):
        first.write(tmp_path / "a", text("late"))
    assert listed(tmp_path) == {}


def test_nor_where_it_stood_still_between_filling_the_file_and_its_rename(tmp_path, monkeypatch):
    first = Writer.begin(tmp_path)
    # the token was read as its own; then it stood still, and another wrote the same file
    monkeypatch.setattr(Writer, "check", lambda self: overtaken(tmp_path))

    def overtaken(folder):
        if written_by(folder).get("token") == first.token and list(folder.rglob("*.part")):
            Writer.begin(folder)
            (folder / "a").write_text("the other's")

    with pytest.raises(Superseded):
        first.write(tmp_path / "a", text("late"))
    assert (tmp_path / "a").read_text() == "the other's"
    assert not list(tmp_path.rglob("*.part"))


def test_nor_where_the_other_died_before_it_removed_the_unfinished_files(tmp_path, monkeypatch):
    first = Writer.begin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        Writer.begin(tmp_path)
    with pytest.raises(Superseded):
        first.write(tmp_path / "a", text("late"))
    assert not (tmp_path / "a").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_an_error_of_the_disk_stays_one(tmp_path):
    writer = Writer.begin(tmp_path / "job")
    (tmp_path / "in-the-way").write_text("")
    with pytest.raises(FileExistsError):
        writer.write(tmp_path / "in-the-way" / "a", text("x"))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"token": 3}'])
def test_a_damaged_token_is_nobodys(tmp_path, content):
    writer = Writer.begin(tmp_path)
    (tmp_path / WRITER).write_text(content)
    with pytest.raises(EquipoiseError, match="taken over by"):
        writer.check()


def test_who_writes_an_end_shuts_out_who_trained(tmp_path):
    arm = Arm.model_validate({"name": "net", "model": "unet"})
    job = Job(arm, 0, 1, tmp_path, tmp_path, tmp_path, "classification", ("x", "y"), 1, 2, TrainingSection(), {}, "auc")
    late = Writer.begin(tmp_path)
    assert job.write_end(status="failed", reason="died twice") == job.done()
    with pytest.raises(Superseded):
        job.write_end(late, status="finished")
    assert job.done()["status"] == "failed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.json"]
