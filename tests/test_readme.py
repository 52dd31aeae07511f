import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from equipoise.cli import main

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


def write_balls(folder):
    """Eighteen labelled volumes in the Decathlon's layout, and two new ones: bright balls in noise."""
    draw, grid, listed = np.random.default_rng(0), np.indices((20, 24, 16)), []
    for name in ("scans/imagesTr", "scans/labelsTr", "new-scans"):
        (folder / name).mkdir(parents=True)
    for number in range(20):
        centre = draw.uniform(7, (13, 17, 9))
        ball = ((grid - centre[:, None, None, None]) ** 2).sum(axis=0) < draw.uniform(3, 5) ** 2
        image, name = ball + draw.normal(0, 0.4, ball.shape), f"case_{number:02d}.nii.gz"
        place = np.diag([1.0, 1.0, 2.0, 1.0])
        nib.save(
            nib.Nifti1Image(image.astype(np.float32), place),
            folder / ("new-scans" if number > 17 else "scans/imagesTr") / name,
        )
        if number < 18:
            nib.save(nib.Nifti1Image(ball.astype(np.uint8), place), folder / "scans/labelsTr" / name)
            listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    about = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "ball"}, "training": listed, "test": []}
    (folder / "scans/dataset.json").write_text(json.dumps({"name": "balls", "numTraining": 18} | about))


def shrink(protocol):
    """One arm, one seed, one epoch, small patches: the tour is tried, not the networks."""
    text = protocol.read_text(encoding="utf-8")
    first, *arms, last = re.split(r"(?m)^(?=\[\[arms\]\])|(?=^\[endpoints\])", text)
    arm = next(part for part in arms if 'name = "unet"\n' in part)
    text = first + re.sub(r"channels = \[[^\]]*\]", "channels = [4, 8]", arm) + last
    for key, value in (("epochs", "1"), ("patch", "16"), ("seeds", "[0]")):
        text, count = re.subn(rf"(?m)^{key} = [^#\n]+", f"{key} = {value} ", text)
        assert count == 1
    protocol.write_text(text, encoding="utf-8")


@pytest.mark.trial
def test_the_six_commands_lead_from_data_to_masks(tmp_path, monkeypatch, jobs_here, capsys):
    tour = README.partition("## From data to a mask")[2].partition("```sh")[2].partition("```")[0]
    commands = [shlex.split(line, comments=True) for line in tour.splitlines() if line.startswith("equipoise ")]
    assert [words[1] for words in commands] == ["init", "check", "run", "export", "verify", "predict"]
    write_balls(tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in commands:
        # An arm of one epoch need not beat a trivial rule, and then the export asks for a reason.
        reason = ["--although", "a test of the tour"] if words[1] == "export" else []
        # Zero minutes measure nothing: how long the arms train, `shrink` decides here.
        words = ["0" if word == "60" else word for word in words]
        assert main([*words[1:], *reason]) == 0, (words, capsys.readouterr())
        if words[1] == "init":
            shrink(tmp_path / "protocol.toml")
    arm = commands[3][commands[3].index("--arm") + 1]
    card = (tmp_path / "run" / "model-cards" / f"{arm}.md").read_text(encoding="utf-8")
    assert f"equipoise export run --arm {arm}" in card
    for scan in sorted((tmp_path / "new-scans").iterdir()):
        folder = tmp_path / "answers" / scan.name.removesuffix(".nii.gz")
        mask, image = nib.load(folder / "mask.nii.gz"), nib.load(scan)
        assert (mask.shape, np.array_equal(mask.affine, image.affine)) == (image.shape, True)
        assert f'href="{folder.name}/page.html"' in (tmp_path / "answers" / "index.html").read_text(encoding="utf-8")


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
