"""The paragraph one may paste into a paper: what was done, in the past tense, with the references it rests on."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.looks import opened_in_words, stopped_in_words
from equipoise.report.stops import budget_in_words
from equipoise.report.words import case_noun, endpoint_name, number, plural

REFERENCES = {
    "delong": "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver "
    "operating characteristic curves. Biometrics 1988;44:837–845.",
    "obuchowski": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567–578.",
    "rockette": "Obuchowski NA, Rockette HE. Hypothesis testing of diagnostic accuracy for multiple readers and "
    "multiple tests. Commun Stat Simul Comput 1995;24:285–308.",
    "hillis": "Hillis SL. A comparison of denominator degrees of freedom methods for multiple observer ROC analysis. "
    "Stat Med 2007;26:596–619.",
    "hothorn": "Hothorn T, Bretz F, Westfall P. Simultaneous inference in general parametric models. Biom J "
    "2008;50:346–363.",
    "schuirmann": "Schuirmann DJ. A comparison of the two one-sided tests procedure and the power approach for "
    "assessing the equivalence of average bioavailability. J Pharmacokinet Biopharm 1987;15:657–680.",
    "lan": "Lan KKG, DeMets DL. Discrete sequential boundaries for clinical trials. Biometrika 1983;70:659–663.",
    "wilson": "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc "
    "1927;22:209–212.",
    "lidc": "Armato SG III, McLennan G, Bidaut L, et al. The Lung Image Database Consortium (LIDC) and Image Database "
    "Resource Initiative (IDRI): a completed reference database of lung nodules on CT scans. Med Phys 2011;38:915–931.",
}


def methods(results: Mapping[str, Any], lock: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The paragraph, and its numbered references in order."""
    used: list[str] = []

    def cite(*keys: str) -> str:
        for key in keys:
            if key not in used:
                used.append(key)
        return "[" + ",".join(str(used.index(key) + 1) for key in keys) + "]"

    sentences = [*_data(results, lock, cite), *_training(results, lock), *_statistics(results, cite)]
    return " ".join(sentences), [REFERENCES[key] for key in used]


def _data(results: Mapping[str, Any], lock: Mapping[str, Any], cite: Any) -> list[str]:
    cohort, noun = results["cohort"], case_noun(lock)
    source = f"the cohort {cohort['name']}" + (f" {cite('lidc')}" if str(cohort["name"]).startswith("lidc") else "")
    left_out = sum(row["cases"] for row in cohort["excluded"])
    parts = cohort["split_patients"]
    shared = (
        f"Patients were assigned to training ({parts['train']}), validation ({parts['validation']}) and test "
        f"({parts['test']}), stratified by class, {_disjoint(lock)}."
        if cohort["folds"] == 1
        else f"Patients were assigned to {cohort['folds']} folds, stratified by class; every patient was tested once "
        "in each repetition."
    )
    return [
        f"We analysed {plural(cohort['cases'], noun)} of {plural(cohort['patients'], 'patient')} from {source}"
        + (f"; {plural(left_out, noun)} were excluded for stated reasons." if left_out else "."),
        shared,
    ]


def _disjoint(lock: Mapping[str, Any]) -> str:
    divided = sum(leak["kind"] == "patient" for leak in lock.get("leaks") or ())
    return f"{divided} of them in more than one part" if divided else "no patient in more than one part"


def _training(results: Mapping[str, Any], lock: Mapping[str, Any]) -> list[str]:
    arms = ", ".join(f"{arm['name']} ({arm['model']} with {arm['optimizer']})" for arm in results["arms"])
    versions = lock.get("versions", {})
    tools = ", ".join(f"{name} {versions[name]}" for name in ("equipoise", "torch", "python") if name in versions)
    seeds = ", ".join(map(str, lock["seeds"]))
    return [
        (
            f"{plural(len(results['arms']), 'arm')} – {arms} – were trained under one protocol with the seeds {seeds} "
            f"and {budget_in_words(results['arms'])}; the epoch was chosen on validation patients."
        ),
        (
            "Cohort, split, endpoints, margin and arms were locked by cryptographic hash before training, and test "
            f"predictions were made only after the last training run had ended{f' ({tools})' if tools else ''}."
        ),
    ]


def _statistics(results: Mapping[str, Any], cite: Any) -> list[str]:
    plan, classes = results["endpoints"], results["cohort"]["classes"]
    name = endpoint_name(plan["primary"], len(classes))
    secondary = ", ".join(endpoint_name(one, len(classes)) for one in plan["secondary"])
    covariance = (
        f"Its covariance over patients was estimated from clustered placement values {cite('delong', 'obuchowski')}."
        if plan["primary"] == "auc"
        else "Its covariance over patients was estimated from sums within patients."
    )
    family = "all pairs" if plan["family"] == "all" else f"comparisons with {plan['family']}"
    margin = f", the margin being ±{number(plan['margin'], 3)}" if plan.get("margin") else ""
    return [
        f"The primary endpoint was the {name}, averaged over training runs"
        + (f"; secondary endpoints were {secondary}." if secondary else "."),
        covariance,
        (
            f"Training runs were treated as readers {_nesting(results)} {cite('rockette', 'hillis')}, with degrees of "
            f"freedom after Hillis; p values were adjusted over {family} by max-T {cite('hothorn')} at a level of "
            f"{plan['alpha']:g}; equivalence was tested by two one-sided tests {cite('schuirmann')}{margin}."
        ),
        f"Rates carry Wilson intervals {cite('wilson')} at the effective sample size left by clustering.",
        *_sequential(results, cite),
        f"The test set was opened {opened_in_words(results)}.",
    ]


def _nesting(results: Mapping[str, Any]) -> str:
    """How seeds stand to arms, as the comparisons were really made."""
    crossed = [str(pair.get("method")).startswith("crossed") for pair in results["comparisons"]]
    return "crossed with arms, whose runs shared their seeds," if crossed and all(crossed) else "nested in arms"


def _sequential(results: Mapping[str, Any], cite: Any) -> list[str]:
    """The looks of a sequential trial; nothing for any other."""
    looks = results.get("looks")
    if not looks:
        return []
    planned = " and ".join(str(look["seeds"]) for look in looks)
    levels = " and ".join(f"{look['level']:.4f}" for look in looks)
    plan = (
        f"Looks were planned at {planned} training runs, at two-sided levels of {levels} (alpha spending of "
        f"O'Brien-Fleming form {cite('lan')} with the share of runs as time), the trial to stop where every comparison "
        "was decided."
    )
    return [plan, *filter(None, [stopped_in_words(results)])]
