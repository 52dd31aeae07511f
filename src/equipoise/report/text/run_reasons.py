"""Sentences, by code, on warnings about a run, and on the reasons of a recommendation."""

from collections.abc import Sequence

from equipoise.report.text.words import listed, plural
from equipoise.runfolder.paths import PROTOCOL

_PRICES = {
    "parameters": "the fewest parameters",
    "latency": "the lowest latency measured",
    "memory": "the lowest peak memory measured",
    "product": "the smallest product of latency, memory and parameters",
}


def unequal_budgets(draws: Sequence[tuple[str, int]]) -> str:
    """Describe tuning with other numbers of draws; `draws` are (arm, number)."""
    counts = ", ".join(f"{arm} {count}" for arm, count in draws)
    return f"The arms were tuned on unequal budgets ({counts} draws), so a difference may be due to the budgets."


def other_budget(
    arm: str, minutes: float | None, epochs: int | None, steps_per_epoch: int | None, common: int | None
) -> str:
    """Describe an arm that another program trained, within a budget of its own."""
    networks = "that of the other arms" if common is None else f"the {plural(common, 'epoch')} of the networks"
    if minutes is not None:
        budget = f"{minutes:g} minutes"
    else:
        count = epochs if epochs is not None else common
        budget = "the common epochs" if count is None else plural(count, "epoch")
        budget += f" of {plural(steps_per_epoch or 250, 'update')}"
    return (
        f"The budgets are unequal: {arm} was trained for {budget}, which is another budget than {networks}, so a "
        "difference may be due to the budgets."
    )


def stopped_early(arm: str, runs: int, of_runs: int, epochs: Sequence[int], of_epochs: int | None) -> str:
    """Describe an arm that spent less than its budget."""
    low, high = min(epochs), max(epochs)
    span = str(low) if low == high else f"{low} to {high}"
    return (
        f"{arm} stopped early in {runs} of {plural(of_runs, 'run')}, after {span} of {of_epochs} epochs: it used less "
        "than its budget."
    )


def opened_often(times: int, unplanned: int | None) -> str:
    """Describe a test set that was opened again."""
    beside_plan = "" if unplanned is None else f", {unplanned} of them unplanned"
    return f"The test set was opened {times} times{beside_plan}, so these results are exploratory."


def plan_changed() -> str:
    """Describe another protocol than the one that was locked."""
    return f"{PROTOCOL} is not the one that was locked, so these results are exploratory."


def stated_problem(text: str) -> str:
    """Describe a problem whose text exists already, as a sentence."""
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def record_contradicted(arm: str, text: str) -> str:
    """Refuse a verdict on an arm whose files and record disagree."""
    return f"No verdict on {arm}: its files and its record contradict each other ({text})."


def more_contradictions(number: int) -> str:
    """Count the contradictions that are not listed."""
    return f"The folder and its record contradict each other in {plural(number, 'further place')}."


def prior_opening(
    name: str, day: str, shared: int, cases: int, in_common: Sequence[str], differs: Sequence[str], counts: bool
) -> str:
    """Describe an earlier opening of the same test cases, or of the same cohort, on this machine."""
    of = f" of its {cases}" if cases else ""
    what = f"{shared}{of} test cases" if shared else "Other test cases of the same cohort"
    arms = f"the same {listed(list(in_common))}" if in_common else "no network or optimizer of this trial"
    other = f"in {listed(list(differs))}" if differs else "in settings of training, or of the machine"
    trial = f"the trial {name}" if name else "another trial"
    text = f"{what} had been opened before, on {day}, by {trial}, which has {arms} and differs {other}"
    return f"{text}, so these results are exploratory." if counts else f"{text}."


def more_openings(number: int) -> str:
    """Count the earlier openings that are not listed."""
    return f"Test cases had been opened before by {plural(number, 'further plan')}."


def stated_reuse(reason: str) -> str:
    """Give the reason for which the plan opens test cases again."""
    return f"The protocol states why test cases are opened again, for arms that they had not judged: {reason}"


