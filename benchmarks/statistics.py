"""How long a judgement takes: against a scikit-learn bootstrap, against MLstatkit's DeLong, and by number of cases.

Run `python benchmarks/statistics.py [--large]`; the last line is the speed-up over 2,000 bootstrap replicates.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from MLstatkit import Delong_test
from sklearn.metrics import roc_auc_score

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics import judge
from equipoise.statistics.comparison import compare, design
from equipoise.statistics.covariance import estimates
from equipoise.statistics.influence import rank_influence

ARMS, SEEDS = 10, 5


def table(cases: int, generator: np.random.Generator) -> Predictions:
    """Predictions of all arms and seeds for one-case patients."""
    truth = (generator.random(cases) < 0.3).astype(np.int64)
    common = generator.standard_normal(cases)
    columns = ARMS * SEEDS
    scores = np.empty((columns * cases, 2))
    for column in range(columns):
        logit = 1.6 * truth + common + 0.5 * generator.standard_normal(cases)
        part = slice(column * cases, (column + 1) * cases)
        scores[part, 1] = 1 / (1 + np.exp(-logit))
        scores[part, 0] = 1 - scores[part, 1]
    case = np.array([f"c{k:06d}" for k in range(cases)])
    n = columns * cases
    return Predictions(
        case=np.tile(case, columns),
        patient=np.tile(case, columns),
        split=np.full(n, "test"),
        arm=np.repeat(np.repeat([f"arm{a}" for a in range(ARMS)], SEEDS), cases),
        fold=np.zeros(n, dtype=np.int64),
        seed=np.repeat(np.tile(np.arange(SEEDS), ARMS), cases),
        truth=np.tile(truth, columns),
        scores=scores,
        classes=("benign", "malignant"),
    )


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of several runs."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def bootstrap(predictions: Predictions, cases: int, replicates: int) -> float:
    """Seconds that `replicates` patient bootstraps of all columns' AUC take with scikit-learn."""
    generator = np.random.default_rng(0)
    truth = predictions.truth[:cases]
    columns = predictions.scores[:, 1].reshape(ARMS * SEEDS, cases)
    start = time.perf_counter()
    for _ in range(replicates):
        chosen = generator.integers(0, cases, cases)
        for column in columns:
            roc_auc_score(truth[chosen], column[chosen])
    return time.perf_counter() - start


def delong(cases: int) -> tuple[float, float]:
    """Seconds of the comparison of two AUCs: ours and MLstatkit's."""
    generator = np.random.default_rng(1)
    truth = generator.random(cases) < 0.3
    scores = 1.6 * truth + generator.standard_normal((2, cases))
    patient = np.arange(cases)

    def ours() -> float:
        found = estimates([rank_influence(scores, truth, patient, cases)])
        return compare(design(found.value, found.covariance, ("a", "b"), cases), 0, 1).p

    def theirs() -> object:
        return Delong_test(truth.astype(int), scores[0], scores[1])

    return seconds(ours, 2), seconds(theirs, 2)


def main() -> None:
    """Print each figure; exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 100,000 cases, and DeLong with 1,000,000")
    large = parser.parse_args().large
    generator, broken = np.random.default_rng(0), False
    secondary = ["average_precision", "accuracy", "brier"]
    for cases, limit in ((2_000, 2.0), (10_000, 2.0), *(((100_000, 15.0),) if large else ())):
        predictions = table(cases, generator)
        taken = seconds(lambda p=predictions: judge(p, primary="auc", secondary=secondary, margin=0.03), 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        design_text = f"{ARMS} arms x {SEEDS} seeds, 4 endpoints, {cases} cases"
        print(f"judge {design_text}: {taken:.2f} s (at most {limit:g}), peak {peak:.2f} GiB (at most 2)")
        broken |= taken > limit or peak > 2
    small = table(2_000, generator)
    alone = seconds(lambda: judge(small, primary="auc", margin=0.03))
    loop = bootstrap(small, 2_000, 20) * 2_000 / 20
    ours, theirs = delong(1_000_000 if large else 100_000)
    print(f"DeLong of two arms: {ours:.3f} s, MLstatkit {theirs:.3f} s, {theirs / ours:.1f} times as fast")
    print(f"2,000 cases: judgement {alone:.3f} s, 2,000 bootstrap replicates with scikit-learn {loop:.0f} s (from 20)")
    print(f"ratio {loop / alone:.2f}")
    if broken or loop / alone < 50 or theirs < ours:
        sys.exit(1)


if __name__ == "__main__":
    main()
