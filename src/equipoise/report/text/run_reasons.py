"""Sentences, by code, on warnings about a run, and on the reasons of a recommendation."""

from collections.abc import Sequence

from equipoise.report.text.amounts import amounts, p_text
from equipoise.report.text.tied_arms import Pairs, tied_arms
from equipoise.report.text.words import listed, plural
from equipoise.runfolder.paths import PROTOCOL

_PRICES = {
    "parameters": "the fewest parameters",
    "latency": "the lowest latency measured",
    "memory": "the lowest peak memory measured",
    "product": "the smallest product of latency, memory and parameters",
}


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


def initial_weights(arm: str, file: str, sha256: str, test_cases: int | None, trials: Sequence[str]) -> str:
    """Say what is known of the cases on which an arm's initial weights were trained."""
    start = f"{arm} starts from {file} (SHA-256 {sha256})"
    if test_cases is None:
        return f"{start}: nothing is known here of the cases on which these weights were trained."
    seen = "none" if test_cases == 0 else str(test_cases)
    end = "." if test_cases == 0 else ", as the protocol allowed: the results are too optimistic."
    return f"{start}, made by {listed(list(trials))}, which trained or selected it on {seen} of the test cases{end}"


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


def short_training(updates: int, fewest: int, opened: bool = False) -> str:
    """Describe networks that were planned to be trained for too short a time to be judged.

    opened: whether the test cases have been opened since, so that a longer training is another trial on them.
    """
    remedy = "raise training.epochs"
    if opened:
        remedy = (
            "a trial with more training.epochs is exploratory on these test cases, which are opened now, and "
            "confirmatory on test cases that no trial has opened"
        )
    return (
        f"Networks get {updates:,} updates each; with fewer than {fewest:,} a network has hardly begun to learn, and "
        f"the verdict holds for networks trained so shortly; {remedy}."
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


def allowed_copies(pairs: int, a: str, b: str) -> str:
    """Describe equal images under different patients in one part, which the protocol allows."""
    return (
        f"{plural(pairs, 'pair')} of cases of different patients in one part {'has' if pairs == 1 else 'have'} equal "
        f"images, first {a} and {b}, as the protocol allowed: each counts as a patient, and intervals are too narrow."
    )


def near_copies(pairs: int, a: str, b: str) -> str:
    """Describe nearly equal images under different patients among the test cases."""
    return (
        f"{plural(pairs, 'pair')} of test cases of different patients {'has' if pairs == 1 else 'have'} nearly equal "
        f"images, first {a} and {b}: if they are copies of one image, each counts as a patient, and intervals are too "
        "narrow."
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


def all_too_slow(limit_ms: float, baseline: str | None = None) -> str:
    """State that no arm keeps a limit of latency."""
    which = "arm" if baseline is None else f"arm that was shown to be better than the {baseline}"
    return f"No {which} answers within {limit_ms:g} ms; allow more time or use faster hardware."


def only_candidate(baseline: str | None = None, limit_ms: float | None = None) -> str:
    """State that one arm alone passed the conditions of a recommendation."""
    passed = [] if baseline is None else [f"was shown to be better than the {baseline}"]
    passed += [] if limit_ms is None else [f"answers within {limit_ms:g} ms"]
    return f"It is the only arm{' that ' * bool(passed)}{' and '.join(passed)}."


def alone_at_the_top(baseline: str | None = None) -> str:
    """State that one arm is better than all others that passed the conditions of a recommendation."""
    if baseline is None:
        return "Every other arm was shown to be worse."
    return f"Every other arm that was shown to be better than the {baseline} was shown to be worse than this one."


def left_out_slow(arm: str, limit_ms: float) -> str:
    """State that an arm is no candidate for its latency."""
    return f"{arm} is left out: it does not answer within {limit_ms:g} ms."


def left_out_unbeaten(
    arm: str, baseline: str, difference: float | None, interval: Sequence[float | None], p: float | None
) -> str:
    """State that an arm is no candidate, because it was not shown to be better than the trivial rule."""
    numbers = _difference(difference, interval, p)
    return f"{arm} is left out: it was not shown to be better than the {baseline}{numbers and f' ({numbers})'}."


def rival_left_out(
    a: str,
    b: str,
    baseline: str | None,
    values: Sequence[float],
    shown: bool,
    difference: float | None,
    interval: Sequence[float | None],
    p: float | None,
) -> str:
    """State that the arm with the better estimate was not shown to beat the trivial rule, and the other was.

    a: the arm left out. shown: whether it was shown to be better than b, the arm that would be named.
    """
    first, second = amounts(*values)
    numbers = _difference(difference, interval, p)
    open_pair = f"their comparison shows neither to be better{numbers and f' ({numbers})'}"
    between = f"it was shown to be better than {b}{numbers and f' ({numbers})'}" if shown else open_pair
    return (
        f"Only {b} was shown to be better than the {baseline}, but {a} has the better estimate ({first} against "
        f"{second}) and {between}. That one test against the {baseline} is significant and the other is not does not "
        f"make {b} the better arm; more test patients can decide."
    )


def _difference(difference: float | None, interval: Sequence[float | None], p: float | None) -> str:
    """Format a difference with the interval of its verdict and its adjusted p; empty where it is not known."""
    low, high = interval
    if difference is None or low is None or high is None:
        return ""
    middle, low_text, high_text = amounts(difference, low, high)
    return f"difference {middle}, interval {low_text} to {high_text}" + ("" if p is None else f", {p_text(p)}")


def cheapest_of_all(arms: Sequence[str], price: str, worse: bool, even: Sequence[str] = ()) -> str:
    """Describe the cheapest candidate, whatever it loses; even: others that cost as much."""
    lost = " It was shown to be worse than the best arm." if worse else ""
    return f"It has {_PRICES[price]} of {listed(list(arms))}{_shared(even)}.{lost}"


def cheapest_of_tied(
    arms: Sequence[str],
    price: str,
    equal: bool = False,
    even: Sequence[str] = (),
    equivalent: Pairs = (),
    better: Pairs = (),
) -> str:
    """Describe the cheapest of the tied arms; even: others as cheap. The rest as in `tied_arms`."""
    among = f"of all {len(arms)} arms" if (equivalent or better) and not equal else "of these"
    return f"{tied_arms(arms, equal, equivalent, better)}; {among} it has {_PRICES[price]}{_shared(even)}."


def best_of_undecided(best: str, undecided: Sequence[str], equal: Sequence[str] = (), even: Sequence[str] = ()) -> str:
    """Describe the arm named for accuracy where comparisons of the best estimate decide nothing.

    equal: arms that were shown to be equivalent to the best one; even: others of these as cheap as the named one.
    """
    among = f"The data do not show which of {listed([best, *undecided])} is better, nor that they are equivalent"
    if len(undecided) > 1:
        among = f"The data show neither that {best} is better than {listed(list(undecided))}, nor that it is equivalent"
    if not equal:
        return f"{among}; {best} has the best estimate."
    are = "is" if len(equal) == 1 else "are"
    return (
        f"{listed(list(equal))} {are} equivalent within the margin to {best}, which has the best estimate; of these it "
        f"has {_PRICES['parameters']}{_shared(even)}. {among}."
    )


def _shared(even: Sequence[str]) -> str:
    """Say of arms that cost as much, such as those of one network, that nothing but the name chose between them."""
    return (
        f", as {'has' if len(even) == 1 else 'have'} {listed(list(even))}: the first by name is given" if even else ""
    )


def tied_of_unknown_cost(arms: Sequence[str], equal: bool = False, equivalent: Pairs = (), better: Pairs = ()) -> str:
    """Describe tied arms of an audit, as `tied_arms` does."""
    return f"{tied_arms(arms, equal, equivalent, better)}; predictions contain no information on cost."


def one_arm() -> str:
    """Describe an audit of one arm."""
    return "It is the only arm."


def unknown_cost() -> str:
    """State that an audit knows no cost."""
    return "Predictions contain no information on speed, memory or size."


WRITERS = (
    record_contradicted, more_contradictions, initial_weights, stated_reuse,
    environments_differ, opened_often, plan_changed, stated_problem, missing_job,
    warning_of_job, short_training, perfect_arm,
    warning_of_lock, nothing_predicted, unsound_layers, allowed_leaks, near_pairs, allowed_copies, near_copies,
    not_leaks, guessed_patients, no_patients_stated, no_result, arm_unjudged,
    pair_unjudged, baseline_unjudged, baseline_unbeaten, all_too_slow, only_candidate, alone_at_the_top,
    left_out_slow, left_out_unbeaten, rival_left_out,
    cheapest_of_all, cheapest_of_tied, best_of_undecided, tied_of_unknown_cost, one_arm, unknown_cost,
)  # fmt: skip
