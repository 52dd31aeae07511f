"""Two vendors' tables and a reference, as hospitals get them: the numbers are sklearn's, and losses are stated."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.report.text.truth import truth_in_words
from equipoise.report.text.verdicts import answers
from equipoise.trials.audit import audit

DRAW = np.random.default_rng(4)
ILL = {f"{k:03d}": k % 3 == 0 for k in range(60)}
A, B = ({case: float(DRAW.normal(size_of * ill)) for case, ill in ILL.items()} for size_of in (2, 1))


def share(logit: float) -> float:
    return round(1 / (1 + np.exp(-logit)), 4)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Scores of A in percent and without one case, of B with two cells n/a, and all cases in the reference."""
    tables = {
        "a": ["StudyID;Score %", *(f"{case};{100 * share(one):.2f}" for case, one in A.items() if case != "007")],
        "b": [
            "StudyID,prob",
            *(f"{c},{'n/a' if c in ('001', '002') else share(x)}" for c, x in B.items() if c != "059"),
        ],
        "reference": ["StudyID;Truth", *(f"{case};{('no', 'yes')[ill]}" for case, ill in ILL.items())],
    }
    for name, rows in tables.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {name: tmp_path / f"{name}.csv" for name in tables}


def judged(files: dict[str, Path], **options: bool) -> dict[str, object]:
    arms = {"A": files["a"], "B": files["b"]}
    return audit(arms, truth=files["reference"], scores={"A": "percent"}, cases_are_patients=True, **options)


@pytest.mark.long
def test_common_cases_are_those_with_a_score_of_every_arm(files: dict[str, Path]) -> None:
    results = judged(files, common_cases=True)
    kept = [case for case in ILL if case not in ("001", "002", "007", "059")]
    for arm, scores in zip(results["arms"], (A, B), strict=True):
        area = roc_auc_score([ILL[case] for case in kept], [share(scores[case]) for case in kept])
        assert arm["endpoints"]["auc"]["estimate"] == pytest.approx(area, abs=1e-12)
    assert results["left_out"] == {"cases": 4, "of": 60, "reasons": {"no_row": 2, "no_score": 2}}
    reference = files["reference"]
    assert [(one["path"], one["sha256"]) for one in results["lists"]] == [
        (str(reference), hashlib.sha256(reference.read_bytes()).hexdigest())
    ]
    assert not [one for one in results["warnings"] if "was read" in one or "were read" in one]
    assert truth_in_words(results) == f"The truth is what {reference} states."


@pytest.mark.long
def test_the_headline_states_the_cause_and_the_option(files: dict[str, Path]) -> None:
    first = answers(judged(files), {"A": "A", "B": "B"})[0]
    assert first.answer.startswith("Inconclusive: no comparison reached a verdict. A has no prediction for 1 of")
    assert "leave such cases out for every arm (--common-cases)" in first.answer
    assert all(arm["confusion"] is None for arm in judged(files)["arms"])


@pytest.mark.long
def test_the_banner_says_when_a_verdict_may_be_acted_on(files: dict[str, Path], tmp_path: Path) -> None:
    arms = {"A": files["a"], "B": files["b"]}
    options = {
        "truth": files["reference"],
        "scores": {"A": "percent"},
        "cases_are_patients": True,
        "common_cases": True,
    }
    audit(arms, out=tmp_path / "out", **options)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "not confirmatory" not in page
    assert "before anybody saw results, the verdicts below are valid" in page
    assert "3 files or folders" in page


@pytest.mark.long
def test_checklists_and_methods_state_what_was_left_out_and_nothing_of_training(
    files: dict[str, Path], tmp_path: Path
) -> None:
    with files["b"].open("a", encoding="utf-8") as file:
        file.write(files["b"].read_text(encoding="utf-8").splitlines()[1] + "\n")
    arms = {"A": files["a"], "B": files["b"]}
    audit(
        arms, out=tmp_path / "out", truth=files["reference"], scores={"A": "percent"}, cases_are_patients=True,
        common_cases=True,
    )  # fmt: skip
    page = " ".join((tmp_path / "out/report.html").read_text(encoding="utf-8").split())
    patients = "56 cases of 56 patients (every case a different patient, as the caller stated)"
    omitted = "4 of 60 test cases, because an arm has no row of 2 and an arm has no score for 2 of them"
    assert page.count(f"Tested: {patients}. Left out: {omitted}; 1 row that repeats another one in every column.") == 2
    assert "56 test cases of 56 patients (every case a different patient, as the caller stated), one training" in page
    assert f"Left out were {omitted} and 1 row that repeats another one in every column." in page
    assert page.count("were to be left out for all arms, as the caller asked; 4 of 60 test cases were left out,") == 2
    kept = [ill for case, ill in ILL.items() if case not in ("001", "002", "007", "059")]
    assert f"test: {kept.count(False)} no, {kept.count(True)} yes." in page
    assert not any(claim in page for claim in ("train: 0", "validation: 0"))
