import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from equipoise.report import summarise, write_report
from equipoise.report.figures.draw_curves import draw_curve_figure
from equipoise.report.figures.draws import best_after_figure, draw_rank_figure
from equipoise.report.results.tuning import chosen_settings
from equipoise.runfolder.read import read_folder

Make = Callable[..., Path]
LOSSES = {"unet-adam": [0.5, 0.3, None, 0.4], "densenet-adam": [0.6, 0.35, 0.35, 0.7]}


def tune(folder: Path, losses: dict[str, list[float | None]], select: str = "loss", equal: bool = True) -> None:
    """Make a finished run one that was tuned: draws with these validation losses, and the last two arms as twins."""
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    arms, twins = lock["arms"][::2], lock["arms"][1::2]
    lock["arms"] = arms
    lock["tuning"] = {
        "draws": 4,
        "seed": 0,
        "epochs": 2,
        "select": select,
        "equal": equal,
        "untuned": twins,
        "arms": {
            name: {
                "space": {"optimizer.lr": {"log": [1e-3, 1.0]}},
                "draws": [{"optimizer.lr": 10.0**-k} for k in range(len(values))],
            }
            for name, values in losses.items()
        },
    }
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    for name, values in losses.items():
        for number, loss in enumerate(values):
            place = folder / "jobs" / name / "draws" / f"0-{number}"
            place.mkdir(parents=True)
            (place / "history.csv").write_text(
                f"epoch,validation_loss,validation_auc\n1,2.0,0.5\n2,{loss if loss else 'nan'},{1 - (loss or 1)}\n"
            )
            done = {
                "status": "finished" if loss else "failed",
                "reason": None if loss else "it diverged",
                "draw": number,
            }
            (place / "done.json").write_text(json.dumps(done | {"chosen_epoch": 2}), encoding="utf-8")


@pytest.fixture
def tuned(make_folder: Make) -> Path:
    folder = make_folder(patients=120)
    tune(folder, LOSSES)
    return folder


@pytest.mark.long
def test_every_draw_is_a_row_with_its_value_or_its_reason(tuned: Path) -> None:
    tuning = summarise(tuned)["tuning"]
    first, second = tuning["arms"]
    assert [draw["value"] for draw in first["draws"]] == [0.5, 0.3, None, 0.4]
    assert first["draws"][2]["reasons"] == ["it diverged"]
    assert first["chosen"] == [{"fold": 0, "draw": 1, "settings": {"optimizer.lr": 0.1}}]
    assert second["chosen"][0]["draw"] == 1, "the earlier of equals"
    assert (tuning["metric"], tuning["lower_is_better"], tuning["equal"]) == ("validation_loss", True, True)


@pytest.mark.long
def test_a_failed_draw_counts_as_the_worst_value_of_all(tuned: Path) -> None:
    rows = {(row["arm"], row["draws"]): row for row in summarise(tuned)["tuning"]["best_after"]}
    assert rows["unet-adam", 1]["expected"] == pytest.approx((0.5 + 0.3 + 0.7 + 0.4) / 4)
    assert rows["unet-adam", 4]["expected"] == pytest.approx(0.3)
    assert rows["densenet-adam", 1]["expected"] == pytest.approx((0.6 + 0.35 + 0.35 + 0.7) / 4)


@pytest.mark.long
def test_ranks_after_all_draws_are_those_of_the_chosen(tuned: Path) -> None:
    rows = summarise(tuned)["tuning"]["ranks"]
    assert {row["arm"]: row["rank"] for row in rows if row["draws"] == 4} == {"unet-adam": 1.0, "densenet-adam": 2.0}
    for draws in range(1, 5):
        assert sum(row["rank"] for row in rows if row["draws"] == draws) == pytest.approx(3)


