"""The statistical sentences of the methods paragraph, each written only for methods that this run used."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.results.recommendation import UNJUDGED
from equipoise.report.text import audit
from equipoise.report.text.interim_analysis import opened_in_words, stopped_in_words
from equipoise.report.text.pair_methods import is_skewness_corrected
from equipoise.report.text.references import Cite
from equipoise.report.text.words import label_of, listed, number, plural
from equipoise.statistics.endpoints import described
from equipoise.statistics.near_ends import has_ends
from equipoise.tasks import recorded_task

Results = Mapping[str, Any]


def statistics(results: Results, cite: Cite) -> list[str]:
    """Return the sentences in the order of a methods section."""
    return [
        _endpoints(results),
        _empty_masks(results),
        _candidates(results, cite),
        _covariance(results, cite),
        _intervals(results, cite),
        _differences(results, cite),
        _skewness(results, cite),
        _family(results, cite),
        _unseen(results),
        _undecided(results),
        _rules(results),
        _folds(results, cite),
        _operating_points(results),
        _calibration(results, cite),
        _subgroups(results, cite),
        _looks(results, cite),
        "" if results.get("audit") else f"The test set was opened {opened_in_words(results)}.",
        _exploratory(results),
    ]


def _endpoints(results: Results) -> str:
    plan = results["endpoints"]
    name = label_of(results, plan["primary"])
    secondary = listed([label_of(results, one) for one in plan["secondary"]])
    more = f"; secondary endpoints ({secondary}) were exploratory" if secondary else ""
    if plan.get("margins"):
        more = _in_sequence(results)
    runs = " expected of a single training run, estimated by the mean over runs" if _several(results) else ""
    return f"The primary endpoint was the {name}{runs}{more}."


def _in_sequence(results: Results) -> str:
    """State the margins of secondary endpoints, and the rule by which their claims count."""
    plan, margins = results["endpoints"], results["endpoints"]["margins"]
    with_margins = listed([f"{label_of(results, name)} ±{number(margin, 3)}" for name, margin in margins.items()])
    others = listed([label_of(results, one) for one in plan["secondary"] if one not in margins])
    rest = f"; {others} {'were' if ' and ' in others else 'was'} exploratory" if others else ""
    return (
        f". Secondary endpoints with a margin ({with_margins}) were tested in this order after the primary "
        "endpoint: a claim (better, non-inferior, equivalent within the margin) counts if the same or a stronger claim "
        "holds for the same arm in every earlier endpoint; the level of the intervals was divided by the number of "
        f"comparisons (fixed-sequence testing){rest}"
    )


def _several(results: Results) -> bool:
    return any(len(arm["seeds"]) > 1 for arm in results["arms"])


def _empty_masks(results: Results) -> str:
    if results.get("audit"):
        return audit.empty_masks(results)
    if not any("empty-masks" in described(name).rules for arm in results["arms"] for name in arm["endpoints"]):
        return ""
    return (
        "Two empty masks counted as Dice 1, one empty mask as Dice 0 and as an HD95 of the image's diagonal; Dice "
        "below 0.1 counted as a failure, and no test case was left out."
    )


def _candidates(results: Results, cite: Cite) -> str:
    """Define when a detector's candidate counts as a hit, and the CPM."""
    if not _judges_candidates(results):
        return ""
    endpoints = [results["endpoints"]["primary"], *results["endpoints"]["secondary"]]
    score = (
        " The CPM is the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per case."
        if any("mean-sensitivity" in described(name).rules for name in endpoints)
        else ""
    )
    return (
        f"Candidates were judged by the rule of LUNA16 {cite('setio')}: a candidate is a hit if its distance from the "
        "centre of a finding is at most the radius of a ball (in 2D a disc) of the finding's size; several hits on "
        "one finding count once, with the highest score; a candidate that lies only inside an irrelevant finding is "
        f"neither a hit nor a false positive; every other candidate is a false positive.{score}"
    )


def _judges_candidates(results: Results) -> bool:
    task = recorded_task(results["cohort"])
    return task is not None and task.has_findings


def _covariance(results: Results, cite: Cite) -> str:
    primary = described(results["endpoints"]["primary"])
    if primary.kind.source == "placements":
        source = f"clustered placement values {cite(*primary.references)}"
    elif _judges_candidates(results):
        source = "the jackknife over patients"
    else:
        source = "influence values summed within patients"
    return f"The covariance of all runs over patients was estimated from {source}, a patient's cases being one cluster."


