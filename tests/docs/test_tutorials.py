"""Every tutorial can be followed: its commands and files are valid, and whole tutorials run.

The audit runs with every check; those that train run with `python3 start.py test --slow`.
"""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from docs.tutorial import DOCS, TUTORIALS, blocks, commands, perform

from equipoise.cli import _parser
from equipoise.protocol import Protocol

PAGES = sorted(page for page in DOCS.rglob("*.md") if "```sh" in page.read_text(encoding="utf-8"))


@pytest.fixture
def path_with_equipoise(monkeypatch):
    """The environment of these tests first on the path, as in an activated environment."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_command_is_understood_and_every_file_is_made_before_it_is_used(name):
    page = DOCS / "tutorials" / f"{name}.md"
    files = {block.file for block in blocks(page) if block.file}
    lines = [shlex.split(line) for line in commands(page)]
    assert any(words[0] == "equipoise" for words in lines)
    for words in lines:
        if words[0] == "equipoise":
            assert callable(_parser().parse_args(words[1:]).command)
        else:
            assert words[0] == "python"
            assert words[1] in files


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_script_compiles_and_every_protocol_is_one(name, tmp_path):
    for block in blocks(DOCS / "tutorials" / f"{name}.md"):
        if block.language == "python":
            compile(block.code, block.file or name, "exec")
        elif block.file.endswith(".toml"):
            assert len(Protocol.parse(block.code, folder=tmp_path).arms) == 2


def test_the_tutorials_are_those_of_the_index():
    index = (DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert len(TUTORIALS) == 8
    assert all(f"({name}.md)" in index for name in TUTORIALS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_command_on_every_page_is_understood(page):
    for line in commands(page):
        if not line.startswith("equipoise ") or line.split()[1].startswith("--"):
            continue
        words = shlex.split(line, comments=True)
        # Only the first command of a line, without what the shell does with its output.
        ends = [position for position, word in enumerate(words) if word in ("&&", "|", ">", ">>")]
        assert callable(_parser().parse_args(words[1 : min(ends, default=len(words))]).command)


@pytest.mark.trial
@pytest.mark.usefixtures("path_with_equipoise")
def test_the_audit_runs(tmp_path):
    perform(DOCS / "tutorials" / "audit.md", tmp_path)
    results = json.loads((tmp_path / "audit" / "results.json").read_text(encoding="utf-8"))
    [pair] = results["comparisons"]
    assert (pair["a"], pair["b"], pair["verdict"]) == ("A", "B", "a_better")
    assert (tmp_path / "grant.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TUTORIALS if name != "audit"])
@pytest.mark.usefixtures("path_with_equipoise")
def test_a_tutorial_that_trains_runs(name, tmp_path):
    perform(DOCS / "tutorials" / f"{name}.md", tmp_path)
    assert (tmp_path / "run" / "report.html").is_file()


def test_every_command_stands_in_the_contracts():
    """Of the parser's own list: a command that is added is described."""
    table = (DOCS / "contracts.md").read_text(encoding="utf-8")
    (subcommands,) = [action.choices for action in _parser()._actions if isinstance(action.choices, dict)]
    assert [name for name in subcommands if f"\n| `equipoise {name}" not in table] == []
    for page in (DOCS / "index.md", DOCS.parent / "README.md"):
        text = page.read_text(encoding="utf-8")
        wanting = [
            name
            for name in ("init", "check", "run", "report", "audit", "advise", "samplesize", "export")
            if f"equipoise {name}" not in text
        ]
        assert wanting == []