@pytest.mark.long
def test_selection_by_the_primary_endpoint_reads_its_column(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    tune(folder, LOSSES, select="primary")
    tuning = summarise(folder)["tuning"]
    assert (tuning["metric"], tuning["lower_is_better"]) == ("validation_auc", False)
    assert tuning["arms"][0]["chosen"][0]["draw"] == 1
    assert tuning["arms"][0]["draws"][1]["value"] == pytest.approx(0.7)


@pytest.mark.long
def test_untuned_twins_are_no_arms_and_change_no_comparison_of_arms(tuned: Path, make_folder: Make) -> None:
    results = summarise(tuned)
    assert [entry["name"] for entry in results["arms"]] == ["unet-adam", "densenet-adam"]
    assert [(e["name"], e["untuned_of"]) for e in results["untuned"]] == [
        ("deeplab-adam", "unet-adam"),
        ("densenet-adaptive-momentum", "densenet-adam"),
    ]
    assert all(entry["endpoints"]["auc"]["estimate"] is not None for entry in results["untuned"])
    assert len(results["untuned_comparisons"]) == 2
    lock = json.loads((tuned / "lock.json").read_text(encoding="utf-8"))
    del lock["tuning"]
    lock["jobs"] = [job for job in lock["jobs"] if job["arm"] in LOSSES]
    (tuned / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    alone = summarise(tuned)
    assert alone["comparisons"] == results["comparisons"]
    assert (alone["tuning"], alone["untuned"]) == (None, [])


@pytest.mark.long
def test_an_arm_with_chosen_settings_shows_them(tuned: Path) -> None:
    results = summarise(tuned)
    assert results["arms"][0]["settings"]["optimizer"] == {"lr": 0.1}
    folds = {"arms": [{"arm": "a", "chosen": [{"settings": {"optimizer.lr": x}} for x in (0.1, 0.2)]}]}
    assert chosen_settings(folds, "a")["optimizer"] == {"lr": [0.1, 0.2]}
    assert chosen_settings(None, "a") == {"model": {}, "optimizer": {}}


@pytest.mark.long
def test_missing_draws_are_told_and_nothing_breaks(tuned: Path) -> None:
    for name in LOSSES:
        shutil.rmtree(tuned / "jobs" / name / "draws")
    tuning = summarise(tuned)["tuning"]
    assert "done.json is missing" in tuning["arms"][0]["draws"][0]["reasons"][0]
    assert tuning["arms"][0]["chosen"] == [{"fold": 0, "draw": None, "settings": {}}]
    assert tuning["best_after"] == tuning["ranks"] == []
    assert best_after_figure(tuning, "loss") is None
    assert draw_rank_figure(tuning["ranks"], "", "") is None
    assert draw_curve_figure(read_folder(tuned).draws, tuning) is None


def test_figures_carry_every_number(tuned: Path) -> None:
    results: dict[str, Any] = summarise(tuned)
    best = best_after_figure(results["tuning"], "validation loss")
    ranks = draw_rank_figure(results["tuning"]["ranks"], "Ranking", "How to read it")
    curves = draw_curve_figure(read_folder(tuned).draws, results["tuning"])
    assert best is not None
    assert ranks is not None
    assert curves is not None
    assert len(best.rows) == 8
    assert len(best.panels) == 2
    assert len(ranks.rows) == 8
    assert "best first: unet-adam, densenet-adam" in ranks.panels[0].description
    assert {(row[0], row[2]) for row in curves.rows} == {(arm, k) for arm in LOSSES for k in range(4)}
    assert "4 draws, 1 failed" in curves.panels[0].description


@pytest.mark.long
def test_the_page_and_the_methods_tell_the_budget(tuned: Path) -> None:
    write_report(tuned)
    page = (tuned / "report.html").read_text(encoding="utf-8")
    assert "Every arm was given the same budget: 4 draws of 2 epochs" in page
    assert "8 draws of tuning were trained; 1 of them did not finish" in page
    assert "tuned with 4 draws of a scrambled Sobol sequence [" in page
    assert "failed: it diverged" in page


@pytest.mark.long
def test_the_page_says_that_budgets_were_unequal(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    tune(folder, {"unet-adam": [0.5, 0.3], "densenet-adam": [0.4]}, equal=False)
    results = write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Tuning, on unequal budgets" in page
    assert "tuned with between 1 and 2 draws of a scrambled" in page
    assert results["warnings"][0].startswith("The arms were tuned on unequal budgets (unet-adam 2, densenet-adam 1")
