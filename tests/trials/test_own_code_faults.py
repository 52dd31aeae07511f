"""Code of a user's own that breaks while it is imported, loads a cohort or reads a case ends in one sentence."""

import sys

import pytest

from equipoise.cohorts.sources import load
from equipoise.errors import CohortError, EquipoiseError
from equipoise.lookup import imported
from equipoise.protocol import CohortSection

BROKEN = {
    "import no_such_package_here": "no_such_package_here is missing; install it",
    "from math import no_such_name": "ImportError: cannot import name",
    "def f(:": "SyntaxError: invalid syntax",
    "1 / 0": r"ZeroDivisionError: division by zero at .*line 1",
    "raise SystemExit(3)": "SystemExit: 3",
    "assert False": "AssertionError at",
    "import os; os.environ['no such variable']": "KeyError",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_module_that_cannot_be_imported_is_one_sentence(tmp_path, text):
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(EquipoiseError, match=BROKEN[text]) as error:
        imported(f"{name}:thing", "model", tmp_path)
    assert "\n" not in str(error.value)
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    "raised", ["ImportError('no pylidc')", "ZeroDivisionError()", "KeyError('x')", "SystemExit(2)"]
)
def test_a_source_that_raises_is_one_sentence(tmp_path, raised):
    name = f"source_{abs(hash(raised))}"
    (tmp_path / f"{name}.py").write_text(f"def cases(path=None):\n    raise {raised}\n")
    with pytest.raises(CohortError, match=f"the source '{name}:cases' failed on its data .*{raised[:8]}.*line 2"):
        load(CohortSection(source=f"{name}:cases"), code=tmp_path)
    sys.path.remove(str(tmp_path))


def test_a_case_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "unreadable_source.py").write_text(
        "from equipoise.cohorts import Case, Cohort\n"
        "def cases(path=None):\n"
        "    made = tuple(Case(f'c{n}', f'p{n}', lambda: 1 / 0, n % 2) for n in range(4))\n"
        "    return Cohort('own', 'classification', made, ('a', 'b'), ('grey',), 2)\n"
    )
    cohort = load(CohortSection(source="unreadable_source:cases"), code=tmp_path)
    with pytest.raises(CohortError, match=r"cannot read its case 'c2' \(ZeroDivisionError"):
        cohort.cases[2].read()
    sys.path.remove(str(tmp_path))
