"""How often does an interval of one network contain the truth? The product's intervals beside those in common use.

Run `python benchmarks/interval_coverage.py [--trials 1000] [--only NAME] [--real TABLE.csv COLUMN] [--write]`; with
`--write` the table of `docs/statistics.md` is made anew. All cells take about 15 minutes of one core.

The design is that of Andre et al. 2026 (arXiv 2601.17103), the largest study of such intervals: a distribution of cases
with known truth, test sets of 25 to 1,000 cases drawn from it, several metrics, several interval methods, coverage and
width. Theirs came from the results of 24 tasks and 19 networks; here they are drawn (shapes named below), or, with
`--real`, the values of a table of real cases, smoothed: each draw is a case of the table moved by a little noise inside
the range, so that the true mean is known by a million draws.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import rankdata

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import analyse, interval
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.panel import align

Array = NDArray[np.float64]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage begins -->", "<!-- coverage ends -->"
SIZES = (25, 50, 100, 250, 1000)
REPLICATES = 400
LEVEL = 0.95
MOST_LEFT_OUT = 250  # above, skewness no longer moves BCa, and leaving out each case in turn costs n squared


@dataclass(frozen=True)
class Cell:
    """A distribution of cases and a metric: `draw` gives (truth, scores) or (values,); `value` a metric of rows."""

    name: str
    metric: str
    draw: Callable[[np.random.Generator, int], tuple[Array, ...]]
    value: Callable[..., Array]


def _binormal(prevalence: float, area: float) -> Callable[[np.random.Generator, int], tuple[Array, ...]]:
    shift = float(np.sqrt(2) * ndtri(area))

    def draw(generator: np.random.Generator, n: int) -> tuple[Array, ...]:
        """Draw the truth and the probability of the second class."""
        truth = (generator.random(n) < prevalence).astype(float)
        return truth, ndtr((generator.normal(size=n) + shift * (truth - 0.5)) / 1.5)

    return draw


def _auc(truth: Array, score: Array) -> Array:
    """Return the area of every row (rows, n); NaN with one class."""
    positives = truth.sum(axis=-1)
    ranks = rankdata(score, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = positives * (truth.shape[-1] - positives)
        return np.asarray(((ranks * truth).sum(axis=-1) - positives * (positives + 1) / 2) / pairs)


def _accuracy(truth: Array, score: Array) -> Array:
    return np.asarray(((score > 0.5) == (truth > 0.5)).mean(axis=-1))


def _balanced(truth: Array, score: Array) -> Array:
    hit = (score > 0.5) == (truth > 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        sides = [(hit * side).sum(axis=-1) / side.sum(axis=-1) for side in (truth, 1 - truth)]
    return np.asarray((sides[0] + sides[1]) / 2)


def _precision(truth: Array, score: Array) -> Array:
    """Return the average precision of every row."""
    order = np.argsort(-score, axis=-1)
    sorted_truth = np.take_along_axis(np.broadcast_to(truth, score.shape), order, axis=-1)
    hits = sorted_truth.cumsum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sorted_truth * hits / np.arange(1, score.shape[-1] + 1)
        return np.asarray(shares.sum(axis=-1) / sorted_truth.sum(axis=-1))


def _brier(truth: Array, score: Array) -> Array:
    return np.asarray(((score - truth) ** 2).mean(axis=-1))


def _mean(values: Array) -> Array:
    return np.asarray(values.mean(axis=-1))


def _dice(missed: float, a: float, b: float) -> Callable[[np.random.Generator, int], tuple[Array, ...]]:
    return lambda generator, n: (np.where(generator.random(n) < missed, 0.0, generator.beta(a, b, n)),)


def _two_humps(generator: np.random.Generator, n: int) -> tuple[Array, ...]:
    return (np.where(generator.random(n) < 0.3, generator.beta(4, 6, n), generator.beta(30, 3, n)),)


def _distance(missed: float) -> Callable[[np.random.Generator, int], tuple[Array, ...]]:
    return lambda generator, n: (np.where(generator.random(n) < missed, 374.0, generator.lognormal(1.5, 0.8, n)),)


def cells() -> list[Cell]:
    """Return every cell: nine of classification, six of segmentation."""
    balanced, rare, easy = _binormal(0.5, 0.85), _binormal(0.1, 0.85), _binormal(0.3, 0.95)
    return [
        Cell("AUC .85, half positive", "auc", balanced, _auc),
        Cell("AUC .85, a tenth positive", "auc", rare, _auc),
        Cell("AUC .95, a third positive", "auc", easy, _auc),
        Cell("accuracy, half positive", "accuracy", balanced, _accuracy),
        Cell("accuracy, AUC .95", "accuracy", easy, _accuracy),
        Cell("balanced accuracy, a tenth positive", "balanced_accuracy", rare, _balanced),
        Cell("average precision, a tenth positive", "average_precision", rare, _precision),
        Cell("average precision, half positive", "average_precision", balanced, _precision),
        Cell("Brier score, a third positive", "brier", easy, _brier),
        Cell("Dice around .8", "dice", _dice(0.0, 8, 2), _mean),
        Cell("Dice around .95, long tail", "dice", _dice(0.0, 9, 0.5), _mean),
        Cell("Dice, one case in twenty missed", "dice", _dice(0.05, 20, 3), _mean),
        Cell("Dice with two humps", "dice", _two_humps, _mean),
        Cell("HD95, lognormal", "hd95", _distance(0.0), _mean),
        Cell("HD95, one case in twenty missed", "hd95", _distance(0.05), _mean),
    ]


def real(table: Path, column: str) -> Cell:
    """Return a cell of real cases: the values of one column of a CSV file, smoothed inside their range."""
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines() if line]
    place = rows[0].index(column)
    values = np.array([float(row[place]) for row in rows[1:] if row[place]])
    width = 0.2 * values.std() * len(values) ** -0.2

    def draw(generator: np.random.Generator, n: int) -> tuple[Array, ...]:
        """Draw cases of the table, each moved by a little noise and reflected into the range."""
        moved = generator.choice(values, n) + width * generator.normal(size=n)
        low, high = values.min(), values.max()
        return (high - abs(high - (low + abs(moved - low))),)

    return Cell(f"{column} of {len(values)} real cases", column, draw, _mean)


def ours(cell: Cell, data: Sequence[Array]) -> tuple[float, float]:
    """Return the interval that a report of one network would print; NaN where it refuses one."""
    n = len(data[0])
    case = np.array([f"c{k:05d}" for k in range(n)])
    of_scores = len(data) == 2
    scores = np.stack([1 - data[1], data[1]], axis=1) if of_scores else np.empty((n, 0))
    predictions = Predictions(
        case, case, np.full(n, "test"), np.full(n, "net"), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64),
        data[0].astype(np.int64) if of_scores else np.zeros(n, dtype=np.int64), scores,
        ("no", "yes") if of_scores else (), {} if of_scores else {cell.metric: data[0]},
    )  # fmt: skip
    endpoint = endpoint_named(cell.metric, list(predictions.metrics), predictions.classes, {})
    positive = None if endpoint.classes_alike or not of_scores else 1
    found = interval(analyse(align(predictions), endpoint, positive), "net")
    return found.low, found.high


def bootstrap(cell: Cell, data: Sequence[Array], generator: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return percentile, basic and BCa intervals of one bootstrap over cases."""
    n = len(data[0])
    chosen = generator.integers(0, n, (REPLICATES, n))
    replicates = cell.value(*[each[chosen] for each in data])
    replicates = np.sort(replicates[np.isfinite(replicates)])
    estimate = float(cell.value(*data))
    if len(replicates) < REPLICATES / 2 or not np.isfinite(estimate):
        return dict.fromkeys(("percentile", "basic", "BCa"), (np.nan, np.nan))
    low, high = np.quantile(replicates, [0.025, 0.975])
    bias = ndtri(np.clip((replicates < estimate).mean() + (replicates == estimate).mean() / 2, 1e-3, 1 - 1e-3))
    lift = _acceleration(cell, data) if n <= MOST_LEFT_OUT else 0.0
    z = bias + np.array([-1.96, 1.96])
    bca = np.quantile(replicates, np.clip(ndtr(bias + z / (1 - lift * z)), 0, 1))
    return {"percentile": (low, high), "basic": (2 * estimate - high, 2 * estimate - low), "BCa": (bca[0], bca[1])}


