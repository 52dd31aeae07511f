"""Opening somebody's run folder does not run what came with it, unless the reader asks for that."""

import hashlib
import json
import py_compile
import shutil
import sys
from pathlib import Path

import pytest
from runfolder.forgery import edit_json, rehash

from equipoise.cli import main

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-run"
EVIL = """
from pathlib import Path
Path(r"{mark}").write_text("executed")

def score(truth, scores):
    return float((scores.argmax(axis=1) == truth).mean())
"""


class Sent:
    """A run folder that names a module of its own, which leaves a mark where it is run."""

    def __init__(self, folder: Path, module: str) -> None:
        self.run, self.module, self.mark = folder / "run", module, folder / "mark"
        shutil.copytree(RECORDED, self.run)
        self.source = self.run / f"{module}.py"
        self.source.write_text(EVIL.format(mark=self.mark))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.read_bytes()).hexdigest()

    def name_endpoint(self, sha256: str | None = None) -> str:
        own = {"pooled": True, "higher_is_better": True, "low": None, "high": None, "unit": ""}
        name = f"{self.module}:score"

        def change(lock: dict) -> None:
            lock["own"] = {name: own | {"sha256": sha256 or self.sha256}}
            lock["endpoints"]["secondary"] = [*lock["endpoints"]["secondary"], name]
            lock["code_folder"] = "."

        edit_json(self.run / "lock.json", change)
        rehash(self.run)
        return name

    def name_task(self) -> None:
        name = f"{self.module}:TASK"

        def change(lock: dict) -> None:
            lock["cohort"]["task"] = name
            lock["code"] = {name: self.sha256}

        edit_json(self.run / "lock.json", change)
        protocol = self.run / "protocol.toml"
        protocol.write_text(protocol.read_text().replace("[cohort]", f'[cohort]\ntask = "{name}"'))
        rehash(self.run)


@pytest.fixture
def sent(tmp_path: Path, request: pytest.FixtureRequest):
    """A module name of its own for every test: what one of them trusts must not be trusted by the next."""
    name = f"sent_{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    path = list(sys.path)
    yield Sent(tmp_path, name)
    sys.path[:] = path


@pytest.mark.parametrize("command", [["report"], ["advise"], ["ledger", "verify"]])
@pytest.mark.parametrize("what", ["endpoint", "task"])
def test_no_command_runs_it_unasked(sent: Sent, command: list[str], what: str, capsys: pytest.CaptureFixture) -> None:
    sent.name_endpoint() if what == "endpoint" else sent.name_task()
    code = main([*command, str(sent.run)])
    assert not sent.mark.exists()
    if command[0] != "ledger":
        assert code == 1
        assert "runs only with your permission; read it, then add --trust-code" in capsys.readouterr().err


def test_a_changed_source_is_refused_before_it_runs(sent: Sent, capsys: pytest.CaptureFixture) -> None:
    sent.name_endpoint(sha256="0" * 64)
    assert main(["report", str(sent.run), "--trust-code"]) == 1
    assert not sent.mark.exists()
    assert "its source has changed" in capsys.readouterr().err


@pytest.mark.long
def test_bytecode_beside_a_harmless_source_is_not_run(sent: Sent) -> None:
    """The bytecode has the date and the size of the source that lies there, which is all that Python compares."""
    cached = Path(py_compile.compile(str(sent.source), doraise=True))
    sent.source.write_text("def score(truth, scores):\n    return 0.5\n")
    stamp, content = sent.source.stat(), bytearray(cached.read_bytes())
    content[8:16] = int(stamp.st_mtime).to_bytes(4, "little") + stamp.st_size.to_bytes(4, "little")
    cached.write_bytes(content)
    sent.name_endpoint()
    assert main(["report", str(sent.run), "--trust-code", "--json"]) == 0
    assert not sent.mark.exists()


@pytest.mark.long
def test_it_runs_where_the_reader_asks_for_it(sent: Sent, capsys: pytest.CaptureFixture) -> None:
    name = sent.name_endpoint()
    assert main(["report", str(sent.run), "--trust-code", "--json"]) == 0
    assert sent.mark.read_text() == "executed"
    results = json.loads(capsys.readouterr().out)
    assert results["arms"][0]["endpoints"][name]["estimate"] == pytest.approx(
        results["arms"][0]["endpoints"]["accuracy"]["estimate"]
    )


def test_a_module_that_is_not_there_is_named(sent: Sent, capsys: pytest.CaptureFixture) -> None:
    sent.name_endpoint()
    sent.source.unlink()
    assert main(["report", str(sent.run), "--trust-code"]) == 1
    assert "cannot be computed again" in capsys.readouterr().err
