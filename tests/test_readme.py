import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(script, folder):
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.trial
def test_the_six_lines_run(tmp_path):
    script = BLOCKS[0]
    assert len([line for line in script.splitlines() if line]) <= 6
    script = script.replace('"examples/', f'"{ROOT}/examples/')
    result = run(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("unet against densenet ")
    assert (tmp_path / "quick-run" / "report.html").is_file()


@pytest.mark.long
def test_one_line_replaces_adam(tmp_path):
    script = (
        "import torch\nmodel = torch.nn.Linear(3, 1)\n"
        + BLOCKS[1]
        + "before = model.weight.detach().clone()\n"
        + "model(torch.ones(4, 3)).sum().backward()\noptimizer.step()\n"
        + "assert not torch.equal(before, model.weight)\n"
    )
    result = run(script, tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:docs|examples|tests)/[\w./-]+", README))))
def test_every_file_it_names_is_there(path):
    assert (ROOT / path.rstrip(".")).exists()


def test_every_command_it_names_exists():
    from equipoise.cli import _parser

    for command in set(re.findall(r"^equipoise (\w+)", README, re.MULTILINE)):
        with pytest.raises(SystemExit) as end:
            _parser().parse_args([command, "--help"])
        assert end.value.code == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "file", sorted((ROOT / "examples").glob("*.toml"), key=lambda file: file.name), ids=lambda f: f.stem
)
def test_every_example_is_a_protocol_or_a_study(file):
    from equipoise.protocol import Protocol
    from equipoise.protocol.study import Study, is_study

    if is_study(file):
        assert Study.load(file).trials(file.parent)
    else:
        assert Protocol.load(file).arms