def _acceleration(cell: Cell, data: Sequence[Array]) -> float:
    """Return BCa's acceleration by the jackknife."""
    n = len(data[0])
    keep = ~np.eye(n, dtype=bool)
    left_out = cell.value(*[np.broadcast_to(each, (n, n))[keep].reshape(n, n - 1) for each in data])
    apart = left_out.mean() - left_out
    spread = float((apart**2).sum() ** 1.5)
    return float((apart**3).sum() / (6 * spread)) if np.isfinite(apart).all() and spread > 0 else 0.0


def student(cell: Cell, data: Sequence[Array]) -> tuple[float, float]:
    """Return Student's t interval of a mean over cases, Wald's of accuracy; NaN for metrics that are no mean."""
    if cell.metric == "accuracy":
        values = ((data[1] > 0.5) == (data[0] > 0.5)).astype(float)
    elif cell.metric == "brier":
        values = (data[1] - data[0]) ** 2
    elif len(data) == 1:
        values = data[0]
    else:
        return np.nan, np.nan
    half = stdtrit(len(values) - 1, 0.5 + LEVEL / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


METHODS = ("ours", "percentile", "basic", "BCa", "t")


def measure(cell: Cell, n: int, trials: int, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Return coverage, mean width and share of intervals given, by method."""
    generator = np.random.default_rng([seed, n, len(cell.name)])
    truth = float(cell.value(*cell.draw(generator, 1_000_000)))
    inside: dict[str, list[float]] = {name: [] for name in METHODS}
    width: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(trials):
        data = cell.draw(generator, n)
        found = {"ours": ours(cell, data), "t": student(cell, data), **bootstrap(cell, data, generator)}
        for name, (low, high) in found.items():
            if np.isfinite([low, high]).all():
                inside[name].append(float(low <= truth <= high))
                width[name].append(high - low)
    return {
        name: (float(np.mean(inside[name])), float(np.mean(width[name])), len(inside[name]) / trials)
        if inside[name]
        else (np.nan, np.nan, 0.0)
        for name in METHODS
    }


def row(cell: Cell, n: int, measured: dict[str, tuple[float, float, float]]) -> str:
    """Return a row of the table: coverage by method, and the width of ours over the percentile bootstrap's."""
    cover = [f"{measured[name][0]:.3f}" if measured[name][2] else "–" for name in METHODS]
    ratio = measured["ours"][1] / measured["percentile"][1]
    given = f"{100 * measured['ours'][2]:.0f} %"
    return f"| {cell.name} | {n} | {' | '.join(cover)} | {ratio:.2f} | {given} |"


def main() -> None:
    """Measure the chosen cells and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--only", default="")
    parser.add_argument("--real", nargs=2, metavar=("TABLE", "COLUMN"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    chosen = [real(Path(options.real[0]), options.real[1])] if options.real else cells()
    head = "| cases drawn from | n | ours | percentile | basic | BCa | t or Wald | width ÷ percentile | given |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for cell in (cell for cell in chosen if options.only in cell.name):
        for n in SIZES:
            lines.append(row(cell, n, measure(cell, n, options.trials)))
            print(lines[-1], flush=True)
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
