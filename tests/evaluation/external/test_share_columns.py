"""Metrics in percent: with their sign, or as the caller states for all files or for one arm; never guessed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect, collect_table
from equipoise.statistics.endpoints import is_share

SHARES = np.round(np.random.default_rng(2).uniform(0.3, 0.98, 30), 4)


def written(path: Path, values: Sequence[str], metric: str = "dice") -> Path:
    rows = [f"c{k};p{k};{value};{k / 3:.1f}" for k, value in enumerate(values)]
    path.write_text("\n".join([f"case;patient;{metric};hd95", *rows]) + "\n", encoding="utf-8")
    return path


def read(paths: dict[str, Path], scores: str | None = None, **options: object) -> dict[str, np.ndarray]:
    table = collect(list(paths.items()), AuditOptions(scores=scores, is_share=is_share, **options)).predictions  # type: ignore[arg-type]
    return {arm: table.metrics["dice"][table.arm == arm] for arm in paths}


FORMS = {
    "point": lambda x: f"{100 * x:.2f}",
    "comma": lambda x: f"{100 * x:.2f}".replace(".", ","),
    "sign": lambda x: f"{100 * x:.2f} %".replace(".", ","),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("metric", ["dice", "DSC", "Dice score"])
def test_percentages_are_divided_by_100_and_distances_are_not(tmp_path: Path, form: str, metric: str) -> None:
    path = written(tmp_path / "a.csv", [FORMS[form](one) for one in SHARES], metric)
    made = collect([("a", path)], AuditOptions(scores=None if form == "sign" else "percent", is_share=is_share))
    assert np.allclose(made.predictions.metrics["dice"], SHARES, atol=1e-12)
    assert np.allclose(made.predictions.metrics["hd95"], np.round(np.arange(30) / 3, 1))
    assert any("divided by 100" in one for one in made.readings)


def test_one_arm_alone_may_be_in_percent(tmp_path: Path) -> None:
    paths = {
        "a": written(tmp_path / "a.csv", [f"{100 * one:.2f}" for one in SHARES]),
        "b": written(tmp_path / "b.csv", [f"{one:.4f}" for one in SHARES]),
    }
    with pytest.raises(PredictionError, match=r"a.csv .*--scores percent, for this arm alone a=percent"):
        read(paths)
    both = read(paths, "a=percent")
    assert np.allclose(both["a"], both["b"], atol=1e-12)
    with pytest.raises(PredictionError, match=r"b.csv .*called percentages .*for the other files alone"):
        read(paths, "percent")


def test_a_wide_table_and_one_with_a_row_per_structure_may_be_in_percent() -> None:
    wide = {"case": [f"c{k}" for k in range(30)], "x": 100 * SHARES, "y": 50 * SHARES}
    options = AuditOptions(
        metric="dice", cases_are_patients=True, scores="percent", is_share=is_share, columns={"arms": ("x", "y")}
    )
    assert np.allclose(collect_table(wide, options).predictions.metrics["dice"], [*SHARES, *SHARES / 2])
    rows = {
        "case": np.repeat([f"c{k}" for k in range(15)], 2), "organ": ["liver", "spleen"] * 15, "arm": ["a"] * 30,
        "dice": [f"{100 * one:.2f}%" for one in SHARES],
    }  # fmt: skip
    made = collect_table(rows, AuditOptions(cases_are_patients=True, is_share=is_share)).predictions.metrics
    assert np.allclose(made["dice"], SHARES.reshape(15, 2).mean(axis=1))


def test_two_scales_in_one_table_a_lost_comma_and_a_useless_statement_are_refused(tmp_path: Path) -> None:
    long = {
        "case": [f"c{k}" for k in range(30)] * 2, "arm": ["a"] * 30 + ["b"] * 30, "dice": [*SHARES, *(100 * SHARES)]
    }  # fmt: skip
    options = AuditOptions(cases_are_patients=True, is_share=is_share)
    with pytest.raises(PredictionError, match="of arm 'b' from .* as are those of arm 'a': two scales"):
        collect_table(long, options)
    cells = [f"{100 * one:.2f}" for one in SHARES]
    with pytest.raises(PredictionError, match=r"has 8740 of case 'c3' in row 5, .*outside 0 to 100"):
        read({"a": written(tmp_path / "a.csv", [*cells[:3], "8740", *cells[4:]])}, "percent")
    with pytest.raises(PredictionError, match="--scores does nothing .*no metric that is a share"):
        read({"a": written(tmp_path / "a.csv", cells, "hausdorff95 mm")}, "percent", primary="hd95")


def test_a_share_with_one_wrong_cell_and_marks_of_cases_are_no_percentages() -> None:
    table = {"case": [f"c{k}" for k in range(30)], "arm": ["a"] * 30, "failure": [0, 1] * 15}
    options = AuditOptions(cases_are_patients=True, is_share=is_share)
    made = collect_table(table | {"dice": [1.02, *SHARES[1:]]}, options).predictions
    assert made.metrics["dice"][0] == 1.02
    made = collect_table(table | {"dice": 100 * SHARES}, replace(options, scores="percent")).predictions
    assert made.metrics["failure"].tolist() == table["failure"]


def test_a_value_of_at_most_1_among_percentages_is_told_with_its_row(tmp_path: Path) -> None:
    cells = [FORMS["comma"](one) for one in SHARES]
    options = AuditOptions(scores="percent", is_share=is_share)
    assert collect([("a", written(tmp_path / "a.csv", cells))], options).notes == ()
    made = collect([("a", written(tmp_path / "a.csv", [*cells[:4], "0,9", *cells[5:]]))], options)
    assert made.predictions.metrics["dice"][4] == pytest.approx(0.009)
    (note,) = made.notes
    assert "the value 0.9 of case 'c4' in row 6 is at most 1 and was read as 0.9 %" in note
    assert "(90 %)" in note
    assert not collect([("a", written(tmp_path / "a.csv", [*cells[:4], "0", *cells[5:]]))], options).notes
