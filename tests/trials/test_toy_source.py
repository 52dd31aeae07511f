"""A cohort source is added from one new file beside the protocol, which nothing else knows of."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from equipoise import cli
from equipoise.trials.check import check

PARTS = ("train", "validation", "test")
TOY = Path(__file__).with_name("toy_source.py")
PROTOCOL = """
[cohort]
source = "toy_source:rings"
cases = 80
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
"""


@pytest.mark.trial
@pytest.mark.usefixtures("in_this_process")
def test_it_is_read_split_and_checked(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copy(TOY, tmp_path)
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(PROTOCOL)
    checked = check(protocol)
    assert len(checked.cases) == 80
    assert {case["label"] for case in checked.cases} == {"small", "large"}
    assert checked.leaks == []
    assert sorted(np.concatenate([checked.folds[0].part(part) for part in PARTS])) == list(range(80))


def test_an_unknown_key_of_it_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copy(TOY, tmp_path)
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(PROTOCOL.replace("cases = 80", "case = 80"))
    assert cli.main(["check", str(protocol)]) == 1
    assert "did you mean 'cases'?" in capsys.readouterr().err