def _intervals(results: Results, cite: Cite) -> str:
    """Name the methods of the arms' own intervals."""
    methods = []
    if _used(results, "logit"):
        methods.append("on the logit scale")
    if _used(results, "Newcombe"):
        methods.append(f"by Newcombe's method 5 at the effective sample size {cite('newcombe')}")
    if _used(results, "Wilson"):
        methods.append(f"for rates by Wilson's method at the effective sample size {cite('wilson')}")
    if _used(results, "t over patients"):
        methods.append("for means by Student's t")
    if any((value.get("beside") or {}).get("method", "").startswith("BCa") for value in _values(results)):
        methods.append(f"with a BCa bootstrap over patients as a second interval {cite('efron')}")
    return f"Intervals (95 %) of single arms were computed {', '.join(methods)}." if methods else ""


def _values(results: Results) -> list[Mapping[str, Any]]:
    return [value for arm in results["arms"] for value in arm["endpoints"].values()]


def _used(results: Results, method: str) -> bool:
    return any(str(value.get("method")).startswith(method) for value in _values(results))


def _differences(results: Results, cite: Cite) -> str:
    # From the methods in the results and not from the protocol: the sentence states what was done, also where small
    # numbers or failed runs led to another method than planned.
    methods = [str(pair.get("method")) for pair in results["comparisons"] if pair.get("method")]
    if not methods:
        return ""
    if all(method.startswith("clustered") for method in methods):
        return (
            "Every arm was trained once, so only patients were sampled: verdicts are about these trained "
            "networks, and not about the methods."
        )
    crossed = all(method.startswith("crossed") for method in methods)
    how = "crossed with arms, whose runs shared their seeds" if crossed else "nested in arms"
    return (
        f"Differences were tested with training runs as readers {how} {cite('rockette', 'hillis')}: the standard "
        "error included the variance between runs of the two arms and the variance over patients, with the degrees of "
        "freedom of Hillis; each difference was also tested with its runs fixed, and the larger p value and the wider "
        "interval were used."
    )


def _skewness(results: Results, cite: Cite) -> str:
    """Name the correction for skewness where some comparison needed it."""
    pairs = (*results["comparisons"], *results["baseline_comparisons"], *results.get("secondary_comparisons", ()))
    corrected = sum(is_skewness_corrected(pair) for pair in pairs)
    if not corrected:
        return ""
    return (
        f"In {corrected} of {plural(len(pairs), 'comparison')} the patients' differences were skewed: there every test "
        f"was the stricter of Student's t and of Hall's transformation of it {cite('hall')}, and the interval covers "
        "both."
    )


def _family(results: Results, cite: Cite) -> str:
    plan, pairs = results["endpoints"], results["comparisons"]
    if not pairs:
        return ""
    if all(pair["verdict"] == "refused" for pair in pairs):
        return "No comparison met the conditions of a verdict, so none was tested."
    family = f"all {len(pairs)} pairs" if plan["family"] == "all" else f"comparisons with {plan['family']}"
    out = (
        f"Two-sided p values were adjusted over {family} by single-step max-T {cite('hothorn')}"
        if len(pairs) > 1
        else ""
    )
    if out and any("moderated" in str(pair.get("method")) for pair in pairs):
        out += f", with variances between runs moderated over arms {cite('smyth')}"
    level = f"the significance level was {plan['alpha']:g}"
    if not plan.get("margin") or _unjudged(results):
        return f"{out}; {level}." if out else f"T{level[1:]}."
    tests = f"two one-sided tests {cite('schuirmann')}, adjusted by Holm's method {cite('holm')}"
    if has_ends(described(results["endpoints"]["primary"])):
        tests += f", and by the interval recovered from those of both arms {cite('zou')}, using the larger p value"
    equal = (
        f"quivalence within a margin of ±{number(plan['margin'], 3)} was tested by {tests}; it took precedence over a "
        f"difference within the margin; {level}."
    )
    return f"{out}; e{equal}" if out else f"E{equal}"


def _unjudged(results: Results) -> bool:
    return all(pair["verdict"] in UNJUDGED for pair in results["comparisons"])


