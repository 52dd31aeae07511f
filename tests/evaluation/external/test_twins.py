"""Copies of cases under other patients' names count as one patient, or are refused; strangers are left alone."""

from typing import Any

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external import twins
from equipoise.evaluation.external.case_numbers import CaseNumbers


def scores(cases: int = 120, arms: str = "ab") -> dict[str, np.ndarray]:
    """Scores of one run per arm, which agree with each other as trained networks do."""
    stream = np.random.default_rng(3)
    truth, latent = np.arange(cases) % 2, stream.normal(size=cases)
    return {arm: 1 / (1 + np.exp(-(latent + truth + 0.5 * stream.normal(size=cases)))) for arm in arms}


def table(copies: int, noise: float, name: str = "{case:03d}_{copy}", arms: str = "ab") -> dict[str, Any]:
    """Every case of 120 in several copies, each of a patient of its own."""
    stream, values = np.random.default_rng(5), scores(arms=arms)
    rows = []
    for arm in values:
        for copy in range(copies):
            moved = np.clip(values[arm] + noise * stream.normal(size=120), 0, 1)
            names = [name.format(case=k, copy=copy, other=(k * 7919 + copy * 104729) % 99991) for k in range(120)]
            rows += [(arm, f"c{one}", f"p{one}", k % 2, moved[k]) for k, one in enumerate(names)]
    return {name: [row[k] for row in rows] for k, name in enumerate(("arm", "case", "patient", "truth", "score"))}


def p_value(results: dict[str, Any]) -> float:
    return float(results["comparisons"][0]["p"])


@pytest.mark.long
@pytest.mark.parametrize(("noise", "name"), [(0.0, "{other}"), (0.0, "{case:03d}_{copy}"), (1e-6, "{case:03d}_{copy}")])
def test_copies_count_as_one_patient(noise: float, name: str) -> None:
    once = audit(table(1, 0.0))
    twelve = audit(table(12, noise, name))
    assert twelve["cohort"]["patients"] == 120
    assert p_value(twelve) == pytest.approx(p_value(once), abs=1e-6), "the oracle is the audit of the real cases"
    assert any("1320 patients were joined with others" in one for one in twelve["warnings"])


@pytest.mark.long
def test_slices_under_names_with_a_running_number_count_as_one_patient() -> None:
    slices = audit(table(12, 0.03, "{case:03d}-slice{copy}"))
    assert slices["cohort"]["patients"] == 120
    assert p_value(slices) > 0.1


@pytest.mark.long
def test_copies_with_noise_under_other_names_are_refused() -> None:
    with pytest.raises(
        PredictionError, match=r"pairs of cases of different patients.*give the true patients \(a column"
    ):
        audit(table(12, 1e-6, "{other}"))


def numbers(values: np.ndarray, patients: list[str] | None = None) -> CaseNumbers:
    names = np.array([f"c{k}" for k in range(len(values))])
    arm = np.array(["a", "b"] * (values.shape[1] // 2))
    owner = names if patients is None else np.array(patients)
    return CaseNumbers(names, owner, np.zeros(len(names), dtype=np.int64), values, arm)


@pytest.mark.parametrize("cases", [40, 300, 1500])
@pytest.mark.parametrize("apart", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("steep", [1.0, 60.0])
def test_strangers_are_not_refused(cases: int, apart: float, steep: float) -> None:
    """Arms of any likeness, saturated or not; equal ranks in both (apart = 0) are the densest that chance gives."""
    stream = np.random.default_rng(cases)
    latent = stream.normal(size=(cases, 1)) + apart * stream.normal(size=(cases, 4))
    twins._refuse_near(numbers(1 / (1 + np.exp(-steep * latent))))


def test_one_image_under_two_names_is_one_patient() -> None:
    stream = np.random.default_rng(0)
    values = {arm: stream.random(30) for arm in "ab"}

    def doubled(decimals: int) -> dict[str, Any]:
        rows = [
            (arm, f"{i:02d}{copy}", round(float(values[arm][i]), decimals))
            for arm in "ab"
            for copy in "xy"
            for i in range(30)
        ]
        return {name: [row[k] for row in rows] for k, name in enumerate(("arm", "case", "dice"))}

    def notes(columns: dict[str, Any]) -> list[str]:
        return [one for one in audit(columns, cases_are_patients=True)["warnings"] if "occurs twice" in one]

    assert "'00x' and '00y'" in notes(doubled(9))[0]
    assert "60 of 60 cases" in notes(doubled(9))[0]
    assert notes(doubled(1)) == []  # one digit: equal by chance
    single = {name: column[:30] + column[60:90] for name, column in doubled(9).items()}
    assert notes(single) == []


def test_constant_numbers_are_no_twins() -> None:
    columns = {"arm": ["a"] * 12 + ["b"] * 12, "case": [f"c{i}" for i in range(12)] * 2}
    results = audit(columns | {"dice": [0.9] * 12 + [0.8] * 12}, cases_are_patients=True)
    assert not any("occurs twice" in one for one in results["warnings"])
