"""The page of `equipoise check`: pictures and statistics of the data, their problems, and leaking cases."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.case_pictures import COLOURS
from equipoise.cohorts.splits.leakage import Leak
from equipoise.cohorts.splits.split import PARTS, Fold
from equipoise.report.figures.flow import Part, flow_figure
from equipoise.report.figures.histogram import histogram
from equipoise.report.figures.svg import Drawing, style_sheet
from equipoise.report.pages.examples import png_uri
from equipoise.report.pages.explained import template_text
from equipoise.report.pages.page import drawn, unbroken
from equipoise.report.text.words import cohort_title, number, plural

SITES = ("site", "centre", "center", "hospital", "institution", "manufacturer", "scanner")
"""Attributes for the origin of a case; the first one that a cohort has is tabulated."""
MOST_CASES, MOST_PAIRS = {2: 72, 3: 24}, {2: 24, 3: 8}
"""Largest number of pictures on a page, by spatial dimensions."""
MOST_LISTED = 200


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting a cohort before training.

    cards: of its cases, with their pictures. rows: the cases as in `check --json`. sentences: the detectable difference
    and the cost of the trial. prospect: whether a verdict can come of it. trial: its name. folds: empty where there is
    no split.
    """

    cohort: Cohort
    cards: CaseCards
    folds: Sequence[Fold]
    rows: Sequence[Mapping[str, Any]]
    leaks: Sequence[Leak]
    refusals: Sequence[str]
    sentences: Sequence[str]
    warnings: Sequence[str] = ()
    prospect: str = ""
    trial: str = ""


@dataclass(frozen=True)
class Card:
    """A case with its picture and the text below it."""

    case: str
    picture: str
    words: str


def render_inspection(inspection: Inspection) -> str:
    """Render the page as self-contained HTML; all text from the data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=unbroken,
    )  # fmt: skip
    cohort = inspection.cohort
    return environment.get_template(
        "cohort.html.j2"
    ).render(
        css=Markup(style_sheet() + template_text("page.css")),  # noqa: S704 - our own files
        inspection=inspection,
        cohort=cohort,
        title=cohort_title(cohort.name, inspection.trial),
        troubled=plural(len(cohort.problems), "case"),
        leaking=plural(len(inspection.leaks), "pair"),
        patients=plural(len(set(cohort.patients.tolist())), "patient"),
        cases=plural(len(cohort), "case"),
        facts=_facts(inspection),
        problems=cohort.problems[:MOST_LISTED],
        pairs=list(_pairs(inspection)),
        flow=_flow(inspection),
        histograms=[drawn(drawing) for drawing in _histograms(inspection)],
        sites=_sites(cohort),
        gallery=[
            (title, [_card(inspection, index) for index in chosen]) for title, chosen in _shown(inspection.cohort)
        ],
        legend=list(zip(cohort.classes[1:], COLOURS, strict=False))
        if cohort.task_record.judged_structures(cohort)
        else [],
        sentences=[sentence[:1].upper() + sentence[1:] for sentence in inspection.sentences],
    )


def summary(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Summarise sizes, spacings, intensities and sites of the cases in a few lines; rows: as in `check --json`."""
    lines = [
        f"size: {_commonest(_grids(rows), 'voxels')}",
        f"spacing: {_spacing_words(cohort, rows)}",
    ]
    for channel in cohort.channels:
        low, middle, high = np.median([row["intensity"][channel] for row in rows], axis=0)
        lines.append(f"intensity of {channel}: {middle:.4g}, from {low:.4g} to {high:.4g} (medians over cases)")
    lines += _mask_lines(cohort, rows)
    sites = _sites(cohort)
    if sites:
        by_site = "; ".join(
            f"{name} {plural(counts[0], 'patient')}, {plural(counts[1], 'case')}" for name, counts in sites["rows"][:12]
        )
        lines.append(f"{sites['key']}: {by_site}")
    return lines


def class_shares(label_voxels: Mapping[str, int], classes: int) -> list[float]:
    """Return the share of each class in the labelled voxels of a case, (classes,); voxels by mask value as text."""
    counts = [label_voxels.get(str(value), 0) for value in range(classes)]
    return [count / max(sum(counts), 1) for count in counts]


