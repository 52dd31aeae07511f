import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import LedgerError
from equipoise.report import is_study_folder, report_study, write_results, write_study
from equipoise.report.study.page import study_answers, study_figures
from equipoise.report.study.study import study_results
from equipoise.report.study.tables import Table, study_tables
from equipoise.runfolder.paths import STUDY_PLAN
from equipoise.runfolder.study_family import cohort_groups

Make = Callable[..., Path]
ARMS = ["unet-adam", "deeplab-adam", "densenet-adam", "densenet-adaptive-momentum"]


@pytest.fixture
def study(make_folder: Make, tmp_path: Path) -> Path:
    """Three workloads on two data sets, one of them not run yet; arms stand for optimizers."""
    out = tmp_path / "study"
    run = make_folder(patients=120)
    for place in ("a/one", "a/two", "b/one"):
        shutil.copytree(run, out / place)
    plan = {"name": "s", "question": "Which?", "study_sha256": "ab", "cohorts": ["a", "b"], "models": ["one", "two"]}
    (out / STUDY_PLAN).write_text(json.dumps(plan | {"optimizers": ARMS}), encoding="utf-8")
    return out


def judged(study: Path) -> dict[str, Any]:
    """The study's numbers after those of its trials, without their pages."""
    for place in ("a/one", "a/two", "b/one"):
        write_results(study / place)
    return write_study(study)


def fail(job: Path) -> None:
    done = {"status": "failed", "reason": "the loss became NaN", "arm": job.parent.name, "fold": 0, "seed": 0}
    (job / "done.json").write_text(json.dumps(done), encoding="utf-8")


def test_a_folder_without_a_plan_is_no_study(tmp_path: Path) -> None:
    assert not is_study_folder(tmp_path)
    with pytest.raises(LedgerError, match="holds no study"):
        study_results(tmp_path)
    (tmp_path / STUDY_PLAN).write_text("{", encoding="utf-8")
    with pytest.raises(LedgerError, match="is not readable"):
        study_results(tmp_path)


@pytest.mark.long
def test_every_number_follows_from_the_trials(study: Path) -> None:
    results = report_study(study)
    assert (study / "b" / "one" / "report.html").is_file()
    trial = json.loads((study / "a" / "one" / "results.json").read_text(encoding="utf-8"))
    value = next(row for row in results["values"] if (row["cohort"], row["model"]) == ("a", "one"))
    seeds = [one["value"] for one in trial["arms"][0]["endpoints"]["auc"]["by_seed"]]
    assert value["endpoints"]["auc"]["mean"] == pytest.approx(np.mean(seeds))
    assert value["endpoints"]["auc"]["sd"] == pytest.approx(np.std(seeds, ddof=1))
    estimates = {arm["name"]: arm["endpoints"]["auc"]["estimate"] for arm in trial["arms"]}
    best = max(estimates, key=lambda name: estimates[name])
    ranks = {row["optimizer"]: row for row in results["ranks"]["tuned"]["auc"]["arms"]}
    assert ranks[best]["rank"] == 1.0, "the three workloads are copies of one run"
    brier = {row["optimizer"]: row["rank"] for row in results["ranks"]["tuned"]["brier"]["arms"]}
    lowest = min(trial["arms"], key=lambda arm: arm["endpoints"]["brier"]["estimate"])["name"]
    assert brier[lowest] == 1.0


@pytest.mark.long
def test_pairs_of_optimizers_have_their_differences(study: Path) -> None:
    found = judged(study)["ranks"]["tuned"]["auc"]
    rank = {row["optimizer"]: row["rank"] for row in found["arms"]}
    assert len(found["pairs"]) == 6
    for pair in found["pairs"]:
        assert pair["difference"] == pytest.approx(rank[pair["a"]] - rank[pair["b"]])
        assert pair["low"] <= pair["difference"] <= pair["high"]
    table = next(table for table in study_tables(judged(study)) if table.title.startswith("Differences"))
    assert all(row[1:].count("") == 1 for row in table.rows)


@pytest.mark.long
def test_the_target_is_the_median_of_the_best_losses(study: Path) -> None:
    results = judged(study)
    bests = []
    for arm in ARMS:
        for seed in range(3):
            rows = (study / "a" / "one" / "jobs" / arm / f"0-{seed}" / "history.csv").read_text().splitlines()[1:]
            bests.append(min(float(row.split(",")[2]) for row in rows))
    row = next(row for row in results["trials"] if (row["cohort"], row["model"]) == ("a", "one"))
    assert row["target"] == pytest.approx(np.median(bests))


