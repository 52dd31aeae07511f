"""The one command of every check: what its variants run, and the list of modules that no fast test calls into."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import check
import executed_modules


def test_the_fast_variant_leaves_out_what_its_help_says():
    names = [command[0] for command in check.commands("--fast")]
    assert names == ["ruff", "ruff", "words", "lint-imports", "pytest"]
    marks = check.commands("--fast")[-1][-1]
    assert marks == " and ".join(f"not {mark}" for mark in executed_modules.NOT_FAST)
    assert "-n" not in check.commands("--fast")[-1], "each more process would import torch and collect anew"


@pytest.mark.parametrize("variant", [None, "--slow"])
def test_the_other_variants_run_every_check(variant):
    names = [command[0] for command in check.commands(variant)]
    assert names == ["ruff", "ruff", "words", "lint-imports", "mypy", "pytest"]
    assert ("slow or not slow" in check.commands(variant)[-1]) == (variant == "--slow")


@pytest.mark.parametrize("arguments", [["--quick"], ["--fast", "--slow"], ["tests"]])
def test_what_is_not_understood_is_refused(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["check.py", *arguments])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing may run"))
    with pytest.raises(SystemExit, match="allowed: one of --fast, --slow"):
        check.main()


def test_the_first_check_that_fails_ends_it_with_its_code(monkeypatch):
    seen = []

    def run(command, **_):
        seen.append(command[2] if command[1:2] == ["-m"] else Path(command[0]).name)
        return subprocess.CompletedProcess(command, 3 if "lint-imports" in command[0] else 0)

    monkeypatch.setattr(sys, "argv", ["check.py", "--fast"])
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as end:
        check.main()
    assert end.value.code == 3
    assert seen == ["ruff", "ruff", "words", "lint-imports"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a module that is called, one that is only imported, and one without functions."""
    place = tmp_path / "made"
    place.mkdir()
    (place / "called.py").write_text('def f():\n    """Give 1."""\n    return 1\n')
    (place / "imported.py").write_text(
        "class A:\n    b = [c for c in 'ab']\n\n    def g(self):\n        return 2\n\nA().g()\ng = A().g\n"
    )
    (place / "constants.py").write_text("D = 3\n")
    monkeypatch.setattr(executed_modules, "PACKAGE", place)
    monkeypatch.setattr(executed_modules, "NOT_EXECUTED", {})
    monkeypatch.syspath_prepend(place)
    executed_modules.modules_with_functions.cache_clear()
    yield place
    executed_modules.modules_with_functions.cache_clear()
    for name in ("called", "imported", "constants"):
        sys.modules.pop(name, None)


@pytest.fixture
def watch(package, monkeypatch):
    """An observer of that package in this process."""
    watch = executed_modules.ExecutedModules()
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    return watch


def test_a_module_that_is_only_imported_is_named(watch):
    watch.observe(True)
    called, imported = importlib.import_module("called"), importlib.import_module("imported")
    assert called.f() == 1
    assert watch.modules == {"called.py"}
    assert watch.complaints() == ["src/equipoise/imported.py: no fast test calls a function of it"]
    assert imported.g() == 2, "called after its import"
    assert watch.complaints() == []


def test_what_runs_while_nothing_is_observed_does_not_count(watch):
    called = importlib.import_module("called")
    assert called.f() == 1
    watch.observe(True)
    watch.observe(False)
    assert called.f() == 1
    assert watch.modules == set()


def test_a_module_keeps_its_lines_and_words(watch):
    called = importlib.import_module("called")
    assert called.f.__doc__ == "Give 1."
    assert {line for *_, line in called.f.__code__.co_lines()} == {1, 3}


def test_an_exception_that_is_none_any_more_is_named(watch, monkeypatch):
    monkeypatch.setattr(executed_modules, "NOT_EXECUTED", {"imported.py": "why", "called.py": "it was not"})
    watch.observe(True)
    importlib.import_module("called").f()
    assert watch.complaints() == ["src/equipoise/called.py: take it off NOT_EXECUTED"]


SUITE = """
import sys
sys.path.insert(0, {place!r})
import pytest, called, imported

def test_one():
    assert called.f() == 1

{mark}
def test_other():
    assert imported.g() == 2
"""


@pytest.mark.long
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
@pytest.mark.parametrize(("mark", "code"), [("", 0), ("@pytest.mark.long", 1)])
def test_a_run_fails_for_what_only_long_tests_call(package, tmp_path, workers, mark, code):
    (tmp_path / "test_made.py").write_text(SUITE.format(place=str(package), mark=mark))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    long: of long tests\n")
    (tmp_path / "watch.py").write_text(
        f"import sys\nsys.path.insert(0, {str(Path(check.__file__).parent)!r})\nimport executed_modules\n"
        f"from pathlib import Path\nexecuted_modules.PACKAGE = Path({str(package)!r})\n"
        "from executed_modules import pytest_configure\nexecuted_modules.NOT_EXECUTED = {}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "watch", "-p", "no:cacheprovider", *workers, "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert f"fast tests execute {2 - code} of 2 modules" in ended.stdout
    assert ("imported.py: no fast test calls a function of it" in ended.stdout) == bool(code)
