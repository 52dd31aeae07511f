"""Nothing on a page contradicts the numbers beside it: random results, rendered by the real functions, read again."""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest
from report.random_results import TRUTH, random_run

from equipoise.report.figures.figure import Figure
from equipoise.report.pages.assemble import all_figures
from equipoise.report.pages.page import render
from equipoise.report.summary import results_of
from equipoise.report.text.words import typographic
from equipoise.runfolder.read import RunFolder
from equipoise.statistics.endpoints import described

UNJUDGED = ("refused", "single_run")
_INTERVAL = re.compile(r"(?<![\d.])(−?\d+\.\d+) to (−?\d+\.\d+)")
_MEANS = re.compile(r"(−?[\d.]+) against (−?[\d.]+)(?: \w+)?, a difference of (−?[\d.]+)")
_LINE = re.compile(r'<line x1="([\d.-]+)" y1="[\d.-]+" x2="([\d.-]+)" y2="[\d.-]+" class="s (?:whisker|thin)')
_SHADE = re.compile(r'<rect x="([\d.-]+)" y="[\d.-]+" width="([\d.-]+)" height="[\d.-]+" class="shade"')
_ZERO = re.compile(r'<line x1="([\d.-]+)" [^>]*class="zero"')
_NOT_OF_METHODS = re.compile(r"nothing|not\b|methods paragraph", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """A rendered page: its numbers, its visible text, its figures."""

    run: RunFolder
    results: dict[str, Any]
    text: str
    figures: Mapping[str, Figure]

    @property
    def pairs(self) -> list[dict[str, Any]]:
        return [*self.results["comparisons"], *self.results["baseline_comparisons"]]

    @property
    def single(self) -> bool:
        return all(len(arm["seeds"]) <= 1 for arm in self.results["arms"])


def page_of(run: RunFolder) -> Page:
    results = results_of(run)
    figures = all_figures(run, results)
    page = render(run, results, figures)
    body = re.sub(r"(?s)<(style|script)\b.*?</\1>", " ", page)
    body = re.sub(r'(?s)<section id="words">.*?</section>', " ", body)  # of words, not of this trial
    text = html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ")
    return Page(run, results, re.sub(r"\s+", " ", text), {figure.name: figure for figure in figures})


def drawn_intervals(page: Page) -> Iterator[str]:
    """The bar that is drawn agrees with the verdict beside it."""
    figure = page.figures.get("differences")
    margin = page.results["endpoints"]["margin"]
    for row in figure.rows if figure else ():
        a, b, *_, verdict, _, _, low, high, _ = row
        if verdict == "equivalent" and not (-margin < low <= high < margin):
            yield f"{a}, {b} are equivalent with the interval {low} to {high} beyond {margin}"
        if verdict in ("a_better", "b_better") and low <= 0 <= high:
            yield f"a better arm of {a}, {b} with the interval {low} to {high} over zero"
        if verdict == "not_enough_data" and not low <= 0 <= high and not _pair(page, a, b)["withheld"]:
            yield f"{a}, {b} undecided with the interval {low} to {high} beside zero"
    if figure is not None:
        yield from _drawn(figure)


def _drawn(figure: Figure) -> Iterator[str]:
    """The same, read off the drawing itself: bars against the shade of the margin and the line of zero."""
    parts = figure.panels[0].parts
    bars = [(float(bar[1]), float(bar[2])) for bar in map(_LINE.search, parts) if bar]
    known = [row for row in figure.rows if row[-3] is not None]
    if len(bars) != len(known):
        yield f"{len(known)} intervals, {len(bars)} bars"
        return
    shade = next((hit for hit in map(_SHADE.search, parts) if hit), None)
    zero = next(float(hit[1]) for hit in map(_ZERO.search, parts) if hit)
    for row, (left, right) in zip(known, bars, strict=True):
        start = float(shade[1]) if shade else 0.0
        end = start + float(shade[2]) if shade else 0.0
        if row[7] == "equivalent" and not start - 0.1 <= left <= right <= end + 0.1:
            yield f"{row[0]}, {row[1]} are equivalent with a bar outside the margin"
        if row[7] in ("a_better", "b_better") and left + 0.1 < zero < right - 0.1:
            yield f"a better arm of {row[0]}, {row[1]} with a bar over zero"


def _pair(page: Page, a: str, b: str) -> dict[str, Any]:
    return next(pair for pair in page.results["comparisons"] if (pair["a"], pair["b"]) == (a, b))


def sentences(page: Page) -> Iterator[str]:
    """The page's sentence on a pair is the reason in results.json, and speaks of the endpoint by the page's name."""
    for pair in page.pairs:
        if typographic(pair["reason"]) not in page.text:
            yield f"not on the page: {pair['reason']}"
        beside = "beyond the margin" in pair["reason"] or "smaller than the margin" in pair["reason"]
        if pair["verdict"] in ("a_better", "b_better") and bool(pair["margin"]) != beside:
            yield f"nothing on the margin: {pair['reason']}"
    if len(page.results["cohort"]["classes"]) > 2 and re.search(r"(?<![Mm]acro )\bAUC\b", page.text):
        yield "the macro AUC is called AUC too"


def recommendation(page: Page) -> Iterator[str]:
    """Nothing is put above an arm that was not judged, and undecided arms are not equal."""
    results, advice = page.results, page.results["recommendation"]["accuracy"]
    entries = [*results["arms"], *results["baselines"]]
    lost = [e["name"] for e in entries if e["endpoints"][results["endpoints"]["primary"]]["estimate"] is None]
    if advice["arm"] is not None and lost:
        yield f"{advice['arm']} recommended beside {lost}, which was not judged"
    tied = [name for name in (advice["arm"], *advice["tied_with"]) if name is not None]
    verdicts = {frozenset((pair["a"], pair["b"])): pair["verdict"] for pair in results["comparisons"]}
    decided = [verdicts.get(frozenset(pair)) for pair in combinations(tied, 2)]
    if re.search(r"\b[Aa]ny of|take the cheapest", page.text) and not all(one == "equivalent" for one in decided):
        yield f"any of {tied}, which are {decided}"
    if results["ranking"] and (lost or any(pair["verdict"] in UNJUDGED for pair in results["comparisons"])):
        yield "a ranking beside arms that were not judged"
    # In the answer itself, which may first name several arms with their reasons, and so before the next section.
    beside = page.text.partition("Which one should be used?")[2].partition("training runs finished")[0]
    if not page.run.sources and TRUTH not in beside:
        yield "a recommendation without its truth"


def record(page: Page) -> Iterator[str]:
    """The record is called verified, and the trial exploratory, where results.json says so."""
    missing = any(row["status"] == "missing" for row in page.results["failures"])
    if re.search(r"(?<!NOT )\bverified\b", page.text.replace("could not be verified", "")) and (
        missing or not page.results["ledger"]["verified"]
    ):
        yield "verified beside a broken record"
    if ("Exploratory :" in page.text) != (page.results["exploratory"] or bool(page.run.sources)):
        yield "exploratory in one place only"
    excluded = sum(row["cases"] for row in page.results["cohort"]["excluded"])
    if "Nothing was left out" in page.text or (excluded and re.search("no case was left out|No case of", page.text)):
        yield "nothing left out beside exclusions"
    seeds = {tuple(arm["seeds"]) for arm in page.results["arms"]}
    if "same seeds in every arm" in page.text and (len(seeds) > 1 or page.results["failures"]):
        yield "the same seeds in every arm, although they are not"


def digits(page: Page) -> Iterator[str]:
    """No bound reads 0 that is not 0, no error reads 0, and means that differ read so."""
    exact = any(abs(bound) < 1e-8 for bound in _bounds(page.results))
    for low, high in _INTERVAL.findall(page.text):
        if not exact and 0.0 in (float(low.replace("−", "-")), float(high.replace("−", "-"))):
            yield f"{low} to {high}"
    for first, second, gap in _MEANS.findall(page.text):
        if first == second and float(gap.strip(".").replace("−", "-")) != 0:
            yield f"{first} against {second} is called a difference"
    for more, less in re.findall(
        r"squared standard error by (\d+) %, twice the patients by (\d+) %: more \w+ would", page.text
    ):
        if abs(int(more) - int(less)) < 5:
            yield f"{more} % against {less} % is called a difference"
    if re.search(r"\b(nan|inf|NaN)\b", page.text):
        yield "a number that is none"


def _bounds(value: Any) -> Iterator[float]:
    """All numbers of results.json that may be printed as a bound."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _bounds(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _bounds(inner)
    elif isinstance(value, float):
        yield value


def units(page: Page) -> Iterator[str]:
    """No unit is claimed where nothing stated a spacing."""
    if page.run.sources and not page.results["endpoints"]["units_stated"] and re.search(r"\bmm\b", page.text):
        yield "mm without a spacing"


def ranges(page: Page) -> Iterator[str]:
    """No interval of an arm leaves the range of its metric."""
    classes = len(page.results["cohort"]["classes"])
    for entry in (*page.results["arms"], *page.results["baselines"]):
        for name, value in entry["endpoints"].items():
            one = described(name, classes)
            second = value.get("beside") or {}
            bounds = [value["low"], value["high"], second.get("low"), second.get("high")]
            if any(bound is not None and not one.low <= bound <= one.high for bound in bounds):
                yield f"{name} of {entry['name']}: {bounds}"
    if "CPM" in page.text:
        for low, high in re.findall(r"CPM [\d.]+ \(([\d.]+) to ([\d.]+)\)", page.text):
            if not 0 <= float(low) <= float(high) <= 1:
                yield f"CPM {low} to {high}"


def single_runs(page: Page) -> Iterator[str]:
    """A page of single runs says nothing of methods, of readers, or of what several runs would show."""
    if not page.single:
        return
    for words in ("over patients and training runs", "mean over runs", "mean over the training runs", "as readers",
                  "Mean of one training run", "averaged over its training runs"):  # fmt: skip
        if words in page.text:
            yield f"a single run's page: {words}"
    for sentence in re.split(r"(?<=[.:;]) ", page.text):
        if re.search(r"\bthe methods\b", sentence) and not _NOT_OF_METHODS.search(sentence):
            yield f"a single run's page: {sentence}"


def rates(page: Page) -> Iterator[str]:
    """A sensitivity at one threshold does not stand beside a rate at another under the same name."""
    for entry in (*page.results["arms"], *page.results["baselines"]):
        point, shares = entry.get("operating_point"), entry.get("class_rates") or {}
        if point and shares and point["sensitivity"]["estimate"] == 1 and shares["malignant"]["estimate"] == 0:
            scores = page.run.finished(entry["name"])[0].predictions
            if scores is not None and len(set(scores.scores[:, 1].tolist())) == 1:
                yield "a threshold among equal scores"
    if point_of(page) and "At another threshold" not in page.text:
        yield "a rate without its threshold"


def point_of(page: Page) -> bool:
    return any(entry.get("operating_point") for entry in (*page.results["arms"], *page.results["baselines"]))


def planning(page: Page) -> Iterator[str]:
    """The patients that would tell are never fewer than the plan says, nor than were tested in vain."""
    for pair in page.pairs:
        stated = re.search(r"about ([\d,]+) test patients", pair["reason"])
        if stated and int(stated[1].replace(",", "")) < (pair["patients_needed"] or 0):
            yield f"{pair['patients_needed']} needed: {pair['reason']}"
        enough = re.search(r"is (?:over )?(\d+) %", pair["reason"].partition("The power of this design")[2])
        if enough and int(enough[1]) >= 80 and "no number of patients is enough" in pair["reason"]:
            yield f"enough power and never enough patients: {pair['reason']}"
    folds = page.results["cohort"]["folds"]
    if folds > 1 and "for the networks fitted in these folds" not in page.text:
        yield "an interval under cross-validation that does not say what it is of"


CHECKS: tuple[Callable[[Page], Iterator[str]], ...] = (
    drawn_intervals, sentences, recommendation, record, digits, units, ranges, single_runs, rates, planning,
)  # fmt: skip


def contradictions(run: RunFolder) -> list[str]:
    page = page_of(run)
    return [f"{check.__name__}: {complaint}" for check in CHECKS for complaint in check(page)]


@pytest.mark.parametrize("number", range(2))
def test_a_random_page_does_not_contradict_itself(number: int) -> None:
    assert contradictions(random_run(number)) == []


@pytest.mark.long
@pytest.mark.parametrize("number", range(2, 10))
def test_random_pages_do_not_contradict_themselves(number: int) -> None:
    assert contradictions(random_run(number)) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10, 200))
def test_two_hundred_random_pages_do_not_contradict_themselves(number: int) -> None:
    assert contradictions(random_run(number)) == []
