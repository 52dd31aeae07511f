"""The flow of data: cases of the source, exclusions with reasons, and the parts of the split."""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.figures.figure import NARROW, WIDE, Figure
from equipoise.report.figures.svg import Drawing
from equipoise.report.text.words import plural


@dataclass(frozen=True)
class Part:
    """Patients and cases of one part of the split, with cases per class."""

    name: str
    patients: int
    cases: int
    classes: dict[str, int]


def flow_figure(
    whole: Part, parts: Sequence[Part], excluded: Sequence[tuple[str, int, int]], noun: str, divided: int = 0
) -> Figure:
    """Draw boxes from source to parts; `excluded` is (reason, cases, patients), `divided`: patients in several."""
    rows: list[tuple[object, ...]] = [("excluded: " + reason, patients, cases) for reason, cases, patients in excluded]
    rows += [(part.name, part.patients, part.cases) for part in (whole, *parts)]
    kept = f"{plural(divided, 'patient')} lie in several parts." if divided else "A patient is in one part only."
    title = "From the source to the test set"
    seen = "; ".join(f"{row[0]}: {row[2]} {noun}s of {row[1]} patients" for row in rows)
    return Figure(
        "data-flow",
        title,
        f"{kept} Patients of excluded {noun}s may have other {noun}s that were kept, so numbers of patients do not add "
        "up.",
        (_flow(whole, parts, excluded, noun, seen, False),),
        ("stage", "patients", "cases"),
        tuple(rows),
        (_flow(whole, parts, excluded, noun, seen, True),),
    )


def _flow(
    whole: Part, parts: Sequence[Part], excluded: Sequence[tuple[str, int, int]], noun: str, seen: str, narrow: bool
) -> Drawing:
    width, main = (NARROW, 150.0) if narrow else (WIDE, 300.0)
    exclusions = [f"{plural(c, noun)} of {plural(p, 'patient')}: {reason}" for reason, c, p in excluded]
    lines = [text for words in exclusions for text in _wrapped(words, 27 if narrow else 95)]
    aside = max(58.0, 30.0 + 16 * len(lines))
    drawing = Drawing(width, aside + 118 + 52 + 16 * len(whole.classes) + 40, "Data flow", seen)
    in_source = whole.cases + sum(cases for _, cases, _ in excluded)
    trunk = 1 + _part_width(width, len(parts))[0] / 2
    _box(drawing, 1, 8, main, ["In the source", plural(in_source, noun)])
    if excluded:
        x = main + 28
        drawing.rect(x, 8, width - x - 1, aside, "aside")
        drawing.text(x + 12, 28, f"Left out: {plural(in_source - whole.cases, noun)}", "strong")
        for index, line in enumerate(lines):
            drawing.text(x + 12, 46 + 16 * index, line, "small")
        _arrow(drawing, main + 2, 34, x - 2, 34)
    y = aside + 34
    _arrow(drawing, trunk, 62, trunk, y - 2)
    _box(drawing, 1, y, main, ["Analysed", f"{plural(whole.cases, noun)}", plural(whole.patients, "patient")])
    _parts(drawing, parts, noun, y + 106)
    return drawing


def _parts(drawing: Drawing, parts: Sequence[Part], noun: str, y: float) -> None:
    wide, gap = _part_width(drawing.width, len(parts))
    rail = y - 18
    centres = [1 + index * (wide + gap) + wide / 2 for index in range(len(parts))]
    drawing.line(centres[0], y - 36, centres[0], rail, "arrow")
    drawing.line(centres[0], rail, centres[-1], rail, "arrow")
    for part, centre in zip(parts, centres, strict=True):
        _arrow(drawing, centre, rail, centre, y - 2)
        lines = [part.name, plural(part.patients, "patient"), plural(part.cases, noun)]
        lines += [f"{count:,} {name}" for name, count in part.classes.items()]
        _box(drawing, centre - wide / 2, y, wide, lines)


def _part_width(width: float, count: int) -> tuple[float, float]:
    gap = 8.0 if width < 400 else 50.0
    return (width - 2 - gap * (count - 1)) / count, gap


def _box(drawing: Drawing, x: float, y: float, width: float, lines: Sequence[str]) -> None:
    drawing.rect(x, y, width, 18 + 17 * len(lines), "box")
    for index, line in enumerate(lines):
        room = int((width - 16) / 6.1)
        words = line if len(line) <= room else line[: room - 1] + "…"
        drawing.text(x + 12, y + 21 + 17 * index, words, "strong" if index == 0 else "small")


def _arrow(drawing: Drawing, x1: float, y1: float, x2: float, y2: float) -> None:
    drawing.line(x1, y1, x2, y2, "arrow")
    side = (-5.0, -3.5), (-5.0, 3.5)
    tips = [(x2 + a, y2 + b) for a, b in side] if y1 == y2 else [(x2 + b, y2 + a) for a, b in side]
    drawing.polygon([(x2, y2), *tips], "tip")


def _wrapped(text: str, room: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("   ")
        lines[-1] = f"{lines[-1]} {word}".strip() if lines[-1].strip() else word
    return lines
