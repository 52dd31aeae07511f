"""The one writer: whatever fails, and whenever the process is killed, the old file or the new one is whole."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equipoise import atomic_write
from equipoise.atomic_write import write_atomic, write_bytes, write_json, write_text
from equipoise.cohorts.store import save
from equipoise.evaluation.predictions import Predictions
from equipoise.report.figures.figure import Figure, write_figures
from equipoise.report.figures.svg import Drawing
from equipoise.runfolder.write import write_planes, write_predictions, write_rows
from equipoise.statistics.seed_spread import Design, SeedSpread, remember

DESIGN = Design("c", "auc", ("a", "b"), ("unet",), 3)


def table(value: float) -> Predictions:
    return Predictions(
        case=np.array(["a"]), patient=np.array(["p"]), split=np.array(["test"]), arm=np.array(["unet"]),
        fold=np.array([0]), seed=np.array([0]), truth=np.array([1]), scores=np.array([[1 - value, value]]),
        classes=("benign", "malignant"), metrics={},
    )  # fmt: skip


def checkpoint(path: Path, value: float) -> None:
    import torch

    from equipoise.training.loop.checkpoint import save as save_checkpoint

    save_checkpoint(path.parent, int(value * 100), {"weight": torch.full((3,), value)})


def figure(path: Path, value: float) -> None:
    write_figures([Figure(path.stem, "t", "c", (Drawing(10, 10, "t", "d"),), ("x",), ((value,),))], path.parent)


WRITERS = {
    "bytes": ("a.bin", lambda path, value: write_bytes(path, str(value).encode())),
    "text": ("a.txt", lambda path, value: write_text(path, str(value))),
    "json": ("a.json", lambda path, value: write_json(path, [value])),
    "results": ("results.json", lambda path, value: write_json(path, {"a": value}, public=True)),
    "predictions": ("predictions.parquet", lambda path, value: write_predictions(path, table(value))),
    "pictures": ("slices.npz", lambda path, value: write_planes(path, {"a": np.full((2, 2), 9 * value, np.uint8)})),
    "history": ("history.csv", lambda path, value: write_rows(path, [{"epoch": 1, "loss": value}])),
    "figure": ("roc.csv", figure),
    "seed spreads": ("s.json", lambda path, value: remember(path, "t", DESIGN, SeedSpread(value, 3))),
    "checkpoint": ("000025.json", checkpoint),
}
FAILURES = ("fsync of the file", "fsync of the folder", "rename", "full disk")


@pytest.fixture(params=FAILURES)
def failing(request, monkeypatch):
    """One system call fails as on a full disk."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    real = os.fsync
    if request.param == "fsync of the file":
        monkeypatch.setattr(os, "fsync", fail)
    elif request.param == "fsync of the folder":
        import stat

        monkeypatch.setattr(
            os, "fsync", lambda handle: fail() if stat.S_ISDIR(os.fstat(handle).st_mode) else real(handle)
        )
    elif request.param == "rename":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(atomic_write, "sync", lambda path: (os.truncate(path, 1), fail()))
    return request.param


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_write_that_fails_leaves_the_old_file_or_the_new_one_and_no_temporary(writer, failing, tmp_path, request):
    name, write = WRITERS[writer]
    fresh = tmp_path / "fresh"
    request.getfixturevalue("monkeypatch")
    with pytest.MonkeyPatch.context() as undone:  # the old and the new content, written without a failure
        undone.setattr(os, "fsync", lambda _: None)
        undone.setattr(Path, "replace", lambda path, to: os.replace(path, to))  # noqa: PTH105
        undone.setattr(atomic_write, "sync", lambda _: None)
        (tmp_path / "old").mkdir()
        write(tmp_path / "old" / name, 0.25)
        write(fresh / name, 0.75)
        old = (tmp_path / "old" / name).read_bytes()
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "old" / name, 0.75)
    after = listing(tmp_path / "old")
    assert after[name] in (old, (fresh / name).read_bytes() if (fresh / name).is_file() else old)
    assert not [left for left in after if left.endswith(".part")]
    if failing != "fsync of the folder":
        assert after[name] == old


def test_the_cache_tells_why_it_could_not_keep_an_entry(failing, tmp_path):
    assert "No space left" in (save("key", {"a": np.arange(3)}, tmp_path) or "")
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.glob(".*.part"))


def test_what_the_writer_of_the_content_raises_is_raised_and_nothing_is_left(tmp_path):
    def half(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    write_text(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", half)
    assert listing(tmp_path) == {"a": b"old"}


def test_file_then_name_then_folder_reach_the_disk_in_this_order(tmp_path, monkeypatch):
    done: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(atomic_write, "sync", lambda path: done.append(f"sync {path.relative_to(tmp_path.parent)}"))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("rename"), replace(path, to))[1])
    write_text(tmp_path / "new" / "file", "x")
    name = tmp_path.name
    done = [re.sub(r"[0-9a-f]{16}", "*", one) for one in done]
    assert done == [f"sync {name}", f"sync {name}/new/.file.*.part", "rename", f"sync {name}/new"]


def test_public_json_holds_no_number_that_json_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")}, public=True)
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "a.json", {"x": "é"}, public=True)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "x": "é"\n}\n'


KILLED = """
import sys
from pathlib import Path
from equipoise.atomic_write import write_json
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_json(Path(sys.argv[1]), [number] * 20000)
"""


@pytest.mark.long
def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    for wait in (0.0, 0.004, 0.011, 0.023, 0.05):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "a.json")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(wait + 0.05)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        process.stdout.close()
        if (tmp_path / "a.json").is_file():
            numbers = json.loads((tmp_path / "a.json").read_text())
            assert len(numbers) == 20000
            assert len(set(numbers)) == 1
    assert (tmp_path / "a.json").is_file()
    assert len(list(tmp_path.iterdir())) <= 2, "what a kill left is removed by the next attempt"