def environments_differ(values: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Name in what the environments of the training runs differ."""
    names = "; ".join(f"{key}: {', '.join(several)}" for key, several in values)
    return f"Not all runs were trained in the same environment ({names}); this may explain differences."


def missing_job(arm: str, fold: int, seed: int, text: str) -> str:
    """Describe a job that did not end."""
    return f"The job {arm}, fold {fold}, seed {seed} is missing: {text}."


def warning_of_job(arm: str, fold: int, seed: int, text: str) -> str:
    """Describe a warning of a job."""
    return f"{arm}, fold {fold}, seed {seed}: {text}"


def warning_of_lock(text: str) -> str:
    """Describe a warning from before training."""
    return text


def nothing_predicted() -> str:
    """Describe a run without test predictions."""
    return "There are no test predictions, so no arm can be judged; run the same command again to finish the run."


def unsound_layers(arm: str, precision: str, layers: Sequence[tuple[str, str, str]]) -> str:
    """Describe layers that this machine computes soundly in another layout or precision only: (name, fault, route)."""
    name, fault, route = layers[0]
    what = f"the layer {name}" if name else "the whole network"
    more = f", and {plural(len(layers) - 1, 'other layer')} for similar reasons" if len(layers) > 1 else ""
    wrong = f"This machine's build of torch computes {what} of {arm} wrongly in {precision} ({fault})"
    return f"{wrong}; it ran as {route}{more}."


def allowed_leaks(pairs: int, kinds: Sequence[str]) -> str:
    """Describe leaks that the protocol allows."""
    return (
        f"{pairs} pairs of cases leak across the parts of the split ({', '.join(kinds)}), as the protocol allowed: the "
        "results are too optimistic for new patients."
    )


def short_training(updates: int, fewest: int) -> str:
    """Describe networks that were planned to be trained for too short a time to be judged."""
    return (
        f"Networks get {updates:,} updates each; with fewer than {fewest:,} a network has hardly begun to learn, and "
        "the verdict holds for networks trained so shortly; raise training.epochs."
    )


def perfect_arm(arm: str, endpoint: str, value: float, runs: int, cases: int) -> str:
    """Describe an arm without a single error."""
    number = "in its only run" if runs == 1 else f"in each of {runs} runs"
    return (
        f"{arm} is perfect {number} ({endpoint} {value:g} on {cases} test cases): look for the truth among its inputs "
        "(names, borders, markers, files that own code reads)."
    )


def near_pairs(pairs: int, a: str, b: str) -> str:
    """Describe images that are alike although the source states different patients."""
    return (
        f"{plural(pairs, 'pair')} of cases in different parts {'has' if pairs == 1 else 'have'} nearly equal images, "
        f"first {a} and {b}; the source states different patients."
    )


def not_leaks(pairs: int, a: str, b: str) -> str:
    """Describe pairs that the protocol declares to be no leaks."""
    return f"The protocol states that {plural(pairs, 'pair')} of cases are not copies, first {a} and {b}."


def guessed_patients() -> str:
    """Describe patients that were guessed from the likeness of images."""
    return "The patients of this cohort were guessed: parts may share patients, and intervals may be too narrow."


def no_patients_stated() -> str:
    """Describe a source without patients."""
    return 'The source does not state patients; split.patients = "guessed" guesses them from the similarity of images.'


def no_result() -> str:
    """State that there is no arm to recommend."""
    return "No arm finished with a result."


def arm_unjudged(arm: str, why: str | None) -> str:
    """State that nothing is known of an arm that stays in the field."""
    return f"{arm} could not be judged, so no arm can be ranked above it. {why or ''}".strip()


def pair_unjudged(a: str, b: str, why: str | None) -> str:
    """State that the choice between two arms was not judged."""
    return f"{a} and {b} could not be judged against each other. {why or ''}".strip()


def baseline_unjudged(baseline: str, why: str) -> str:
    """State that there is no verdict on the trivial rule."""
    return f"No comparison with the trivial baseline {baseline} allows a verdict. {why}"


def baseline_unbeaten(baseline: str) -> str:
    """State that no arm beats the trivial rule."""
    return f"No arm was shown to be better than the trivial baseline {baseline}, which costs nothing."


def all_too_slow(limit_ms: float) -> str:
    """State that no arm keeps a limit of latency."""
    return f"No candidate arm answers within {limit_ms:g} ms; allow more time or use faster hardware."


def only_candidate() -> str:
    """State that one arm is worth its cost."""
    return "It is the only candidate."


def alone_at_the_top() -> str:
    """State that one arm is better than all others."""
    return "No other candidate is tied with it."


def cheapest_of_all(arms: Sequence[str], price: str, worse: bool) -> str:
    """Describe the cheapest candidate, whatever it loses."""
    lost = " It was shown to be worse than the best arm." if worse else ""
    return f"It has {_PRICES[price]} of {listed(list(arms))}.{lost}"


def cheapest_of_tied(arms: Sequence[str], price: str, equal: bool = False) -> str:
    """Describe the cheapest of the tied arms; equal: every two of them were shown to be equivalent."""
    return f"{_tied(arms, equal)}; of these it has {_PRICES[price]}."


def tied_of_unknown_cost(arms: Sequence[str], equal: bool = False) -> str:
    """Describe tied arms of an audit; equal: every two of them were shown to be equivalent."""
    return f"{_tied(arms, equal)}; predictions contain no information on cost."


def _tied(arms: Sequence[str], equal: bool) -> str:
    """Say what is known of tied arms; undecided is not equal."""
    named = listed(list(arms))
    if equal:
        return f"{named} are equivalent within the margin"
    return f"The data do not show which of {named} is better, nor that they are equivalent"


def one_arm() -> str:
    """Describe an audit of one arm."""
    return "It is the only arm."


def unknown_cost() -> str:
    """State that an audit knows no cost."""
    return "Predictions contain no information on speed, memory or size."


WRITERS = (
    record_contradicted, more_contradictions, prior_opening, more_openings, stated_reuse, environments_differ,
    unequal_budgets, other_budget, stopped_early, opened_often, plan_changed, stated_problem, missing_job,
    warning_of_job, short_training, perfect_arm,
    warning_of_lock, nothing_predicted, unsound_layers, allowed_leaks, near_pairs, not_leaks, guessed_patients,
    no_patients_stated, no_result, arm_unjudged,
    pair_unjudged, baseline_unjudged, baseline_unbeaten, all_too_slow, only_candidate, alone_at_the_top,
    cheapest_of_all, cheapest_of_tied, tied_of_unknown_cost, one_arm, unknown_cost,
)  # fmt: skip
