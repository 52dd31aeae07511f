"""A column per structure and a row per structure are the same data: the same mean, that of `statistics.mean`."""

from pathlib import Path
from shlex import quote
from statistics import mean
from typing import Any

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, Collected, collect, parse_regions
from equipoise.evaluation.external.wide_structures import by_region, means_over

ORGANS = ("Leber", "Tumor", "Niere")
DRAWN = np.random.default_rng(3).uniform(0.2, 1, (25, 3)).tolist()
VALUES = {f"c{k:02d}": tuple(row) for k, row in enumerate(DRAWN)}


def wide(path: Path, heading: str, values: dict[str, tuple[float | None, ...]]) -> Path:
    rows = [",".join([case, *("" if one is None else repr(one) for one in row)]) for case, row in values.items()]
    path.write_text("\n".join([",".join(["case", *map(heading.format, ORGANS)]), *rows]) + "\n", encoding="utf-8")
    return path


def read(path: Path, regions: str | None = "Leber,Tumor,Niere") -> Collected:
    return collect([("a", path)], AuditOptions(regions=parse_regions(regions), cases_are_patients=True))


@pytest.mark.parametrize("heading", ["dice_{}", "DSC {}", "{} dice", "{}-Dice"])
def test_both_forms_have_one_mean(tmp_path: Path, heading: str) -> None:
    rows = [f"{case},{organ},{one!r}" for case, row in VALUES.items() for organ, one in zip(ORGANS, row, strict=True)]
    (tmp_path / "long.csv").write_text("\n".join(["case,organ,dice", *rows]) + "\n", encoding="utf-8")
    of_columns = read(wide(tmp_path / "wide.csv", heading, dict(VALUES)))
    of_rows = read(tmp_path / "long.csv", None)
    assert np.allclose(of_columns.predictions.metrics["dice"], [mean(row) for row in VALUES.values()], atol=1e-12)
    for name in ("dice", *(f"dice_{one}" for one in ORGANS)):
        assert np.allclose(of_columns.predictions.metrics[name], of_rows.predictions.metrics[name], atol=1e-12)
    assert any("is the mean over the structures Leber, Tumor, Niere" in one for one in of_columns.readings)


def test_a_structure_that_a_case_lacks_is_counted(tmp_path: Path) -> None:
    values = VALUES | {"c03": (0.5, None, 0.9)}
    made = read(wide(tmp_path / "wide.csv", "dice_{}", values))
    means = [mean(one for one in row if one is not None) for row in values.values()]
    assert np.allclose(made.predictions.metrics["dice"], means, atol=1e-12)
    assert any("1 of 75 structures of cases have no dice" in one for one in made.notes)


def test_no_mean_is_made_of_some_structures_or_beside_one_of_the_table() -> None:
    columns = {"case": np.array(["1"]), "dice_a": np.array([0.5]), "dice_b": np.array([0.7])}
    assert means_over(columns, ["a", "b", "c"], "t") == (columns, [])
    assert means_over(columns, ["a"], "t") == (columns, [])
    own = columns | {"dice": np.array([0.1])}
    assert means_over(own, ["a", "b"], "t")[0]["dice"] == 0.1
    assert "time" not in means_over({"time_a": np.array([1.0]), "time_b": np.array([2.0])}, ["a", "b"], "t")[0]


def test_a_heading_is_read_only_where_the_structure_is_stated() -> None:
    columns = {"Liver dice": np.array([0.5]), "Dice loss": np.array([0.7])}
    assert list(by_region(columns, ["liver"], "t")[0]) == ["dice_liver", "Dice loss"]
    assert by_region(columns, [], "t") == (columns, [])


def headed(path: Path, names: list[str]) -> Path:
    rows = [";".join([f"c{k:02d}", *(repr(one).replace(".", ",") for one in row)]) for k, row in enumerate(DRAWN)]
    path.write_text("\n".join([";".join(["case", *names]), *rows]) + "\n", encoding="utf-8")
    return path


def audited(path: Path, **options: Any) -> dict[str, Any]:
    return audit({"A": str(path), "B": str(path)}, cases_are_patients=True, **options)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(PredictionError) as caught:
        audited(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("heading", ["{}", "{} [%]"])
def test_headings_that_are_structures_alone_lead_to_their_mean(tmp_path: Path, heading: str) -> None:
    """Every way to begin ends with one proposal, which is typed as it stands."""
    names = [heading.format(one) for one in ORGANS]
    path = headed(tmp_path / "t.csv", names)
    proposal = f"--metric dice --regions {quote(','.join(names))}"
    assert f"({proposal})" in refusal(path)
    assert f"({proposal})" in refusal(path, scores="percent")
    assert f"({proposal.removeprefix('--metric dice ')})" in refusal(path, metric="dice")
    assert "such as --metric dice" in refusal(path, regions=",".join(ORGANS))
    for metric, regions in (("dice", names), ("DSC", [one.casefold() for one in names])):
        results = audited(path, metric=metric, regions=",".join(regions))
        assert results["endpoints"]["primary"] == "dice"
        estimate = results["arms"][0]["endpoints"]["dice"]["estimate"]
        assert estimate == pytest.approx(mean(mean(row) for row in DRAWN), abs=1e-9)


def test_a_mean_over_structures_is_made_of_a_metric_of_ones_own(tmp_path: Path) -> None:
    path = headed(tmp_path / "t.csv", list(ORGANS))
    results = audited(path, metric="grade", regions=",".join(ORGANS), primary="grade", higher_is_better=["grade"])
    assert results["arms"][0]["endpoints"]["grade"]["estimate"] == pytest.approx(mean(map(mean, DRAWN)), abs=1e-9)


def test_headings_of_one_arm_alone_are_matched_with_those_that_name_the_metric(tmp_path: Path) -> None:
    bare = headed(tmp_path / "a.csv", list(ORGANS))
    full = headed(tmp_path / "b.csv", [f"DSC {one}" for one in ORGANS])
    files = {"A": str(bare), "B": str(full)}
    with pytest.raises(PredictionError, match=r"\(--metric dice --regions Leber,Tumor,Niere\)"):
        audit(files, cases_are_patients=True)
    results = audit(files, cases_are_patients=True, metric="dice", regions="Leber,Tumor,Niere")
    estimates = [one["endpoints"]["dice"]["estimate"] for one in results["arms"]]
    assert estimates[0] == estimates[1] == pytest.approx(mean(map(mean, DRAWN)), abs=1e-9)
