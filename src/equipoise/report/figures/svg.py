"""Build accessible SVG drawings, styled by CSS classes alone, so that page, dark mode and print define the colours."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.sinks import printable

MARKERS = ("circle", "square", "triangle", "diamond")
SERIES = 8
"""Number of series styles (colour, dash, marker); further series begin again."""


@dataclass
class Drawing:
    """Shapes on a canvas of width × height CSS pixels (y grows downwards), with a title and a description in words."""

    width: float
    height: float
    title: str
    description: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Add a straight line."""
        self.parts.append(f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{style}"/>')

    def rect(self, x: float, y: float, width: float, height: float, style: str, opacity: float | None = None) -> None:
        """Add a rectangle; opacity in [0, 1] overrides that of its style."""
        extra = "" if opacity is None else f' fill-opacity="{_n(opacity)}"'
        size = f'width="{_n(max(width, 0))}" height="{_n(max(height, 0))}"'
        self.parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" {size} class="{style}"{extra}/>')

    def polyline(self, x: ArrayLike, y: ArrayLike, style: str) -> None:
        """Add a line through points; points that are not finite interrupt it."""
        points = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
        finite = np.isfinite(points).all(axis=1)
        for run in np.split(np.arange(len(points)), np.flatnonzero(np.diff(finite)) + 1):
            if run.size > 1 and finite[run[0]]:
                self.parts.append(f'<polyline points="{_points(points[run])}" class="{style}"/>')

    def polygon(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """Add a closed shape."""
        self.parts.append(f'<polygon points="{_points(points)}" class="{style}"/>')

    def text(
        self, x: float, y: float, words: str, style: str = "t", anchor: str = "start", turned: float = 0.0
    ) -> None:
        """Add one line of text; anchor is "start", "middle" or "end"; turned: degrees clockwise around (x, y)."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        place += f' transform="rotate({_n(turned)} {_n(x)} {_n(y)})"' if turned else ""
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}" class="{style}"{place}>{escape(printable(words))}</text>')

    def marker(self, x: float, y: float, series: int, size: float = 4.0, style: str = "m") -> None:
        """Add the marker of a series, which differs from others in shape and colour."""
        # Colour alone would fail readers who are colour-blind, and prints in grey.
        shape, colour = MARKERS[series % len(MARKERS)], f"{style} c{series % SERIES}"
        if shape == "circle":
            self.parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}" class="{colour}"/>')
        elif shape == "square":
            half = 0.9 * size
            self.rect(x - half, y - half, 2 * half, 2 * half, colour)
        elif shape == "triangle":
            corners = [(x, y - 1.2 * size), (x + 1.1 * size, y + 0.8 * size), (x - 1.1 * size, y + 0.8 * size)]
            self.polygon(corners, colour)
        else:
            half = 1.25 * size
            self.polygon([(x, y - half), (x + half, y), (x, y + half), (x - half, y)], colour)

    @contextmanager
    def hint(self, words: str) -> Iterator[None]:
        """Give all shapes of the block words that a pointer over them shows; without words, nothing."""
        self.parts.append(f"<g><title>{escape(words)}</title>" if words else "<g>")
        yield
        self.parts.append("</g>")

    def inline(self, style: str = "") -> str:
        """Return the drawing as an element of a page, which contains the style sheet."""
        names = f' class="drawing {style}"' if style else ' class="drawing"'
        # Its own size in pixels, so that text has one size in all drawings of a page; a narrow page shrinks them.
        size = f'width="{_n(self.width)}" height="{_n(self.height)}"'
        return f"<svg{names} {size} {self._head()}>{self._words()}{''.join(self.parts)}</svg>"

    def _head(self) -> str:
        label = escape(printable(self.title), quote=True)
        return f'viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" aria-label="{label}"'

    def _words(self) -> str:
        return f"<title>{escape(printable(self.title))}</title><desc>{escape(printable(self.description))}</desc>"


def standalone(drawings: Sequence[Drawing], title: str, columns: int = 2, gap: float = 24.0) -> str:
    """Return drawings side by side as one SVG file with its own style, in light colours, for papers and slides."""
    columns = min(columns, len(drawings))
    wide, high = max(d.width for d in drawings) + gap, max(d.height for d in drawings) + gap
    rows = -(-len(drawings) // columns)
    inner = "".join(
        f'<svg x="{_n(gap + index % columns * wide)}" y="{_n(gap + index // columns * high)}" overflow="visible" '
        f'width="{_n(d.width)}" height="{_n(d.height)}" {d._head()}>{d._words()}{"".join(d.parts)}</svg>'
        for index, d in enumerate(drawings)
    )
    size = (gap + columns * wide, gap + rows * high)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {_n(size[0])} {_n(size[1])}" '
        f'width="{_n(size[0])}" height="{_n(size[1])}"><title>{escape(title)}</title><style>{plain_sheet()}</style>'
        f'<rect width="100%" height="100%" class="page"/>{inner}</svg>\n'
    )


def colours(mode: str = "light") -> dict[str, str]:
    """Return the palette by name, as hexadecimal colours; mode is "light" or "dark"."""
    roots = re.findall(r":root\{(.*?)\}", style_sheet(), flags=re.DOTALL)
    return dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", roots[("light", "dark").index(mode)]))


def style_sheet() -> str:
    """Return the style sheet of drawings inside a page, for light mode, dark mode and print."""
    return files("equipoise.report.figures").joinpath("figure.css").read_text(encoding="utf-8")


def plain_sheet() -> str:
    """Return the style sheet without variables and modes, which drawing programs and word processors cannot read."""
    palette = colours()
    rules = re.findall(r"^(\.drawing[^\n]*)$", style_sheet(), flags=re.MULTILINE)
    # Variables are replaced by the colours of light mode: papers and slides have a white ground.
    plain = []
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", "".join(rules)):
        if "var(--c)" not in body:
            plain.append(f"{selector}{{{body}}}")
            continue
        plain += [f"{selector}.c{i}{{{body.replace('var(--c)', f'var(--s{i})')}}}" for i in range(SERIES)]
    return re.sub(r"var\(--([\w-]+)\)", lambda name: palette[name[1]], "".join(plain))


@dataclass(frozen=True)
class Frame:
    """A rectangle of a drawing with data coordinates: x grows to the right, y upwards."""

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float] = (0.0, 1.0)

    def x(self, value: ArrayLike) -> NDArray[np.float64]:
        """Data → canvas, clipped to the frame."""
        return self.left + self.width * _share(value, self.x_range)

    def y(self, value: ArrayLike) -> NDArray[np.float64]:
        """Data → canvas, clipped to the frame."""
        return self.top + self.height * (1 - _share(value, self.y_range))

    def x_axis(
        self, ticks: Sequence[float], label: str = "", grid: bool = False, words: Sequence[str] | None = None
    ) -> None:
        """Add tick labels below the frame (numbers, or `words` instead), optional grid lines, and the axis label."""
        bottom = self.top + self.height
        for tick, text in zip(ticks, words or [tick_label(tick, ticks) for tick in ticks], strict=True):
            at = float(self.x(tick))
            self.drawing.line(at, self.top if grid else bottom, at, bottom if grid else bottom + 4, "rule")
            self.drawing.text(at, bottom + 16, text, "tick", "middle")
        self.drawing.line(self.left, bottom, self.left + self.width, bottom, "axis")
        if label:
            self.drawing.text(self.left + self.width / 2, bottom + 33, label, "label", "middle")

    def y_axis(self, ticks: Sequence[float], label: str = "") -> None:
        """Add tick labels left of the frame with grid lines; the axis label is above, where it can be horizontal."""
        for tick in ticks:
            at = float(self.y(tick))
            self.drawing.line(self.left, at, self.left + self.width, at, "rule")
            self.drawing.text(self.left - 7, at + 4, tick_label(tick, ticks), "tick", "end")
        if label:
            self.drawing.text(0, self.top - 10, label, "label")

    def curve(self, x: ArrayLike, y: ArrayLike, style: str) -> None:
        """Add a line in data coordinates."""
        values = np.asarray(y, dtype=float)
        self.drawing.polyline(self.x(x), np.where(np.isfinite(values), self.y(values), np.nan), style)

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, style: str) -> None:
        """Add the area between two curves in data coordinates."""
        across = self.x(x)
        upper, lower = zip(across, self.y(high), strict=True), zip(across[::-1], self.y(low)[::-1], strict=True)
        self.drawing.polygon([*upper, *lower], style)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` round numbers from low to high.

    >>> nice_ticks(0.81, 0.97)
    [0.85, 0.9, 0.95]
    """
    span = high - low
    if not np.isfinite(span) or span <= 0:
        return [low]
    rough = span / max(about, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999), default=10)
    first = np.ceil(low / step - 1e-9) * step
    # Adding 0.0 turns −0.0 into 0.0, which would be labelled with a minus sign.
    return [round(float(tick), 10) + 0.0 for tick in np.arange(first, high + step * 1e-6, step)]


def tick_label(tick: float, ticks: Sequence[float]) -> str:
    """Return a tick as text with the decimals that all ticks need, and a true minus sign."""
    decimals = max((len(f"{t:.6f}".rstrip("0").split(".")[1]) for t in ticks), default=0)
    return f"{tick:.{decimals}f}".replace("-", "−")


def _share(value: ArrayLike, limits: tuple[float, float]) -> NDArray[np.float64]:
    span = limits[1] - limits[0]
    inside: NDArray[np.float64] = np.clip(np.asarray(value, dtype=np.float64), *limits)
    return (inside - limits[0]) / (span or 1.0)


def _n(value: float) -> str:
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


def _points(points: Iterable[Sequence[float]]) -> str:
    return " ".join(f"{_n(p[0])},{_n(p[1])}" for p in points)
