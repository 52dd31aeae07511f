"""Code that a protocol names is told before it is imported, and refused where the user wants none."""

import ast
import os
from pathlib import Path

import pytest

from equipoise import cli, lookup, models, optimizers, zoo
from equipoise.errors import EquipoiseError
from equipoise.lookup import NO_CODE, announce, code_refused, imported
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
PACKAGE = Path(lookup.__file__).parent
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
        assert imported("equipoise.zoo:timm", "model", None) is zoo.timm
        assert imported("equipoise.cohorts.sources:phantom", "cohort source", None)
        with pytest.raises(EquipoiseError, match="which --no-code refuses"):
            imported("numpy:mean", "endpoint", None)
    assert lookup.imported("numpy:mean", "endpoint", None)


def public_functions():
    """Every public name of every module of the package, as a protocol would spell it."""
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield from (f"{module}:{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
        yield from (f"{module}:{alias.asname or alias.name}" for node in tree.body
                    if isinstance(node, ast.ImportFrom | ast.Import) for alias in node.names)  # fmt: skip


ROLES = (
    "cohort source",
    "task",
    "endpoint",
    "loss",
    "figure",
    "trainer",
    "model",
    "optimizer",
    "preparation of a task",
)


@pytest.mark.long
def test_no_role_of_a_protocol_reaches_what_is_internal_to_the_package(monkeypatch):
    monkeypatch.setattr(lookup, "nearest", lambda name, allowed: "")  # a second for a hundred names
    names = list(public_functions())
    assert "equipoise.atomic_write:write_text" in names
    listed = {"model": set(models.__all__), "optimizer": set(optimizers.__all__)}
    for kind in ROLES:
        for name in names:
            try:
                announce(name, kind, None)
            except EquipoiseError:
                continue
            module, _, attribute = name.partition(":")
            assert module == "equipoise.zoo" or attribute in listed[kind], f"{kind} {name}"


@pytest.mark.long
@pytest.mark.parametrize("command", ["check", "run", "ids"])
@pytest.mark.parametrize("code", [(), ("--no-code",)])
@pytest.mark.parametrize("source", ["equipoise.atomic_write:write_text", "os:system", "builtins:exec", "shutil:rmtree"])
def test_a_protocol_that_names_a_function_of_ours_or_of_pythons_writes_nothing(tmp_path, capsys, source, code, command):
    if code and command == "ids":
        return
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "p.toml").write_text(
        f'[cohort]\nsource = "{source}"\npath = "{victim}"\ntext = "owned"\n'
        '[[arms]]\nname = "a"\nmodel = {name = "unet", preset = "tiny"}\n'
        '[[arms]]\nname = "b"\nmodel = {name = "densenet", preset = "tiny"}\n'
    )
    options = ["--out", str(tmp_path / "out")] if command == "run" else []
    assert cli.main([command, str(tmp_path / "p.toml"), *code, *options]) == 1
    error = capsys.readouterr().err
    assert "internal to equipoise" in error or "Python's standard library" in error
    assert victim.read_text() == "mine"


def test_a_file_with_the_name_of_a_standard_module_is_not_announced_for_it(tmp_path):
    (tmp_path / "json.py").write_text("def value(): ...\n")
    (tmp_path / "telnetlib_own.py").write_text("def value(): ...\n")
    with pytest.raises(EquipoiseError, match="rename the file"):
        announce("json:value", "endpoint", tmp_path)
    announce("telnetlib_own:value", "endpoint", tmp_path)


def test_a_trainer_of_ones_own_is_told_before_it_runs():
    arm = {"model": {"name": "nnunet", "trainer": "mine:Trainer"}}
    assert list(code_named({"arms": [arm]})) == [("trainer", "mine:Trainer")]


def test_studies_name_code_in_other_places():
    study = {
        "study": {
            "cohorts": [{"name": "c", "cohort": {"source": "a:b"}, "endpoints": {"secondary": ["c:d"]}}],
            "models": [{"name": "m", "model": "e:f"}], "optimizers": [{"name": "o", "optimizer": {"name": "g:h"}}],
        },
        "training": {"loss": "i:j"}, "trial": {"question": "a: or b?"},
    }  # fmt: skip
    assert [name for _, name in code_named(study)] == ["i:j", "a:b", "c:d", "e:f", "g:h"]
