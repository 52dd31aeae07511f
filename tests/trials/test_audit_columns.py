"""No column of numbers leaves an audit without a word, and each proposal that is typed word by word leads on."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.cli_audit import _names
from equipoise.errors import PredictionError
from equipoise.trials.audit import audit
from equipoise.trials.audit_columns import directions_named, refuse_lacking_mean

DRAW = np.random.default_rng(6)


def table(*metrics: str) -> dict[str, Any]:
    n = 40
    columns = {name: DRAW.uniform(0.5, 0.95, 2 * n) for name in metrics}
    cases = [f"c{k}" for k in range(n)] * 2
    return {"arm": np.repeat(["a", "b"], n), "case": cases, "patient": cases, **columns}


def judged(results: dict[str, Any]) -> list[str]:
    """The endpoints of which an arm has an estimate, the primary one first."""
    names = [results["endpoints"]["primary"], *results["endpoints"]["secondary"]]
    return [name for name in names if results["arms"][0]["endpoints"][name]["estimate"] is not None]


def test_the_mean_is_compared_by_default_and_by_name() -> None:
    made = table("dice_Leber", "dice_Tumor", "dice_Niere")
    for options in ({}, {"primary": "dice"}):
        results = audit(made, regions="Leber,Tumor,Niere", **options)  # type: ignore[arg-type]
        assert judged(results)[0] == "dice"
        mean = np.mean([made[name][:40] for name in made if name.startswith("dice_")])
        assert results["arms"][0]["endpoints"]["dice"]["estimate"] == pytest.approx(mean, abs=1e-12)
    assert any("compared by dice" in one for one in audit(made, regions="Leber,Tumor,Niere")["assumptions"])


@pytest.mark.parametrize("form", ["dice_{}", "{} dice", "DSC {}"])
@pytest.mark.parametrize("options", [{}, {"primary": "dice"}])
def test_a_refusal_names_all_structures_and_leads_on(form: str, options: dict[str, Any]) -> None:
    made = table(*map(form.format, ("Leber", "Tumor")))
    with pytest.raises(PredictionError) as refusal:
        audit(made, **options)
    commands = [shlex.split(one) for one in re.findall(r"\((--regions [^)]*)\)", str(refusal.value))]
    assert commands[0] == ["--regions", "Leber,Tumor"]
    assert judged(audit(made, regions="Leber,Tumor", **options))[0] == "dice"
    assert commands[1:] == ([["--regions", "Leber,Tumor", "--primary", "dice_Leber"]] if options else [])
    assert judged(audit(made, "dice_Leber", regions="Leber,Tumor"))[0] == "dice_Leber"


def test_columns_with_a_direction_are_judged_and_the_others_are_named_with_what_judges_them() -> None:
    made = table("Liver overlap", "Kidney overlap", "age", "time")
    results = audit(made, "Liver overlap", higher_is_better=["Liver overlap, Kidney overlap"])
    assert judged(results) == ["Liver overlap", "Kidney overlap"]
    (note,) = [one for one in results["assumptions"] if "not judged" in one]
    assert "columns age, time are" in note
    assert any(note in one for one in results["warnings"])
    _, value = shlex.split(re.findall(r"\((--secondary .*?) judges", note)[0])
    directed: dict[str, Any] = {"higher_is_better": ["Liver overlap"], "lower_is_better": ["age", "time"]}
    again = audit(made, "Liver overlap", secondary=_names(value), **directed)
    assert judged(again) == ["Liver overlap", "age", "time"]


def test_a_direction_of_no_column_is_refused_with_the_nearest_name() -> None:
    assert directions_named(["a,b", "c"], ["a,b", "a", "c"], "--o") == ("a,b", "c")
    assert directions_named(["my:metric"], ["c"], "--o") == ("my:metric",)
    with pytest.raises(PredictionError, match="--higher-is-better 'Livr' is no column .*did you mean 'Liver'"):
        audit(table("Liver"), "Liver", higher_is_better=["Livr"])


def test_a_structure_that_one_file_lacks_is_in_no_mean_and_the_refusal_leads_on(tmp_path: Path) -> None:
    paths = {"a": tmp_path / "a.csv", "b": tmp_path / "b.csv"}
    for arm, names in (("a", ("x", "y")), ("b", ("x", "y", "z"))):
        rows = [",".join([f"c{k}", *(f"{DRAW.uniform():.4f}" for _ in names)]) for k in range(40)]
        paths[arm].write_text("\n".join([",".join(["case", *(f"dice_{one}" for one in names)]), *rows]) + "\n")
    options: dict[str, Any] = {"cases_are_patients": True, "primary": "dice"}
    with pytest.raises(PredictionError, match=r"--regions x,y\)"):
        audit(paths, regions="x,y,z", **options)
    assert judged(audit(paths, regions="x,y", **options))[0] == "dice"


def test_a_mean_that_the_table_holds_is_not_asked_for() -> None:
    refuse_lacking_mean("dice", ["dice", "dice_a"])
    refuse_lacking_mean("hd95", ["dice_a", "dice_b"])
    with pytest.raises(PredictionError, match="--regions a,b --primary dice_a"):
        refuse_lacking_mean("dice", ["a dice", "b dice"])


@pytest.mark.long
def test_common_cases_leaves_out_a_case_of_which_one_arm_lacks_a_structure(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    cells = {arm: np.round(draw.uniform(80, 95, (40, 2)) + better, 1) for arm, better in (("A", 3), ("B", 0))}
    for arm, values in cells.items():
        rows = [f"{k:03d},{one},{other if (arm, k) != ('A', 20) else ''}" for k, (one, other) in enumerate(values)]
        (tmp_path / f"{arm}.csv").write_text("\n".join(["case,Dice liver,Dice spleen", *rows]))
    arms = {arm: tmp_path / f"{arm}.csv" for arm in cells}
    results = audit(
        arms, regions="liver,spleen", scores="percent", primary="dice", common_cases=True, cases_are_patients=True
    )
    for entry in results["arms"]:
        mean = np.delete(cells[entry["name"]], 20, axis=0).mean() / 100
        assert entry["endpoints"]["dice"]["estimate"] == pytest.approx(mean, abs=1e-12)
    assert results["left_out"] == {"cases": 1, "of": 40, "reasons": {"no_value": 1}}
    assert results["comparisons"][0]["verdict"] != "refused"
