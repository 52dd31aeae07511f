"""Texts of an audit's report that differ from those of a trial.

Predictions contain nothing about training, cost and the opening of the test set, and the texts make no claim about
them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.evaluation.external import masks, nnunet
from equipoise.report.results.recommendation import QUALITY, all_equivalent
from equipoise.report.text.omissions import omission_in_words, why_left_out
from equipoise.report.text.words import label_of, listed, number, plural
from equipoise.runfolder.read import RunFolder
from equipoise.statistics.endpoints import PRIMARY_OF_SCORES

Entry = Mapping[str, Any]
AUC, CHANCE = PRIMARY_OF_SCORES.name, 0.5
WHY = "this is an audit of predictions made elsewhere, and no ledger proves when the test set was opened"
UNPROVEN_RUNS = "An audit cannot check that the runs of an arm are trainings of their own."
# The keys are listed one by one, so that a new fact of the checklists is not claimed of an audit by default.
_KNOWN = (
    *("question", "technology", "goal", "metrics", "measures", "statistics", "performance", "errors"),
    *("diagnostic", "clusters", "size", "fairness", "heterogeneity", "robustness", "limits"),
)


def use(results: Entry, names: Mapping[str, str]) -> str:
    """Return the answer which arm to use, as far as predictions allow one."""
    advice = results["recommendation"][QUALITY]
    if advice["arm"] is not None and len(results["arms"]) > 1:
        label = label_of(results, results["endpoints"]["primary"])
        chosen = f"{names[advice['arm']]} has the best {label}: every other"
        if _of_networks(results):
            return f"Of these trained networks, {chosen} one was shown to be worse on patients like these."
        return f"{chosen} arm was shown to be worse."
    known = [arm["endpoints"][results["endpoints"]["primary"]]["estimate"] is not None for arm in results["arms"]]
    if any(known) and not all(known) and len(results["arms"]) > 1:
        return f"No recommendation: {advice['reason']}"
    if advice["tied_with"]:
        tied = [names[arm] for arm in advice["tied_with"]]
        if all_equivalent(advice["tied_with"], results["comparisons"]):
            which = "Of these trained networks, any" if _of_networks(results) else "Any"
            return f"{which} of {listed(tied)}; take the cheapest. {advice['reason']}"
        undecided = f"no difference between {listed(tied)} is distinguishable from chance"
        if any(pair.get("withheld") for pair in _among(results, advice["tied_with"])):
            undecided = "failures that nobody saw could undo what the tests alone find"
        if _of_networks(results) and _none_decided(results, advice["tied_with"]):
            return (
                f"These predictions do not decide: {undecided}. This does not show that these trained networks are "
                "equivalent."
            )
        return f"No recommendation: {advice['reason']}"
    return (
        "Predictions of one arm cannot answer this."
        if len(results["arms"]) == 1
        else "These predictions cannot answer this."
    )


def beside_chance(results: Entry, names: Mapping[str, str]) -> str:
    """Return the sentences on arms whose AUC is that of guesses or below, with its interval; "" where none is.

    An arm like guesses is told of only where another one lies above all of its interval: else few cases may be why.
    """
    known = [(names[arm["name"]], arm["endpoints"].get(AUC) or {}) for arm in results["arms"]]
    areas = [(name, area) for name, area in known if area.get("low") is not None and area.get("high") is not None]
    best = max((area["low"] for _, area in areas), default=0.5)
    poor = [(name, area) for name, area in areas if area["high"] < CHANCE]
    guessed = [(name, area) for name, area in areas if area["low"] <= CHANCE <= area["high"] < best]
    sentences = []
    if poor:
        sentences.append(
            f"{_shown(poor)} below chance (AUC under 0.5): these scores rank cases worse than guesses do, unless they "
            "stand for the other class, and then the order of the arms turns round too."
        )
    if guessed:
        sentences.append(
            f"{_shown(guessed)} not distinguishable from guesses (AUC 0.5): check that each row still has the scores "
            "of its own case, which a column that was sorted alone has not."
        )
    return " ".join(sentences)


def _shown(areas: Sequence[tuple[str, Entry]]) -> str:
    """Return arms with their AUC and the verb."""
    each = listed([f"{name} ({number(area['estimate'], 3)})" for name, area in areas])
    return f"{each} {'is' if len(areas) == 1 else 'are'}"


def _none_decided(results: Entry, arms: Sequence[str]) -> bool:
    """Whether no comparison among these arms has a verdict for lack of data."""
    pairs = _among(results, arms)
    return bool(pairs) and all(pair["verdict"] == "not_enough_data" for pair in pairs)


def _among(results: Entry, arms: Sequence[str]) -> list[Entry]:
    return [pair for pair in results["comparisons"] if {pair["a"], pair["b"]} <= set(arms)]


def _of_networks(results: Entry) -> bool:
    """Whether the verdicts are about single trained networks."""
    return any(pair.get("about") == "networks" for pair in results["comparisons"])


def facts(known: Mapping[str, str], results: Entry, lock: Entry) -> dict[str, str]:
    """Return the sentences for the checklists that predictions alone support."""
    classes = results["cohort"]["split_classes"].get("test") or {}
    # Of the test cases alone: that there are no others in the files does not say that none were trained on.
    events = f"test: {', '.join(f'{count} {name}' for name, count in classes.items())}." if classes else ""
    tested = f"Tested: {_tested(results, lock, 'case')}. Left out: {'; '.join(_omitted(lock)) or 'nothing'}."
    own = {"flow": tested, "events": events, "missing": _missing(lock) if classes else ""}
    return {name: known[name] for name in _KNOWN if name in known} | own


def _tested(results: Entry, lock: Entry, noun: str) -> str:
    """Return how many cases of how many patients were tested, and by whose word a case is a patient."""
    cohort = results["cohort"]
    count = f"{plural(cohort['split']['test'], noun)} of {plural(cohort['split_patients']['test'], 'patient')}"
    if not (lock.get("audit") or {}).get("cases_are_patients"):
        return count
    if cohort["split"]["test"] == cohort["split_patients"]["test"]:
        return f"{count} (every case a different patient, as the caller stated)"
    return f"{count} (cases that names or numbers show to be of one patient were joined against the caller's statement)"


def _omitted(lock: Entry) -> list[str]:
    """Return what was left out of the files, with the reason."""
    cases, rows = lock.get("left_out"), (lock.get("audit") or {}).get("repeated_rows", 0)
    parts = []
    if cases:
        parts.append(f"{cases['cases']} of {cases['of']} test cases, {why_left_out(cases)}")
    untested = (lock.get("audit") or {}).get("untested_cases", 0)
    if untested:
        parts.append(f"{plural(untested, 'case')} of other parts than test")
    if rows:
        parts.append(f"{plural(rows, 'row')} that {'repeat' if rows > 1 else 'repeats'} another one in every column")
    return parts


def _missing(lock: Entry) -> str:
    """Return how predictions that are missing were handled."""
    if not (lock.get("audit") or {}).get("common_cases"):
        return "Nothing was imputed, and an arm without a prediction of every test case was not judged."
    cases = lock.get("left_out")
    number = omission_in_words(cases) if cases else "no test case was"
    return (
        "Nothing was imputed: cases without a prediction of every arm, or with different truths or patients, were to "
        f"be left out for all arms, as the caller asked; {number}."
    )


def empty_masks(results: Entry) -> str:
    """Return the sentence on structures in neither mask, where the sources state how their values were made."""
    kinds = {str(source["kind"]) for source in results["sources"]}
    # Other tools score a structure in neither mask as 1, 0 or NaN; only these two rules are known.
    if not kinds & {masks.KIND, nnunet.KIND}:
        return ""
    return "A structure that is absent from both masks of a case counted as agreement (Dice 1)."


def provenance(run: RunFolder) -> list[tuple[str, str]]:
    """Return names and values that are needed to repeat the audit, besides the listed files."""
    endpoints = run.lock["endpoints"]
    statements = [f"primary {endpoints['primary']}", f"secondary {', '.join(endpoints['secondary']) or 'none'}"]
    statements += [f"margin {endpoints['margin']:g}"] if endpoints["margin"] else []
    statements += [f"margin of {name} {value:g}" for name, value in (endpoints.get("margins") or {}).items()]
    versions = ", ".join(f"{name} {version}" for name, version in run.lock["versions"].items())
    return [
        ("Ledger", "none: there is no proof of when, or how often, the test set was opened"),
        ("Endpoints", "; ".join(statements)),
        ("Software", versions),
    ]


def data_and_training(results: Entry, run_sources: Sequence[Entry], lock: Entry) -> list[str]:
    """Return the first sentences of the methods paragraph."""
    arms = [str(arm["name"]) for arm in results["arms"]]
    kinds = listed(list(dict.fromkeys(str(source["kind"]) for source in run_sources)))
    runs = {len(arm["seeds"]) for arm in results["arms"]}
    trained = "one training run each" if runs == {1} else f"{'up to ' * (len(runs) > 1)}{max(runs)} training runs each"
    read = (
        f"Predictions made elsewhere ({kinds}) of {plural(len(arms), 'arm')} – {', '.join(arms)} – were audited: "
        f"{_tested(results, lock, 'test case')}, {trained}."
    )
    omitted = f"Left out were {' and '.join(_omitted(lock))}." if _omitted(lock) else ""
    unseen = (
        "It is not known how the arms were trained, how the test cases were chosen, or whether they had been seen "
        "before."
    )
    return [one for one in (read, omitted, unseen) if one]