@pytest.mark.long
def test_a_run_that_failed_is_worst_and_never_reaches_the_target(study: Path) -> None:
    for place in ("a/one", "a/two", "b/one"):
        for seed in range(3):
            fail(study / place / "jobs" / "unet-adam" / f"0-{seed}")
            (study / place / "jobs" / "unet-adam" / f"0-{seed}" / "history.csv").unlink()
    results = judged(study)
    ranks = {row["optimizer"]: row["rank"] for row in results["ranks"]["tuned"]["auc"]["arms"]}
    assert ranks["unet-adam"] == 4.0
    (row,) = [row for row in results["profiles"]["tuned"] if row["optimizer"] == "unet-adam"]
    assert row["reached"] == 0
    assert all(point["share"] == 0 for point in row["profile"])
    assert results["failures"][0] | {"optimizer": ""} == {
        "optimizer": "", "draws_failed": 0, "draws": 0, "tuned_failed": 9, "tuned_runs": 9, "untuned_failed": 0,
        "untuned_runs": 0,
    }  # fmt: skip
    value = next(row for row in results["values"] if row["optimizer"] == "unet-adam")
    assert value["endpoints"]["auc"]["mean"] == pytest.approx(0.5), "no better than having learnt nothing"
    assert value["epochs_to_target"] is None
    assert "9 of 36 trainings failed: unet-adam 9." in [answer.answer for answer in study_answers(results)]
    assert "†" in (study / "tables.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_a_trial_that_was_not_run_is_a_row_with_its_reason(study: Path) -> None:
    results = judged(study)
    assert [row["status"] for row in results["trials"]] == ["finished"] * 3 + ["missing"]
    shutil.rmtree(study / "a")
    shutil.rmtree(study / "b")
    nothing = write_study(study)
    assert nothing["values"] == []
    assert "No trial is finished yet" in study_answers(nothing)[0].answer
    assert study_figures(nothing | {"ranks": {}}) == []
    page = (study / "study.html").read_text(encoding="utf-8")
    assert "2 data sets × 2 networks × 4 optimizers" in page


def answer_for(p: float | None, behind: float, workloads: int = 12) -> Any:
    rows = [
        {"optimizer": name, "rank": rank, "low": rank - 0.5, "high": rank + 0.5, "behind": rank - 1, "behind_low": low,
         "behind_high": rank, "first": 0.5}
        for name, rank, low in (("x", 1.0, 0.0), ("y", 1.5, -0.5), ("z", 3.0, behind))
    ]  # fmt: skip
    ranks = {"tuned": {"auc": {"friedman_p": p, "higher_is_better": True, "arms": rows}}}
    values = [{"cohort": "a", "model": str(n)} for n in range(workloads)]
    return study_answers({"ranks": ranks, "endpoints": ["auc"], "values": values, "failures": []})[0]


def test_a_difference_is_claimed_only_where_there_is_one() -> None:
    assert (
        answer_for(0.2, 0.5).answer
        == "None can be called best over 12 workloads: the ranks do not differ more than expected by chance."
    )
    told = answer_for(0.001, 0.5)
    assert told.answer == "x has the best average rank in AUC; z lies behind it."
    assert "Not shown to be worse: y." in told.detail
    assert "no other was shown to be worse" in answer_for(0.001, -0.1).answer


@pytest.mark.parametrize(
    ("workloads", "reason"),
    [
        (2, "the test of the ranks needs at least 3 workloads and 3 optimizers, and there are 2 workloads."),
        (12, "all optimizers have the same values."),
    ],
)
def test_without_a_test_nothing_is_said_of_chance(workloads: int, reason: str) -> None:
    """Friedman's p is not computed with fewer than three workloads, so no sentence may rest on it."""
    answer = answer_for(None, 0.5, workloads)
    assert answer.answer == f"None can be called best over {workloads} workloads: {reason}"
    assert "chance" not in answer.answer + answer.detail
    assert answer.detail.startswith("Best average rank in AUC: x")


AS_DRAWS = "as the worst draw in the ranking after fewer draws, and in no other rank."
AS_RUNS = "as the worst value of the workload in every rank."


def failed_answer(draws: int, runs: int) -> Any:
    row = {"optimizer": "x", "draws_failed": draws, "draws": 6, "tuned_failed": runs, "tuned_runs": 6}
    results = {"failures": [row | {"untuned_failed": 0, "untuned_runs": 6}], "values": [], "endpoints": ["auc"]}
    ranks = {"tuned": {"auc": {"friedman_p": None, "arms": [{"optimizer": "x", "rank": 1, "low": 1, "high": 1}]}}}
    return study_answers(results | {"ranks": ranks})[-1]


@pytest.mark.parametrize(
    ("draws", "runs", "text", "detail"),
    [
        (2, 0, "2 of 18 trainings failed: x 2.", f"2 failed draws of tuning count {AS_DRAWS}"),
        (0, 1, "1 of 18 trainings failed: x 1.", f"1 failed run counts {AS_RUNS}"),
        (0, 0, "0 of 18 trainings failed.", ""),
    ],
)
def test_failed_draws_are_in_no_rank_of_test_values(draws: int, runs: int, text: str, detail: str) -> None:
    answer = failed_answer(draws, runs)
    assert (answer.answer, answer.detail) == (text, detail)


@pytest.mark.long
def test_tables_are_the_same_in_markdown(study: Path) -> None:
    tables = study_tables(judged(study))
    assert all(len(row) == len(table.heads) for table in tables for row in table.rows)
    assert tables[0].title == "Average rank, settings as stated"
    text = Table("T", ("a", "b"), (("1", "2"),), "note").markdown()
    assert text == "### T\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nnote\n"


@pytest.mark.long
def test_splits_of_one_cohort_are_drawn_as_one_data_set(study: Path) -> None:
    """Under two names, one data set would be counted as two that agree."""
    before = study_results(study)
    place = study / STUDY_PLAN
    plan = json.loads(place.read_text(encoding="utf-8"))
    one, other = ("/".join((name, plan["models"][0])) for name in plan["cohorts"][:2])
    rows = [{"a": one, "b": other, "test_cases_shared": 3}]
    place.write_text(json.dumps(plan | {"shared_test_cases": rows}), encoding="utf-8")
    after = study_results(study)
    assert cohort_groups(plan["cohorts"][:2], rows) == dict.fromkeys(plan["cohorts"][:2], plan["cohorts"][0])
    for kind, by_endpoint in before["ranks"].items():
        for endpoint, ranking in by_endpoint.items():
            pairs = zip(ranking["arms"], after["ranks"][kind][endpoint]["arms"], strict=True)
            assert all(a["rank"] == b["rank"] for a, b in pairs), (
                "the estimate is the same, its interval is not narrower"
            )
