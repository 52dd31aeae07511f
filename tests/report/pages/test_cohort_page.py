"""The page of `check`: everything that was found is on it, and it opens offline."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from equipoise import cli
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem
from equipoise.cohorts.splits.leakage import Leak
from equipoise.cohorts.splits.split import split
from equipoise.report.figures.histogram import histogram
from equipoise.report.pages.cohort_page import MOST_CASES, MOST_PAIRS, Inspection, render_inspection, summary
from equipoise.testing.phantoms.cases import phantom

_VOID = {"meta", "img", "br", "rect", "line", "polyline", "polygon"}


class Page(HTMLParser):
    """Checks that every element is closed in order; collects words and pictures."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(str(dict(attrs)["src"]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["desc"]):
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(filter(None, self.words)).replace("\u00a0", " "))


def rows_of(cohort: Cohort) -> Iterator[dict]:
    for case in cohort.cases:
        image = case.read()
        row = {"shape": list(image.array.shape), "spacing_mm": list(image.spacing_mm), "sha256": dict(case.sha256)}
        row["intensity"] = {
            name: [float(v) for v in np.percentile(channel, [1, 50, 99])]
            for name, channel in zip(cohort.channels, image.array, strict=True)
        }
        if image.mask is not None:
            values, counts = np.unique(image.mask, return_counts=True)
            row["label_voxels"] = {str(v): int(n) for v, n in zip(values, counts, strict=True)}
        yield row


def inspected(cohort: Cohort, **more: object) -> Inspection:
    folds = split(cohort) if cohort.task == "classification" else ()
    said = ("Something could be shown.",)
    facts: dict = {"leaks": (), "refusals": (), "sentences": said, "prospect": "A verdict is possible."} | more
    return Inspection(cohort, CaseCards(cohort), facts.pop("folds", folds), list(rows_of(cohort)), **facts)


@pytest.fixture(scope="module")
def everything() -> tuple[Inspection, str]:
    cohort = phantom(cases=150, size=16)
    cases = tuple(
        replace(case, attributes=MappingProxyType({**case.attributes, "site": "<A & B>" if index % 3 else "C"}))
        for index, case in enumerate(cohort.cases)
    )
    cohort = replace(
        cohort,
        cases=cases,
        problems=(Problem("case-9", "there/x.nii.gz", "the <stream> ends early", "copy it again"),),
        excluded=(Exclusion("e1", "p1", "too small"), Exclusion("e2", "p1", "too small")),
    )
    leaks = [Leak(cases[k].id, cases[k + 1].id, "near") for k in range(30)]
    found = inspected(
        cohort,
        leaks=leaks,
        prospect="No verdict is possible: a run would be refused.",
        refusals=["30 pairs leak"],
        warnings=["the age tells the class"],
        sentences=["differences from 0.1 on are found."],
    )
    return found, render_inspection(found)


@pytest.mark.long
def test_everything_found_stands_on_the_page(everything: tuple[Inspection, str]) -> None:
    found, text = everything
    page = Page(text)
    said = page.text
    for words in (
        "150 cases of 75 patients",
        "Can a trial on these data reach a verdict? No verdict is possible: a run would be refused. 30 pairs leak",
        "Differences from 0.1 on are found.",
        "case-9 the <stream> ends early copy it again there/x.nii.gz",
        "Warnings the age tells the class",
        "The first 24 are shown",
        "2 cases of 1 patient: too small",
        "16 × 16 voxels in every case",
        "1.00 × 1.00 mm in every case",
        "Cases by site",
        "<A & B>",
        "channel 0: median of each case",
        "Cases of each patient",
        "diameter mm",
        found.cohort.fingerprint(),
    ):
        assert words in said, words
    shown = re.search(r"benign: (\d+) of 75 cases", said)
    assert shown
    assert int(shown[1]) == MOST_CASES[2] // 2
    assert len(page.pictures) == MOST_CASES[2] + 2 * MOST_PAIRS[2]


@pytest.mark.long
def test_the_same_in_a_few_lines(everything: tuple[Inspection, str]) -> None:
    found, _ = everything
    size, spacing, intensity, sites = summary(found.cohort, found.rows)
    assert size == "size: 16 × 16 voxels in every case"
    assert spacing == "spacing: 1.00 × 1.00 mm in every case"
    assert re.fullmatch(
        r"intensity of channel 0: -?[\d.e-]+, from -?[\d.e-]+ to [\d.e-]+ \(medians over cases\)", intensity
    )
    assert re.fullmatch(r"site: <A & B> \d+ patients, 100 cases; C \d+ patients, 50 cases", sites)


@pytest.mark.long
def test_the_page_asks_the_network_for_nothing(everything: tuple[Inspection, str]) -> None:
    _, text = everything
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    for forbidden in ("url(", "@import", "<script", "http:", "https:"):
        assert forbidden not in text
    assert "<stream>" not in text
    assert len(text) < 2_000_000


@pytest.mark.long
def test_masks_have_a_legend_and_volumes(tmp_path: Path) -> None:
    cohort = phantom(task="segmentation", cases=6, size=12, spatial_dims=3, classes=3)
    page = Page(render_inspection(inspected(cohort)))
    assert "lesion" in page.text
    assert "ml" in page.words
    assert "6 of 6 cases" in page.text
    assert len(page.pictures) == 6
    assert "From the source to the parts" not in page.text


@pytest.mark.long
def test_unknown_and_guessed_patients_are_called_so() -> None:
    unknown = phantom(cases=40, size=12)
    unknown = replace(unknown, patients_known=False)
    assert "not stated by the source" in Page(render_inspection(inspected(unknown))).text
    assert "Patients guesses" in Page(render_inspection(inspected(replace(unknown, patients_guessed=True)))).text


@pytest.mark.long
def test_grids_that_differ_are_counted() -> None:
    cases = tuple(
        Case(str(n), str(n), partial(Image, np.ones((1, 8 + n % 5, 9)), (1.0, 0.5)), n % 2) for n in range(30)
    )
    text = Page(render_inspection(inspected(Cohort("c", "classification", cases, ("a", "b"), ("x",), 2)))).text
    assert "8 × 9 voxels in 6; 9 × 9 voxels in 6; 10 × 9 voxels in 6; 2 others" in text
    assert "Size along y" in text
    assert "Size along x" not in text


def test_histograms_count_every_value() -> None:
    drawing = histogram("Ages", [1, 2, 2, 5], "years", "patients")
    assert "median 2, from 1 to 5" in drawing.description
    bars = [part for part in drawing.parts if "bar" in part]
    assert len(bars) == 5, "one bar a whole number"
    assert len([part for part in histogram("x", np.linspace(0, 1, 100), "y").parts if "bar" in part]) == 20


@pytest.mark.long
def test_check_writes_the_page_and_says_where_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(
        '[cohort]\nsource = "phantom"\ntask = "segmentation"\ncases = 2\nsize = 12\n'
        '[[arms]]\nname = "u"\nmodel = "unet"\n'
    )
    cli.main(["check", str(protocol), "--quiet", "--page", str(tmp_path / "page.html")])
    assert "2 cases of 1 patient" in Page((tmp_path / "page.html").read_text()).text
    assert cli.main(["check", str(protocol), "--quiet", "--page", str(tmp_path)]) == 1
    assert "name another file" in capsys.readouterr().err


def test_pixels_are_no_millimetres() -> None:
    cohort = replace(phantom(cases=6, size=16, task="segmentation"), spacing_stated=False)
    lines = summary(cohort, list(rows_of(cohort)))
    assert "spacing: not stated, so that lengths are in pixels" in lines
    assert not any("mm" in line for line in lines)
