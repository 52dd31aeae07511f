"""The fewest patients with which a verdict is given at all: no number of patients needed may lie below it."""

from math import ceil

from equipoise.statistics.analysis import FEWEST_EVENTS
from equipoise.statistics.kinds import Endpoint


def fewest_patients(endpoint: Endpoint, patients: int, cases: int, events: int | None = None) -> int:
    """Return the number of patients, of the same kind, below which `verdict.obstacle` refuses.

    patients, cases: of the cohort at hand; events: its patients of the rarer class, None where classes do not matter.
    """
    floors = [FEWEST_EVENTS]
    if events:
        floors.append(ceil(FEWEST_EVENTS * patients / events))
    if endpoint.fewest_cases:
        floors.append(ceil(endpoint.fewest_cases * patients / max(cases, 1)))
    return max(floors)