def _undecided(results: Results) -> str:
    if _unjudged(results):
        return ""
    planned = (
        ", with the number of patients needed for 80 % power at the margin"
        if results["endpoints"].get("margin")
        else ""
    )
    undone = " and pairs whose verdict such failures could undo" if _withheld(results) else ""
    pairs = f"Pairs of arms that were shown neither to differ nor to be equivalent{undone}"
    return f"{pairs} are reported as undecided{planned}."


def _unseen(results: Results) -> str:
    """State the guard against failures that nobody saw, with the comparisons that it left undecided."""
    pairs = results["comparisons"]
    if _unjudged(results) or not any(pair.get("unseen_failures") for pair in pairs):
        return ""
    count = _withheld(results)
    which = "the comparison" if len(pairs) == 1 else f"{count} of {len(pairs)} comparisons"
    for_this = f"; {which} had no verdict for this reason" if count else ""
    return (
        "A verdict had also to hold with failures that the test patients do not exclude (an arm fails in a case and "
        "the other does not; upper bound of the rate: 3/n where none of n patients showed it, otherwise the one-sided "
        "95 % bound of Clopper and Pearson): a difference where they could not reverse it, an equivalence where they "
        f"could not lead beyond the margin{for_this}."
    )


def _withheld(results: Results) -> int:
    """Count the comparisons whose verdict the guard against unseen failures withheld."""
    return sum(pair.get("withheld") is not None for pair in results["comparisons"])


def _rules(results: Results) -> str:
    if not results["baseline_comparisons"]:
        return ""
    rules = listed([str(rule["name"]) for rule in results["baselines"]])
    return (
        f"Trivial rules ({rules}), which have no training seed, were compared with every arm in a second family of "
        "comparisons."
    )


def _folds(results: Results, cite: Cite) -> str:
    """State the meaning of an interval under cross-validation, and the condition of a verdict on the method."""
    if not any(pair.get("p_new_data") is not None for pair in results["comparisons"]):
        return ""
    return (
        f"Metrics were averaged over folds; the test of the fitted models {cite('ledell')} and the corrected resampled "
        f"t test of training on new data {cite('nadeau')} were both computed, and the larger p value and the wider "
        "interval were used."
    )


def _operating_points(results: Results) -> str:
    if not any(arm.get("operating_point") for arm in results["arms"]):
        return ""
    return "Operating points were chosen on validation patients (largest sum of sensitivity and specificity)."


def _calibration(results: Results, cite: Cite) -> str:
    if not any(arm.get("calibration") for arm in results["arms"]):
        return ""
    fitted = any((arm.get("calibration") or {}).get("temperature") is not None for arm in results["arms"])
    after = f", before and after temperature scaling fitted on validation patients {cite('guo')}" if fitted else ""
    return (
        f"Calibration was described by the expected calibration error, compared with its value by chance{after}, and "
        f"clinical usefulness by net benefit {cite('vickers')}."
    )


def _subgroups(results: Results, cite: Cite) -> str:
    if not results["subgroups"]:
        return ""
    names = listed([str(group["attribute"]) for group in results["subgroups"]])
    return f"Subgroups by {names} were tested for heterogeneity, adjusted by Holm's method {cite('holm')}."


def _exploratory(results: Results) -> str:
    """State that the results confirm nothing, and why: a paper that omits it would claim more than the trial."""
    reasons = [one for one in results.get("exploratory_reasons") or () if one != audit.WHY]
    if audit.WHY in (
        results.get("exploratory_reasons") or ()
    ):  # the authors know when they chose; the program does not
        unproven = (
            "Nothing proves that the analysis was fixed before anybody saw results; if it was not, the results are "
            "exploratory."
        )
        return " ".join([unproven, *(f"{one[0].upper()}{one[1:]}." for one in reasons)])
    return f"The results are exploratory and not confirmatory: {'; '.join(reasons)}." if reasons else ""


def _looks(results: Results, cite: Cite) -> str:
    """Describe the looks of a sequential trial; empty for any other."""
    looks = results.get("looks")
    if not looks:
        return ""
    planned = " and ".join(str(look["seeds"]) for look in looks)
    levels = " and ".join(f"{look['level']:.4f}" for look in looks)
    plan = (
        f"Looks were planned at {planned} training runs, at two-sided levels of {levels} (alpha spending of "
        f"O'Brien-Fleming form {cite('lan')} with the share of runs as information time); the trial was to stop when "
        "every comparison was decided."
    )
    return " ".join(filter(None, [plan, stopped_in_words(results)]))
