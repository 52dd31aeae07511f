import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.evaluation.predictions import Predictions, read_parquet, write_parquet
from equipoise.report import read_folder, results_of, write_report
from equipoise.report.pages.assemble import all_figures
from equipoise.report.pages.explained import script_hash, template_text
from equipoise.report.pages.page import render
from equipoise.runfolder.ledger import TEST_OPENED, Ledger

Make = Callable[..., Path]
_VOID = {"meta", "img", "br", "circle", "rect", "line", "polyline", "polygon"}


class _Page(HTMLParser):
    """Checks that every element is closed in order; collects what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title", "desc"):
            self.words.append(data.strip())

    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(word for word in self.words if word))


def _page(folder: Path) -> tuple[str, _Page]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, _Page(text)


def _scripts(text: str) -> list[str]:
    return re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)


@pytest.mark.long
def test_the_page_names_the_next_command_and_every_arm_has_a_card(reported: Path) -> None:
    text, _ = _page(reported)
    assert "equipoise export" not in text  # the trivial rule is recommended, and needs no bundle
    run = read_folder(reported)
    results = results_of(run)
    for advice in results["recommendation"].values():
        advice |= {"arm": "unet-adam", "beats_baseline": True}
    page = _Page(render(run, results, all_figures(run, results)))
    assert f"equipoise export {reported.name} --arm unet-adam --out unet-adam-bundle" in page.text()
    cards = {file.stem: file.read_text(encoding="utf-8") for file in (reported / "model-cards").iterdir()}
    assert set(cards) == {one["name"] for one in results["arms"]}
    for name, card in cards.items():
        assert card.startswith(f"# Model card: {name} of lidc-malignancy")
        assert f"--arm {name} " in card


@pytest.mark.long
def test_the_page_is_whole_and_asks_the_network_for_nothing(reported: Path) -> None:
    text, page = _page(reported)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert _scripts(text) == [template_text("page.js")], "one script, our own"
    assert f"script-src '{script_hash()}'" in text, "and the page's policy allows no other"
    text = text.replace(template_text("page.js"), "")
    assert "nan" not in re.sub(r"[a-zA-Z]*nan[a-zA-Z]+|[a-zA-Z]+nan", "", text)
    assert len(text) < 2_000_000
    targets = {attrs["id"] for _, attrs in page.seen if "id" in attrs}
    assert {attrs["href"] for tag, attrs in page.seen if tag == "a"} <= {f"#{target}" for target in targets}


@pytest.mark.long
def test_the_verdict_comes_before_every_figure_and_number_table(reported: Path) -> None:
    text, page = _page(reported)
    assert text.index('class="answer"') < text.index("<figure")
    assert text.index('class="answer"') < text.index("<table")
    words = page.text()
    assert words.index("Which arm is best?") < words.index("Is any network better than the diameter rule?")


@pytest.mark.long
def test_every_picture_has_words(reported: Path) -> None:
    _, page = _page(reported)
    drawings = [attrs for tag, attrs in page.seen if tag == "svg"]
    assert len(drawings) > 20
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
    images = [attrs for tag, attrs in page.seen if tag == "img"]
    assert len(images) == 18
    assert all(attrs["alt"] and str(attrs["src"]).startswith("data:image/png;base64,") for attrs in images)


@pytest.mark.long
def test_what_a_reader_looks_for_is_there(reported: Path) -> None:
    words = _page(reported)[1].text()
    for wanted in (
        "12 of 12 training runs finished", "Left out: 1,702 nodules", "DeLong ER",
        "412 nodules of 301 patients: mean malignancy is exactly 3",
        "Trivial baselines are left out: the prior",
        "Protocol SHA-256", "Cohort fingerprint", "torch 2.15.0", "no patient in more than one part",
        "not a medical device", "False negatives: malignant, not called malignant", "90 test patients",
    ):  # fmt: skip
        assert wanted.replace(" ", "") in words.replace(" ", ""), wanted


@pytest.mark.long
def test_figures_are_files_with_their_numbers(reported: Path) -> None:
    names = {path.stem for path in (reported / "figures").glob("*.svg")}
    assert names == {path.stem for path in (reported / "figures").glob("*.csv")}
    assert names == {
        "overview", "differences", "variance", "learning", "confusion", "roc", "calibration", "net-benefit",
        "quality-and-cost", "data-flow", "subgroups-diameter_mm",
    }  # fmt: skip
    assert (reported / "figures" / "differences.csv").read_text(encoding="utf-8").count("\n") == 7


@pytest.mark.long
def test_names_of_users_are_escaped(make_folder: Make) -> None:
    evil = '<script>alert("x")</script>'
    folder = make_folder(classes=("benign", "malignant"), patients=120)
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    lock["question"] = lock["name"] = lock["machine"] = lock["arms"][0]["model"] = evil
    lock["cohort"]["excluded"][0]["reason"] = lock["cohort"]["notes"][0] = evil
    lock["versions"]["torch"] = evil
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    path = folder / "jobs" / "unet-adam" / "0-1" / "done.json"
    path.write_text(json.dumps({"status": "failed", "reason": evil}), encoding="utf-8")
    for path in folder.rglob("predictions.parquet"):
        table = read_parquet(path)
        renamed = {**vars(table), "case": np.char.add(table.case, evil), "classes": ("benign", f"malignant{evil}")}
        write_parquet(Predictions(**renamed), path)
    lock["cohort"]["classes"] = {"benign": 10, f"malignant{evil}": 12}
    lock["endpoints"]["positive"] = f"malignant{evil}"
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    write_report(folder)
    text, _ = _page(folder)
    assert _scripts(text) == [template_text("page.js")]
    assert "&lt;script&gt;" in text
    for drawing in (folder / "figures").glob("*.svg"):
        assert "<script" not in drawing.read_text(encoding="utf-8")


@pytest.mark.long
def test_exploratory_stands_in_the_first_line(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    Ledger(folder).append(TEST_OPENED, jobs=12)
    write_report(folder)
    text, page = _page(folder)
    assert page.text().startswith("Exploratory : the test set was opened 2 times")
    assert "<title>Exploratory: " in text


@pytest.mark.long
def test_a_reason_for_opening_test_cases_again_stands_on_the_first_screen(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    (folder / "lock.json").write_text(json.dumps(lock | {"reuse": "<b>other networks</b>"}), encoding="utf-8")
    row = {"opening": "x", "opened_at": "2026-01-02T03", "name": "first", "test_cases_shared": 5, "test_cases": 9}
    Ledger(folder).append(TEST_OPENED, jobs=12, prior_openings=[row | {"in_common": [], "differs": ["the arms"]}])
    results = write_report(folder)
    assert results["reuse"] == "<b>other networks</b>"
    assert (
        "5 of its 9 test cases had been opened before, on 2026-01-02, by the trial first, which has no network or "
        "optimizer of this trial and differs in the arms."
    ) in results["warnings"]
    assert not any("had been opened" in reason for reason in results["exploratory_reasons"])
    html, page = _page(folder)
    head = html[: html.index("<main>")]
    assert "the protocol states: &lt;b&gt;other networks&lt;/b&gt;" in head
    assert "Earlier openings known on this machine: 1" in page.text()


@pytest.mark.long
def test_an_edited_record_stands_in_the_first_line_too(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    path = folder / "ledger.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("unet-adam", "unet-sgd", 1), encoding="utf-8")
    assert write_report(folder)["exploratory"]
    assert _page(folder)[1].text().startswith("Exploratory : its record could not be verified")


@pytest.mark.long
def test_failures_are_named_on_the_page(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    shutil.rmtree(folder / "jobs" / "deeplab-adam" / "0-2")
    write_report(folder)
    words = _page(folder)[1].text()
    assert "11 of 12 training runs finished" in words
    assert "deeplab-adam , seed 2 (missing)" in words


@pytest.mark.long
@pytest.mark.parametrize("piece", ["thumbnails.npz", "cases.csv", "baselines", "ledger.jsonl", "protocol.toml"])
def test_a_folder_without_one_piece_still_has_a_report(make_folder: Make, piece: str) -> None:
    folder = make_folder(patients=120)
    path = folder / piece
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    results = write_report(folder)
    assert results["warnings"]
    _, page = _page(folder)
    assert "Warnings" in page.text()


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_still_have_a_report(make_folder: Make, seeds: int) -> None:
    write_report(folder := make_folder(seeds=seeds, patients=120))
    assert "Inconclusive" in _page(folder)[1].text()


@pytest.mark.long
def test_four_classes_have_a_report(make_folder: Make) -> None:
    write_report(folder := make_folder(patients=120, classes=("low", "moderate", "high", "very high")))
    words = _page(folder)[1].text()
    assert "macro AUC" in words
    assert "Wrong, most confident first" in words
    assert not (folder / "figures" / "net-benefit.csv").exists()


@pytest.mark.long
def test_one_arm_may_have_failed(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    shutil.rmtree(folder / "jobs" / "unet-adam")
    write_report(folder)
    words = _page(folder)[1].text()
    assert "9 of 12 training runs finished" in words
    assert "unet-adam , seed 0, seed 1 and seed 2 (missing)" in words


@pytest.mark.long
def test_every_job_may_have_failed(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    shutil.rmtree(folder / "jobs")
    results = write_report(folder)
    assert len(results["failures"]) == 12
    assert "0 of 12 training runs finished" in _page(folder)[1].text()


def _rewrite(folder: Path, change: Callable[[Predictions], Predictions]) -> None:
    for path in folder.rglob("predictions.parquet"):
        write_parquet(change(read_parquet(path)), path)


def _edit_lock(folder: Path, **values: Any) -> None:
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    (folder / "lock.json").write_text(json.dumps(lock | values), encoding="utf-8")


@pytest.mark.long
def test_segmentation_metrics_have_a_report(make_folder: Make) -> None:
    folder = make_folder()
    shutil.rmtree(folder / "baselines")
    rng = np.random.default_rng(0)

    def change(table: Predictions) -> Predictions:
        dice = np.clip(0.6 + 0.1 * table.scores[:, 1] + 0.05 * rng.normal(size=len(table)), 0, 1)
        return Predictions(
            **{**vars(table), "classes": (), "scores": np.empty((len(table), 0)), "metrics": {"dice": dice}}
        )

    _rewrite(folder, change)
    endpoints = {"primary": "dice", "secondary": [], "margin": 0.02, "family": "all", "alpha": 0.05, "positive": None}
    _edit_lock(folder, endpoints=endpoints)
    results = write_report(folder)
    assert results["arms"][0]["confusion"] is None
    assert results["arms"][0]["endpoints"]["dice"]["estimate"] > 0.6
    assert "Dice" in _page(folder)[1].text()


@pytest.mark.long
def test_folds_have_a_report(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    first = lock["split"]["folds"][0]
    second = {"train": first["train"], "validation": first["test"], "test": first["validation"]}
    for path in [*folder.glob("jobs/*/0-*"), *folder.glob("baselines/*/0-0")]:
        other = path.parent / path.name.replace("0-", "1-", 1)
        shutil.copytree(path, other)
        table = read_parquet(other / "predictions.parquet")
        swapped = np.where(table.split == "test", "validation", "test")
        write_parquet(
            Predictions(**{**vars(table), "split": swapped, "fold": table.fold + 1}), other / "predictions.parquet"
        )
    _edit_lock(
        folder,
        split={"scheme": "kfold", "folds": [first, second]},
        jobs=[*lock["jobs"], *({**job, "fold": 1} for job in lock["jobs"])],
    )
    results = write_report(folder)
    assert results["cohort"]["folds"] == 2
    assert results["cohort"]["split"]["test"] == len(first["test"]) + len(first["validation"])
    assert "24 of 24 training runs finished" in _page(folder)[1].text()


@pytest.mark.long
def test_a_second_report_is_the_same(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    write_report(folder)
    before = {path.name: path.read_bytes() for path in [folder / "report.html", folder / "results.json"]}
    write_report(folder)
    assert before == {name: (folder / name).read_bytes() for name in before}
