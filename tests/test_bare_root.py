"""A wheel works without its repository, a compiler, a home, a name of the user, a network, or packages to write to."""

import json

import bare_root
import pytest

PROTOCOL = """
[cohort]
source = "phantom"
cases = 60
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
seeds = [0, 1, 2]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""


@pytest.mark.slow
def test_every_command_works_in_an_empty_root(tmp_path):
    if not bare_root.possible():
        pytest.skip("an empty root needs Linux and the rights of an administrator")
    root = bare_root.made(tmp_path)
    (root.out / "protocol.toml").write_text(PROTOCOL)
    for command in (
        ("--version",), ("init", "lidc-contours", "--minutes", "0", "--out", "new.toml"), ("check", "protocol.toml"),
        ("run", "protocol.toml", "--out", "run"), ("report", "run"), ("advise", "run"), ("ledger", "verify", "run"),
        ("audit", "run/jobs/unet/0-0/predictions.parquet", "run/jobs/densenet/0-0/predictions.parquet"),
        ("export", "run", "--arm", "unet", "--although", "a test", "--protocol", "protocol.toml", "--out", "bundle"),
        ("verify", "bundle"),
    ):  # fmt: skip
        ended = root.run(*command)
        assert ended.returncode == 0, (command, ended.stdout[-2000:], ended.stderr[-3000:])
    assert json.loads((root.out / "run" / "results.json").read_text())["failures"] == []