def _mask_lines(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the line with the median share of the image that each class, and each region of several classes, has."""
    held = [row["label_voxels"] for row in rows if row.get("label_voxels")]
    if not held:
        return []
    shares = np.array([class_shares(voxels, len(cohort.classes)) for voxels in held])
    columns = dict(zip(cohort.classes, shares.T, strict=True))
    columns |= {name: shares[:, list(values)].sum(axis=1) for name, values in cohort.regions.items()}
    medians = ", ".join(f"{name} {100 * np.median(share):.3g} %" for name, share in columns.items())
    return [f"share of the image: {medians} (medians over cases)"]


def _grids(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(" × ".join(map(str, row["shape"][1:])) for row in rows)


def _spacings(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(" × ".join(map(_spacing, row["spacing_mm"])) for row in rows)


def _spacing_words(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> str:
    return _commonest(_spacings(rows), "mm") if cohort.spacing_stated else "not stated, so that lengths are in pixels"


def _spacing(value_mm: float) -> str:
    """Two decimals, and three digits of what is smaller than 0.1 mm, as pixels of microscopes are."""
    return number(value_mm, 2) if value_mm >= 0.1 else f"{value_mm:.3g}"


def _facts(inspection: Inspection) -> list[tuple[str, str]]:
    cohort = inspection.cohort
    files = {name for row in inspection.rows for name in row["sha256"]}
    source = "as the source states them" if cohort.patients_known else "not stated by the source"
    return [
        ("Task", f"{cohort.task}, in {cohort.spatial_dims}D"),
        ("Classes", ", ".join(cohort.classes)),
        ("Regions", ", ".join(cohort.regions)),
        ("Channels", ", ".join(cohort.channels)),
        ("Grid", _commonest(_grids(inspection.rows), "voxels")),
        ("Spacing", _spacing_words(cohort, inspection.rows)),
        ("Patients", "guesses" if cohort.patients_guessed else source),
        ("Files", f"{len(files):,}, each with its SHA-256"),
        ("Fingerprint", cohort.fingerprint()),
    ]


def _commonest(counts: Counter[str], unit: str) -> str:
    """Return the three commonest values with their numbers of cases, and the number of further values."""
    if len(counts) == 1:
        return f"{next(iter(counts))} {unit} in every case"
    commonest = "; ".join(f"{value} {unit} in {n:,}" for value, n in counts.most_common(3))
    return commonest + (f"; {len(counts) - 3} others" if len(counts) > 3 else "")


def _flow(inspection: Inspection) -> Markup | None:
    """Draw the boxes from the source to the parts; None where the cohort cannot be split."""
    if not inspection.folds:
        return None
    cohort, everyone = inspection.cohort, np.arange(len(inspection.cohort))
    parts = [_part(cohort, name, inspection.folds[0].part(name)) for name in PARTS]
    # Patients as sets: one patient's cases may be excluded for the same reason several times.
    reasons: dict[str, tuple[int, set[str]]] = {}
    for left_out in cohort.excluded:
        count, owners = reasons.get(str(left_out), (0, set()))
        reasons[str(left_out)] = (count + 1, owners | {left_out.patient})
    rows = [(reason, count, len(owners)) for reason, (count, owners) in list(reasons.items())[:12]]
    figure = flow_figure(_part(cohort, "all", everyone), parts, rows, "case")
    both = [
        *(drawn(panel, "wide") for panel in figure.panels),
        *(drawn(panel, "narrow") for panel in figure.narrow or ()),
    ]
    return Markup("").join(both)


def _part(cohort: Cohort, name: str, indices: Any) -> Part:
    classes = cohort.task_record.counts(cohort, indices)
    return Part(name, len(set(cohort.patients[indices].tolist())), len(indices), classes)


def _histograms(inspection: Inspection) -> Iterator[Drawing]:
    """Draw sizes, spacings, intensities, class volumes and cases per patient, as far as they differ between cases."""
    rows, cohort = inspection.rows, inspection.cohort
    axes = ("x", "y", "z")[: cohort.spatial_dims][::-1]
    for axis, name in enumerate(axes):
        yield from _spread(f"Size along {name}", [row["shape"][1 + axis] for row in rows], "voxels")
        yield from _spread(f"Spacing along {name}", [row["spacing_mm"][axis] for row in rows], "mm")
    for series, channel in enumerate(cohort.channels):
        levels = np.array([row["intensity"][channel] for row in rows])
        yield from _spread(f"{channel}: median of each case", levels[:, 1], "intensity", series)
        yield from _spread(f"{channel}: 1st to 99th percentile", levels[:, 2] - levels[:, 0], "width", series)
    yield from _volumes(inspection)
    if cohort.size_attribute:
        sizes = [case.attributes.get(cohort.size_attribute, np.nan) for case in cohort.cases]
        yield from _spread(cohort.size_attribute.replace("_", " "), sizes, "of each case")
    per_patient = list(Counter(cohort.patients.tolist()).values())
    if len(set(per_patient)) > 1:
        yield histogram("Cases of each patient", per_patient, "cases", "patients")


def _volumes(inspection: Inspection) -> Iterator[Drawing]:
    """Draw the volume (3D, ml) or area (2D, mm²) of each class of the masks over the cases."""
    unit, to_unit = ("ml", 1e-3) if inspection.cohort.spatial_dims == 3 else ("mm²", 1.0)
    if not inspection.cohort.spacing_stated:
        unit, to_unit = ("voxels" if inspection.cohort.spatial_dims == 3 else "pixels"), 1.0
    judged = inspection.cohort.task_record.judged_structures(inspection.cohort)
    masked = [row for row in inspection.rows if "label_voxels" in row] if judged else []
    for value, name in enumerate(inspection.cohort.classes[1:], start=1):
        sizes = [row["label_voxels"].get(str(value), 0) * np.prod(row["spacing_mm"]) * to_unit for row in masked]
        if sizes:
            empty = sum(size == 0 for size in sizes)
            yield histogram(f"{name}" + (f", absent in {empty}" if empty else ""), sizes, unit, series=value - 1)


def _spread(title: str, values: Sequence[float] | Any, label: str, series: int = 0) -> Iterator[Drawing]:
    """Draw a histogram, unless all values are equal."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(np.unique(numbers[np.isfinite(numbers)])) > 1:
        yield histogram(title, numbers, label, series=series)


def _sites(cohort: Cohort) -> dict[str, Any] | None:
    """Count patients, cases and classes of every site; None where no attribute states the origin of the cases."""
    key = next((name for name in SITES if any(name in case.attributes for case in cohort.cases)), None)
    if key is None:
        return None
    members: dict[str, list[int]] = {}
    for index, case in enumerate(cohort.cases):
        members.setdefault(str(case.attributes.get(key, "unknown")), []).append(index)
    parts = [_part(cohort, name, np.array(indices)) for name, indices in sorted(members.items())]
    classes = list(cohort.task_record.counts(cohort))
    rows = [(part.name, [part.patients, part.cases, *part.classes.values()]) for part in parts]
    return {"key": key, "heads": ["patients", "cases", *classes], "rows": rows}


def _shown(cohort: Cohort) -> Iterator[tuple[str, list[int]]]:
    """Choose evenly spaced cases of every class, or of all cases where the truth is a mask."""
    most = MOST_CASES[cohort.spatial_dims]
    groups = (
        [(name, np.flatnonzero(cohort.labels == index)) for index, name in enumerate(cohort.classes)]
        if cohort.task_record.has_labels
        else [("", np.arange(len(cohort)))]
    )
    for name, members in groups:
        # Evenly spaced and not random: the same page for the same data, and cases of all sites in a list ordered by
        # site.
        few = min(len(members), max(1, most // len(groups)))
        chosen = members[np.unique(np.linspace(0, len(members) - 1, few).astype(int))] if len(members) else members
        count = f"{len(chosen)} of {plural(len(members), 'case')}"
        yield (f"{name}: {count}" if name else count), chosen.tolist()


def _pairs(inspection: Inspection) -> Iterator[tuple[str, Card, Card]]:
    """Return the first leaking pairs, in the order of their kinds."""
    index = {case.id: number for number, case in enumerate(inspection.cohort.cases)}
    for leak in inspection.leaks[: MOST_PAIRS[inspection.cohort.spatial_dims]]:
        yield leak.in_words, _card(inspection, index[leak.a]), _card(inspection, index[leak.b])


def _card(inspection: Inspection, index: int) -> Card:
    case = inspection.cohort.cases[index]
    part = next((name for name in PARTS if inspection.folds and index in inspection.folds[0].part(name)), "")
    patient = case.patient if case.patient != case.id else ""
    words = ", ".join(filter(None, (patient, _label(case, inspection.cohort), part)))
    return Card(case.id, png_uri(inspection.cards.shown(index)), words)


def _label(case: Case, cohort: Cohort) -> str:
    return "" if case.label is None else cohort.classes[case.label]
