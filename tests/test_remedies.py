"""Every remedy that a message names exists: keys of the protocol, commands, their options, variables, files of layouts.

The messages are taken out of the source, and what each names is tried: keys against the protocol and the sources,
commands against the command line, variables by setting them.
"""

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from equipoise import cli
from equipoise.cohorts import sources
from equipoise.cohorts.formats.limits import Limits, limits_from
from equipoise.cohorts.layouts.columns import ROLES
from equipoise.errors import EquipoiseError
from equipoise.preprocessing import Pipeline
from equipoise.protocol import Protocol
from equipoise.training.augmentation import Augmentation
from equipoise.trials.init import cohort_settings

SOURCE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
NO_MESSAGES = ("_moved.py", "testing/", "training/loop/__init__.py", "report/pages/cohort_page.py")
SECTION = re.compile(
    r"(?<![\w./:])(cohort|split|training|endpoints|preprocessing|inference|augmentation|tuning|trial)\.([a-z_]+)\b"
)
COMMAND = re.compile(r"`equipoise ([a-z]+)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")
OTHER_PROGRAMS = ("report/pdf.py", "training/external/nnunet_process.py")
"""Files that pass options to a browser, or to nnU-Net."""
VARIABLE = re.compile(r"\bEQUIPOISE_[A-Z_]+\b")
ROLE = re.compile(r"columns\.(\w+)=")


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """File and text of every string of the source but docstrings; what is filled in is a pair of braces."""
    return tuple(_messages())


def _messages() -> Iterator[tuple[str, str]]:
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).as_posix()
        if name.startswith(NO_MESSAGES) or name.endswith(NO_MESSAGES):
            continue
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        silent = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
        silent |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                yield name, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and id(node) not in silent and _is_sentence(node.value):
                yield name, str(node.value)


def _is_sentence(value: object) -> bool:
    """Whether a constant is text and no name of a module."""
    return isinstance(value, str) and re.fullmatch(r"[\w.]+(:\w+)?", value) is None


def named(pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
    """File and groups of every place in a message that fits, each once."""
    return sorted(
        {(name, *(match.groups() or (match[0],))) for name, text in messages() for match in pattern.finditer(text)}
    )


@cache
def keys_of(section: str) -> set[str]:
    """What a protocol may say in a section."""
    if section == "cohort":
        parameters = (set(inspect.signature(getattr(sources, name)).parameters) for name in sources.__all__)
        return {"source", "path", "task", "ids"}.union(*parameters)
    if section == "preprocessing":
        return {"scale", "crop", "resample", "size", "smooth_labels"}
    if section == "augmentation":
        return set(inspect.signature(Augmentation.from_settings).parameters) | set(Augmentation.__dataclass_fields__)
    annotation = Protocol.model_fields[section].annotation
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return set(model.model_fields)


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    """The subcommands of the command line."""
    action = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize(("file", "section", "key"), named(SECTION))
def test_keys_exist(file: str, section: str, key: str) -> None:
    assert key in keys_of(section), f"{file} names {section}.{key}"


@pytest.mark.parametrize(("file", "command"), named(COMMAND))
def test_commands_exist(file: str, command: str) -> None:
    assert command in commands(), f"{file} names `equipoise {command}`"


@pytest.mark.parametrize(("file", "option"), named(OPTION))
def test_options_exist(file: str, option: str) -> None:
    known = {
        text for parser in [cli._parser(), *commands().values()] for a in parser._actions for text in a.option_strings
    }
    others = {"--no-deps", "--generate", "--head"}  # of pip and of Ray
    assert option in known | others or file in OTHER_PROGRAMS, f"{file} names {option}"


@pytest.mark.parametrize(("file", "variable"), named(VARIABLE))
def test_variables_do_what_they_say(file: str, variable: str) -> None:
    if not variable.startswith("EQUIPOISE_LIMIT_"):
        assert any(f'"{variable}"' in path.read_text() for path in SOURCE.rglob("*.py"))
        return
    field = variable.removeprefix("EQUIPOISE_LIMIT_").lower()
    if field:  # the prefix itself stands in limits.py
        larger = 3 * getattr(Limits(), field)
        assert getattr(limits_from({variable: str(larger)}), field) == larger, f"{file} names {variable}"
        with pytest.raises(EquipoiseError, match=f"{variable} is 'much'; set a positive number"):
            limits_from({variable: "much"})


@pytest.mark.parametrize(("file", "role"), named(ROLE))
def test_roles_of_columns_exist(file: str, role: str) -> None:
    assert role in {*ROLES, "{}"}, f"{file} names columns.{role}"


def test_the_search_finds_what_is_there() -> None:
    assert len(named(SECTION)) > 40
    assert {"check", "init", "run"} <= {command for _, command in named(COMMAND)}
    assert ("cohorts/layouts/brats.py", "--set") in named(OPTION)
    assert Pipeline.from_settings({"scale": "unit", "size": 8}).size == (8,)


def test_what_set_takes() -> None:
    texts = ["coding=2023", 'classes=["a", "b"]', "columns.label=dx", "values=[0, 255]", "mask={patient}/m.nii.gz"]
    assert cohort_settings(texts) == {
        "coding": "2023",
        "classes": ["a", "b"],
        "columns": {"label": "dx"},
        "values": [0, 255],
        "mask": "{patient}/m.nii.gz",
    }
    for wrong in ("coding", "=x", "a..b=c"):
        with pytest.raises(EquipoiseError, match="is not KEY=VALUE"):
            cohort_settings([wrong])
