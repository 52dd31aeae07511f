from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.protocol import TrainingSection
from equipoise.report.pages.checklist import CLAIM, TRIPOD, checklists, counts
from equipoise.report.summary import results_of
from equipoise.report.text.checklist_facts import _beyond_defaults
from equipoise.runfolder.read import read_folder

Make = Callable[..., Path]


def _drafts(folder: Path) -> dict[str, dict[str, tuple[str, str]]]:
    run = read_folder(folder)
    found = checklists(run, results_of(run))
    return {name: {item.number: (item.status, item.text) for item in items} for name, items in found.items()}


def test_every_item_is_there_once() -> None:
    assert [row[0] for row in CLAIM] == [str(number) for number in range(1, 45)]
    assert {row[0].rstrip("abcdefg") for row in TRIPOD} == {str(number) for number in range(1, 28)}
    assert len({row[0] for row in TRIPOD}) == len(TRIPOD) == 52


@pytest.mark.long
def test_what_the_run_knows_is_filled(make_folder: Make) -> None:
    claim = _drafts(make_folder(patients=120))["CLAIM 2024"]
    assert claim["7"][1].startswith("lidc-contours: ")
    assert "412 nodules: mean malignancy is exactly 3" in claim["8"][1]
    assert claim["20"] == ("filled", "Patients: no patient is in more than one part.")
    assert "unet-adam: unet with adam, 25,000 parameters" in claim["22"][1]
    assert "torch 2.15.0" in claim["23"][1]
    assert "12 networks trained" in claim["25"][1]
    assert "AUC with 95 % intervals: unet-adam 0." in claim["37"][1]


@pytest.mark.long
def test_what_only_the_author_knows_is_left_open(make_folder: Make) -> None:
    drafts = _drafts(make_folder(patients=120))
    for name, number in (("CLAIM 2024", "3"), ("CLAIM 2024", "33"), ("CLAIM 2024", "44"), ("TRIPOD+AI", "17")):
        assert drafts[name][number] == ("author", "")
    assert drafts["CLAIM 2024"]["34"][0] == "not applicable"
    assert drafts["CLAIM 2024"]["14"][0] == "author"  # this cohort's notes say nothing of its truth


@pytest.mark.long
def test_patients_failures_and_uncertainty_come_from_the_run(make_folder: Make) -> None:
    drafts = _drafts(make_folder(patients=300))
    claim, tripod = drafts["CLAIM 2024"], drafts["TRIPOD+AI"]
    assert "class: benign" in claim["36"][1]
    assert claim["36"] == tripod["20b"] == tripod["20c"]
    assert "unet-adam: sensitivity" in claim["38"][1]
    assert "nothing was imputed" in claim["12"][1]
    assert claim["13"] == ("author", "Channels: axial, coronal and sagittal.")
    assert claim["21"][0] == tripod["10"][0] == "author"
    assert (
        "90 test patients and 3 training runs of each arm give 80 % power to detect a difference in AUC of"
        in claim["21"][1]
    )
    assert "Weights of classes in the loss: none" in tripod["13"][1]
    assert "malignant" in tripod["21"][1]
    assert "diameter_mm" in tripod["23b"][1]
    assert tripod["14"] == ("author", ""), "size is no question of fairness"


def test_nothing_is_invented_without_results_or_protocol(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    (folder / "protocol.toml").unlink()
    for path in folder.rglob("predictions.parquet"):
        path.unlink()
    claim = _drafts(folder)["CLAIM 2024"]
    assert {claim[number][0] for number in ("9", "25", "26", "37", "38", "39")} == {"author"}


@pytest.mark.long
def test_counts_cover_all_items(make_folder: Make) -> None:
    run = read_folder(make_folder(patients=60))
    for items in checklists(run, results_of(run)).values():
        assert sum(counts(items).values()) == len(items)


def test_recipes_are_stated_with_the_settings() -> None:
    training = TrainingSection.model_validate(
        {
            "average_last": 3, "deep_supervision": True, "gradient_checkpointing": True, "loss": "dice",
            "dice": {"over": "case", "absent": "left-out", "background": False},
        }
    )  # fmt: skip
    assert _beyond_defaults(training) == (
        ", average last 3, deep supervision, gradient checkpointing, dice over each case, absent classes left-out, "
        "without background"
    )
    assert _beyond_defaults(TrainingSection()) == ""
