"""results.json: the numbers of a run with the sentences that explain them."""

from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json
from equipoise.report.results import recommendation
from equipoise.report.results.results import numbers_of
from equipoise.report.results.unfinished import unfinished
from equipoise.report.text.display_names import display_names
from equipoise.report.text.exploratory import exploratory_reasons
from equipoise.report.text.reasons import in_words
from equipoise.report.text.unfinished import so_far
from equipoise.runfolder.paths import RESULTS
from equipoise.runfolder.read import RunFolder, read_folder


def results_of(run: RunFolder) -> dict[str, Any]:
    """Return the dictionary of results.json for a run folder in memory."""
    names = display_names(run)
    results: dict[str, Any] = in_words(numbers_of(run), names)
    for rule in results["baselines"]:
        rule["display"] = names[rule["name"]]
    # Again after the conversion: different reasons may give the same sentence.
    results["warnings"] = list(dict.fromkeys(results["warnings"]))
    results["exploratory_reasons"] = exploratory_reasons(run)
    # Only of a trial that is under way: results of an ended one keep their form.
    progress = unfinished(run)
    return results if progress is None else results | {"unfinished": progress}


def summarise(folder: Path, trust_code: bool = False) -> dict[str, Any]:
    """Return the dictionary of results.json for a run folder; missing files are rows of `failures` and `warnings`.

    trust_code: whether code that the folder names may be run; without it such a folder is refused (PredictionError).
    """
    return results_of(read_folder(folder, trust_code))


def write_results(folder: Path) -> dict[str, Any]:
    """Write results.json atomically and return its contents."""
    results = summarise(folder)
    write_json(folder / RESULTS, results, public=True)
    return results


def advise(
    results: dict[str, Any], prefer: str = recommendation.QUALITY, max_latency_ms: float | None = None
) -> dict[str, Any]:
    """Recommend an arm for one need, from results.json: {"arm", "tied_with", "beats_baseline", "reason",
    "left_out", "display"}; `left_out` are the arms that are no candidates, each with its reason; `display` is the
    arm's name as the page prints it.

    prefer: one of `recommendation.PREFERENCES`; max_latency_ms: arms slower than this for one case are out (None: no
    limit). Raises EquipoiseError for another preference.
    """
    if results.get("unfinished"):
        nobody: dict[str, Any] = {"arm": None, "tied_with": [], "beats_baseline": None, "display": None}
        return nobody | {"reason": " ".join(so_far(results)), "unfinished": results["unfinished"]}
    names = {rule["name"]: rule["display"] for rule in results["baselines"] if "display" in rule}
    advice: dict[str, Any] = in_words(recommendation.advise(results, prefer, max_latency_ms), names)
    return advice | {"display": names.get(advice["arm"], advice["arm"])}
