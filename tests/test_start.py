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


def test_cpu_pins_are_the_others_with_their_hashes_and_torch_by_its_cpu_build():
    pins = (start.ROOT / "requirements" / "run.txt").read_text()
    plain, builds = start.without_gpu(pins)
    assert [build.partition("==")[0] for build in builds] == ["torch"]
    assert builds[0].endswith("+cpu")
    names = {line.partition("==")[0] for line in pins.splitlines() if "==" in line}
    left = {line.partition("==")[0] for line in plain.splitlines() if "==" in line}
    assert names - left >= {"torch", "triton", "nvidia-cublas", "cuda-toolkit"}
    assert all(name in ("torch", "triton") or name.startswith(("nvidia-", "cuda-")) for name in names - left)
    assert plain.count("==") > 50
    assert all(line.lstrip().startswith("--hash=") or "==" in line for line in plain.splitlines() if line)


def test_an_environment_without_gpu_libraries_stays_so(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "ENVIRONMENT", tmp_path)
    (tmp_path / "installed-run.txt").write_text(start.CPU_ONLY + start.wanted("run"))
    assert start.installed("run")
    assert start.is_cpu_only()
    (tmp_path / "installed-run.txt").write_text(start.wanted("run"))
    assert not start.is_cpu_only()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "argv", ["start.py", "demo", "--cpu"])
    with pytest.raises(SystemExit, match="delete it"):
        start.main()


def test_cpu_builds_come_from_the_users_place_where_one_is_named(monkeypatch):
    commands = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: commands.append(command) or subprocess.CompletedProcess(command, 0)
    )
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    start.install_cpu_builds(Path("python"), ["torch==2.15.0+cpu"])
    monkeypatch.setenv("UV_FIND_LINKS", "wheels")
    start.install_cpu_builds(Path("python"), ["torch==2.15.0+cpu"])
    assert ["--torch-backend" in command for command in commands] == [True, False]
