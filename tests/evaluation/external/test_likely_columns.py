"""The column that a refusal proposes is the one whose cells look like the role, whatever stands first."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect, collect_table, parse_columns
from equipoise.evaluation.external.likely_columns import likely, may_be_patients, may_be_scores

TABLE = {
    "Pat.-Nr.": [f"{k // 2:05d}" for k in range(30)],
    "Diagnose": ["maligne" if k % 3 else "benigne" for k in range(30)],
    "Dauer [s]": [str(k % 4 + 2) for k in range(30)],
    "Befund": [f"{k:05d}" for k in range(30)],
    "KI (%)": ["" if k == 4 else f"{99 - 3.1 * k:.1f}" for k in range(30)],
}
COLUMNS = {name: np.array(cells, dtype=object) for name, cells in TABLE.items()}


@pytest.mark.parametrize(
    ("role", "name"), [("case", "Befund"), ("patient", "Pat.-Nr."), ("truth", "Diagnose"), ("score", "KI (%)")]
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_cells_tell(role: str, name: str, order: int) -> None:
    assert likely(role, COLUMNS, list(COLUMNS)[::order]) == name
    assert likely(role, COLUMNS, []) == "NAME"


def test_few_classes_fractions_and_gaps_are_no_patients() -> None:
    assert [name for name in COLUMNS if may_be_patients(COLUMNS[name])] == ["Pat.-Nr.", "Befund"]


@pytest.mark.parametrize("form", ["{:05d}", "P{:03d}"])
def test_a_column_of_patients_of_an_unknown_name_is_proposed_and_leads_on(tmp_path: Path, form: str) -> None:
    rows = [f"{k:04d};{form.format(k // 2)};{0.5 + k / 99:.3f};x" for k in range(30)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["case;Pat.-Nr. neu;dice;Bemerkung", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="no column 'patient'") as refusal:
        collect([("a", path)], AuditOptions())
    value = shlex.split(re.findall(r"\(--columns (.*?)\)", str(refusal.value))[0])[0]
    assert value == "a.patient=Pat.-Nr. neu"
    read = collect([("a", path)], AuditOptions(columns=parse_columns(value))).predictions
    assert read.patient.tolist() == [form.format(k // 2) for k in range(30)]


def test_a_column_per_arm_does_not_make_ids_of_cases_look_like_people() -> None:
    table = {"Befund": TABLE["Befund"], "Nr": TABLE["Pat.-Nr."], "x": [0.5] * 30, "y": [0.7] * 30}
    options = AuditOptions(metric="dice", columns={"arms": ("x", "y")})
    with pytest.raises(PredictionError, match=r"\(--columns patient=Nr\)"):
        collect_table(table, options)
    # Two columns of which each cell is another: which one names people, cells do not tell.
    with pytest.raises(PredictionError, match="not recognised; give a list"):
        collect_table(table | {"Nr": [f"{k:05d}" for k in range(30, 60)]}, options)


def test_ids_and_words_are_no_scores() -> None:
    assert may_be_scores(COLUMNS, COLUMNS) == ["Dauer [s]", "KI (%)"]
    assert may_be_scores({"p": np.array(["", "n/a"], dtype=object)}, ["p"]) == []
