"""Code that a protocol names is told before it is imported, and refused where the user wants none."""

import os

import pytest

from equipoise import cli, lookup
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.lookup import NO_CODE, code_refused, imported
from equipoise.protocol.named_code import announce_code, code_named

PROTOCOL = """
[cohort]
source = "trapped_source:cases"
[endpoints]
primary = "trapped_endpoint:value"
[[arms]]
name = "one"
model = {name = "trapped_net:Net", depth = 2}
[[arms]]
name = "two"
model = "unet"
optimizer = "trapped_rule:Rule"
"""
NAMES = ("trapped_source", "trapped_net", "trapped_rule", "trapped_endpoint")


@pytest.fixture
def place(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n")
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    return tmp_path


def test_every_module_is_told_once_and_none_is_run(place, caplog):
    announce_code(place / "protocol.toml")
    told = [record.getMessage() for record in caplog.records]
    assert [line.split()[6] for line in told] == list(NAMES)
    assert all(str(place / f"{name}.py") in line for name, line in zip(NAMES, told, strict=True))
    assert not (place / "ran").exists()


@pytest.mark.parametrize("command", ["check", "run"])
def test_no_code_refuses_a_protocol_before_anything_runs(place, capsys, monkeypatch, command):
    monkeypatch.chdir(place)
    assert cli.main([command, "protocol.toml", "--no-code"]) == 1
    said = capsys.readouterr().err
    assert "cohort source 'trapped_source:cases' is custom code (in " in said
    assert "--no-code refuses" in said
    assert not (place / "ran").exists()
    assert not (place / "run").exists()
    assert NO_CODE not in os.environ, "the option is of one command"


def test_init_and_audit_refuse_it_too(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    assert cli.main(["init", "trapped_source:cases", "--no-code", "--out", "new.toml"]) == 1
    (place / "table.csv").write_text("arm,case,patient,truth,score_a,score_b\n" + "".join(
        f"{arm},c{n},p{n},{'ab'[n % 2]},{0.4 + n % 3 / 10},{0.6 - n % 3 / 10}\n" for arm in "xy" for n in range(30)
    ))  # fmt: skip
    options = ["--primary", "trapped_endpoint:value", "--no-code", "--out", "audit"]
    assert cli.main(["audit", "table.csv", *options]) == 1
    assert capsys.readouterr().err.count("which --no-code refuses") == 2
    assert not (place / "ran").exists()


def test_what_the_package_names_itself_is_no_code_of_somebodys_own():
    with code_refused():
        assert imported("equipoise.errors:ProtocolError", "preparation of a task", None) is ProtocolError
        with pytest.raises(EquipoiseError, match="which --no-code refuses"):
            imported("json:dumps", "endpoint", None)
    assert lookup.imported("json:dumps", "endpoint", None)


def test_studies_name_code_in_other_places():
    study = {
        "study": {
            "cohorts": [{"name": "c", "cohort": {"source": "a:b"}, "endpoints": {"secondary": ["c:d"]}}],
            "models": [{"name": "m", "model": "e:f"}], "optimizers": [{"name": "o", "optimizer": {"name": "g:h"}}],
        },
        "training": {"loss": "i:j"}, "trial": {"question": "a: or b?"},
    }  # fmt: skip
    assert [name for _, name in code_named(study)] == ["i:j", "a:b", "c:d", "e:f", "g:h"]
