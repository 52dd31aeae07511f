import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import start


def test_an_environment_is_current_until_pins_or_project_change(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "ENVIRONMENT", tmp_path)
    assert not start.installed("run")
    (tmp_path / "installed-run.txt").write_text(start.wanted("run"))
    assert start.installed("run")
    assert not start.installed("dev")
    (tmp_path / "installed-run.txt").write_text(start.wanted("run").replace("torch==", "torch=="[:-1]))
    assert not start.installed("run")


def test_paths_are_the_callers(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(start, "installed", lambda pins: True)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **how: seen.append(how["cwd"]) or subprocess.CompletedProcess(command, 0)
    )
    monkeypatch.setattr(sys, "argv", ["start.py", "run", "mine.toml"])
    start.main()
    assert seen == [None]


def test_a_failing_command_passes_on_its_exit_code(monkeypatch):
    with pytest.raises(SystemExit) as end:
        start.call(sys.executable, "-c", "raise SystemExit(75)")
    assert end.value.code == 75


def test_help_needs_no_environment():
    result = subprocess.run([sys.executable, str(Path(start.__file__))], capture_output=True, text=True, check=False)
    assert "python3 start.py demo" in result.stderr
