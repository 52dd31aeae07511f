"""Do ensembles that share runs with their members make verdicts err? Trials with known truth, judged by the product.

    python benchmarks/ensemble_errors.py [--trials 1000]

Two arms of equal worth are compared, one of them an ensemble. Printed for every design: the share of trials with a
false winner (.05 was meant), and the coverage of the 95 % interval. "Every run twice" pretends to as many ensembles of
two runs as there are seeds, which the protocol cannot ask for.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
from dataclasses import dataclass

import numpy as np

from equipoise.testing.known_trials import PARTS, Design, of_values, rates

KINDS = (
    "two arms, not an ensemble",
    "an arm, and its ensemble with another arm",
    "an arm, and its own ensembles of two runs",
    "an arm, and another arm's ensembles of two runs",
    "an arm, and another arm's with every run twice",
)


@dataclass(frozen=True)
class Overlapping:
    """Values of the runs of arms a and b, and of ensembles whose value is the mean of their members' values."""

    kind: str
    spread: float

    def __call__(self, stream, design, shift):
        seeds, cases = design.seeds[0], design.patients
        common = 0.8 + PARTS[0] * stream.standard_normal(cases)
        a, b = (
            common
            + PARTS[1] * stream.standard_normal(cases)
            + PARTS[2] * stream.standard_normal((seeds, cases))
            + self.spread * stream.standard_normal((seeds, 1))
            for _ in range(2)
        )
        second = {
            KINDS[0]: b,
            KINDS[1]: (a + b) / 2,
            KINDS[2]: (a[::2] + a[1::2]) / 2,
            KINDS[3]: (b[::2] + b[1::2]) / 2,
            KINDS[4]: (b + np.roll(b, 1, axis=0)) / 2,
        }[self.kind]
        return of_values(design, np.concatenate([a, second]) + shift)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print(
        "| seeds | spread of runs | compared | false winner | false equivalence | coverage |\n|---|---|---|---|---|---|"
    )
    for seeds, spread in ((6, 0.01), (6, 0.03), (10, 0.03)):
        for kind in KINDS:
            half = kind in KINDS[2:4]
            design = Design(kind, (seeds, seeds // 2 if half else seeds), (0.0, 0.0), Overlapping(kind, spread))
            seen = rates(design, trials)
            numbers = f"{seen.winners:.3f} | {seen.equivalent:.3f} | {seen.coverage:.3f}"
            print(f"| {seeds} | {spread} | {kind} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
