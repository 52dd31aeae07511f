"""Compute the numbers of results.json from a run folder; `report.summary` adds the sentences."""

from typing import Any

from equipoise._moved import attributes_of

_ELSEWHERE = {
    "json_safe": "equipoise.report.results.plain",
    "results_of": "equipoise.report.summary",
    "summarise": "equipoise.report.summary",
    "write_results": "equipoise.report.summary",
}


def __getattr__(name: str) -> Any:
    """Return a name of the module `report.results` of version 0.1, with a warning that states its new place."""
    return attributes_of(__name__, _ELSEWHERE.get(name, "equipoise.report.results.results"))(name)
