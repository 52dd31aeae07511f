"""A run's answers to the items of reporting checklists, as sentences by name; empty ones are left to the author."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.protocol import DiceSection, Named, TrainingSection
from equipoise.report.text.characteristics import characteristics, in_words
from equipoise.report.text.initialization import initialization
from equipoise.report.text.interim_analysis import opened_in_words
from equipoise.report.text.run_spread import spread_in_words
from equipoise.report.text.subgroups import variation_in_words
from equipoise.report.text.words import (
    case_noun,
    cohort_title,
    interval,
    label_of,
    listed,
    number,
    patients_guessed,
    percentage,
    plural,
    several_runs,
    split_unit,
    stratified,
    trained_as,
)
from equipoise.runfolder.own_code import read_protocol
from equipoise.runfolder.read import RunFolder
from equipoise.statistics.endpoints import FAILURE_RATE, SENSITIVITY, SPECIFICITY, described
from equipoise.statistics.power import guard_decides


def facts_of(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    """Return the sentences by the names in the checklists; an empty one is left to the author."""
    return {
        **_data_facts(run, results),
        **_patient_facts(run, results),
        **_model_facts(run, results),
        **_result_facts(run, results),
        **_uncertainty_facts(run, results),
    }


def _data_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    cohort, noun, plan = results["cohort"], case_noun(run.lock), read_protocol(run.path, run.lock, run.trusted)
    parts = [
        f"{name} {cohort['split_patients'][name]} patients / {cohort['split'][name]} {noun}s"
        for name in cohort["split"]
    ]
    left_out = "; ".join(f"{row['cases']} {noun}s: {row['reason']}" for row in cohort["excluded"])
    name = cohort_title(str(cohort["name"]), str(run.lock.get("name", "")))
    source = f"{name}: {plural(cohort['cases'], noun)} of {plural(cohort['patients'], 'patient')}, "
    truth = " ".join(note for note in cohort["notes"] if note.startswith("Truth"))
    return {
        "sources": f"{source}fingerprint {str(cohort['fingerprint'])[:12]}….",
        "eligibility": f"Left out: {left_out}." if left_out else "No case of the source was left out.",
        "flow": f"{'; '.join(parts)}. Left out: {left_out or 'nothing'} (figure data-flow).",
        "partitions": f"{run.lock['split']['scheme']}, {split_unit(run.lock)}{stratified(run.lock)}: "
        f"{'; '.join(parts)}.",
        "disjoint": _disjoint(cohort["divided_patients"], guessed=patients_guessed(run.lock)),
        "truth": truth,
        "preprocessing": _settings("In this order", plan.preprocessing) if plan else "",
        "augmentation": _settings("Augmentation", plan.augmentation) if plan else "",
    }


def _patient_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    cohort, noun, plan = results["cohort"], case_noun(run.lock), read_protocol(run.path, run.lock, run.trusted)
    left_out = sum(row["cases"] for row in cohort["excluded"])
    events = [
        f"{part}: {', '.join(f'{count} {name}' for name, count in classes.items())}"
        for part, classes in cohort["split_classes"].items()
        if classes
    ]
    channels = listed(list(run.lock["cohort"].get("channels") or ()))
    alike = in_words(characteristics(run))
    weights = plan.training.class_weights if plan else ""
    return {
        "missing": f"Cases without an image or a truth were excluded, with the reason ({plural(left_out, noun)}); "
        "nothing was imputed, and an arm without all test predictions was not judged.",
        "channels": f"Channels: {channels}." if channels else "",
        "images": (
            f"The image itself{f' (channels: {channels})' if channels else ''}; the networks received no other input."
        ),
        "events": f"{'; '.join(events)}." if events else "",
        "imbalance": " ".join(
            [*([f"{'; '.join(events)}."] if events else []), f"Weights of classes in the loss: {weights}."]
        )
        if weights
        else "",
        "characteristics": f"Train / validation / test: {alike} (table in the section on data)." if alike else "",
    }


def _model_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    plan, arms = read_protocol(run.path, run.lock, run.trusted), results["arms"]
    models = "; ".join(
        f"{arm['name']}: {trained_as(arm)}"
        + (f", {arm['parameters']:,} parameters" if arm["parameters"] is not None else "")
        for arm in arms
    )
    training = ""
    if plan is not None:
        section = plan.training
        precision = section.precision if run.ledger.settled is None else run.ledger.settled["precision"]
        training = (
            f"{plural(section.epochs, 'epoch')}, batches of {section.batch_size}, loss {section.loss}, precision "
            f"{precision}{_beyond_defaults(section)}; {len(run.jobs)} networks trained."
        )
    versions = ", ".join(f"{name} {version}" for name, version in run.lock.get("versions", {}).items())
    seeds = ", ".join(map(str, run.lock["seeds"]))
    software = run.lock.get("versions", {}).get("equipoise", "")
    return {
        "models": f"{models}.",
        "training": training,
        "building": f"{models}. {training}".strip(),
        "specification": f"{models}; settings in protocol.toml, weights in jobs/<arm>/<fold>-<seed>/checkpoint.",
        "available": f"Software: Equipoise {software} (Apache-2.0). The run folder holds protocol, split, weights and "
        "predictions.",
        "selection": f"The epoch with the best validation {plan.training.select} of each run." if plan else "",
        "software": f"{versions}; {run.lock.get('machine', 'machine unknown')}, {run.lock.get('device', '')}.",
        "initialization": initialization(arms, seeds),
        "ensemble": f"{_ensembles(arms)} is the average of single training runs"
        + ("; predictions for mirrored copies of a case are averaged." if plan and plan.inference.mirror else "."),
        "protocol": f"Locked before training: protocol SHA-256 {str(results['protocol_sha256'])[:12]}…, ledger "
        f"{'verified' if results['ledger']['verified'] else 'NOT verified'}.",
    }


def _ensembles(arms: Sequence[Mapping[str, Any]]) -> str:
    """Begin the sentence on ensembling."""
    made = [f"{arm['name']}, {trained_as(arm)}" for arm in arms if arm.get("ensemble")]
    if not made:
        return "None: every estimate"
    return (
        f"{'; '.join(made)}: the probabilities of its members are averaged, and no two ensembles of an arm share a "
        "run. Every other estimate"
    )


def _result_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    plan = results["endpoints"]
    label = label_of(results, plan["primary"])
    names = [label_of(results, name) for name in (plan["primary"], *plan["secondary"])]
    values = [
        f"{entry['name']} {number(value['estimate'])} ({interval(value['low'], value['high'])})"
        for entry in (*results["arms"], *results["baselines"])
        if (value := entry["endpoints"].get(plan["primary"]) or {}).get("estimate") is not None
    ]
    margin = f"; differences below {number(plan['margin'])} are considered irrelevant" if plan.get("margin") else ""
    scored = any(entry.get("calibration") for entry in results["arms"])
    return {
        "question": str(run.lock["question"]),
        "technology": f"Deep-learning networks compared: {listed([str(arm['name']) for arm in results['arms']])}.",
        "goal": f"Comparison of {len(results['arms'])} arms by {label}{margin}.",
        "metrics": f"Primary: {names[0]}; secondary: {', '.join(names[1:]) or 'none'}.",
        "statistics": _statistics(results),
        "performance": f"{label} with 95 % intervals: {'; '.join(values)}." if values else "",
        "output": "One probability per class; operating points chosen on validation patients." if scored else "",
        "measures": f"Primary: {names[0]}; secondary: {', '.join(names[1:]) or 'none'}"
        + (f"; {_CALIBRATION}" if scored else "")
        + ".",
        "errors": _errors(results, scored),
        "diagnostic": _diagnostic(results) or (f"{label} with 95 % intervals: {'; '.join(values)}." if values else ""),
        "internal": f"Test patients of the same source, opened {opened_in_words(results)}{_exploratory(results)}.",
    }


def _exploratory(results: Mapping[str, Any]) -> str:
    """Return the end of a sentence on the test set that says why results are exploratory; empty where they are not."""
    reasons = list(results.get("exploratory_reasons") or ())
    return f"; the results are exploratory, because {'; '.join(reasons)}" if reasons else ""


_CALIBRATION = (
    "calibration by reliability diagrams and calibration error, compared with its value by chance; net benefit"
)


def _statistics(results: Mapping[str, Any]) -> str:
    """Return the sentence on significance and uncertainty: what was done with these arms, and nothing else."""
    plan, pairs = results["endpoints"], results["comparisons"]
    parts = ["Training runs as readers (Obuchowski–Rockette–Hillis) with a covariance clustered by patient"]
    if not several_runs(results["arms"]):
        parts = ["Covariance clustered by patient; one training run of each arm, so only patients are sampled"]
    parts += [f"max-T over {len(pairs)} comparisons"] if len(pairs) > 1 else []
    parts += [f"level {plan['alpha']:g}"]
    parts += ["equivalence by two one-sided tests"] if plan.get("margin") and pairs else []
    return f"{'; '.join(parts)}. See the methods paragraph."


def _errors(results: Mapping[str, Any], scored: bool) -> str:
    """Return the sentence on the analysis of failures."""
    if scored:
        return "False negatives and false positives, most confident first, are shown under Example cases."
    rates = [
        f"{arm['name']} {_percent(value)}"
        for arm in results["arms"]
        if (value := arm["endpoints"].get(FAILURE_RATE.name) or {}).get("estimate") is not None
    ]
    worst = f"{described(FAILURE_RATE.share_of).label} below {FAILURE_RATE.share_below:g}"
    return f"Share of cases on which a network failed ({worst}): {'; '.join(rates)}." if rates else ""


def _diagnostic(results: Mapping[str, Any]) -> str:
    """Return the sentence on sensitivity and specificity at the thresholds chosen on validation patients."""
    by_arm = []
    for arm in results["arms"]:
        point = arm.get("operating_point")
        if point:
            rates = [f"{key} {_percent(point[key])}" for key in (SENSITIVITY.name, SPECIFICITY.name)]
            by_arm.append(f"{arm['name']}: {', '.join(rates)}")
    return f"At thresholds chosen on validation patients: {'; '.join(by_arm)}." if by_arm else ""


def _percent(rate: Mapping[str, Any]) -> str:
    if rate["estimate"] is None:
        return "–"
    return f"{percentage(rate['estimate'])} % ({percentage(rate['low'])} to {percentage(rate['high'])})"


def _uncertainty_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    detectable = [pair["detectable"] for pair in results["comparisons"] if pair.get("detectable")]
    label = label_of(results, results["endpoints"]["primary"])
    patients, seeds = results["cohort"]["split_patients"]["test"], len(run.lock["seeds"])
    reach = number(min(detectable)) if detectable else ""
    reach += (
        f" to {number(max(detectable))} by pair" if len(detectable) > 1 and number(max(detectable)) != reach else ""
    )
    looked_at = [group["attribute"] for group in results["subgroups"]]
    tests = [f"By {group['attribute']}: {variation_in_words(group['tests'])}" for group in results["subgroups"]]
    size = run.lock["cohort"].get("size_attribute")
    people = [name for name in looked_at if name != size]
    return {
        "size": f"{plural(patients, 'test patient')} and {plural(seeds, 'training run')} of each arm give 80 % power "
        f"to detect a difference in {label} of {reach}.{_guarded(results['comparisons'])}"
        if detectable
        else "",
        "clusters": "Cases of one patient form a cluster in every interval and test"
        + (f"; subgroups by {listed(looked_at)}." if looked_at else "."),
        "fairness": f"Subgroups examined: {listed(people)}." if people else "",
        "heterogeneity": " ".join(tests),
        "robustness": " ".join(
            filter(
                None,
                [
                    spread_in_words(results),
                    f"Subgroups by {listed(looked_at)}." if looked_at else "",
                ],
            )
        ),
        "limits": " ".join(results["warnings"][:3]),
    }


def _guarded(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Say by how much the guard against unseen failures raises what is detected; empty where the tests decide."""
    raised = [p for p in pairs if guard_decides(p.get("detectable"), p.get("detectable_by_tests"))]
    if not raised:
        return ""
    low, high = (number(end(p["detectable_by_tests"] for p in raised)) for end in (min, max))
    return (
        " The guard against unseen failures sets this difference; by the tests alone it would be "
        f"{low if low == high else f'{low} to {high} by pair'}."
    )


def _disjoint(divided: int, *, guessed: bool) -> str:
    """Return the sentence on the level at which the parts are disjoint."""
    if divided:
        return f"Cases: {plural(divided, 'patient')} lie in more than one part, as the protocol allowed."
    if guessed:
        return "Groups of alike images, because the source states no patients: no group is in more than one part."
    return "Patients: no patient is in more than one part."


_STATED = (
    "accumulate", "schedule", "clip_norm", "ema", "average_last", "deep_supervision", "gradient_checkpointing", "dice",
    "class_weights", "sampling", "mixup", "patience",
)  # fmt: skip
"""Settings of training that the report states where they are not the usual ones."""


def _beyond_defaults(training: TrainingSection) -> str:
    """Return the training settings that differ from the defaults.

    >>> _beyond_defaults(TrainingSection(ema=0.99, schedule="cosine"))
    ', schedule cosine, ema 0.99'
    """
    usual, text = TrainingSection(), ""
    for name in _STATED:
        value = getattr(training, name)
        if value != getattr(usual, name):
            text += f", {name.replace('_', ' ')}{_stated(value)}"
    return text


def _stated(value: Any) -> str:
    """Return a setting's value in words: a switch that is on needs none."""
    if value is True:
        return ""
    if isinstance(value, DiceSection):
        absent = f", absent classes {value.absent}" if value.absent != DiceSection().absent else ""
        return f" over each {value.over}{absent}{'' if value.background else ', without background'}"
    return f" {value.name if isinstance(value, Named) else value}"


def _settings(head: str, values: Mapping[str, Any]) -> str:
    return (
        f"{head}: " + "; ".join(f"{key} {value}" for key, value in values.items()) + "." if values else f"{head}: none."
    )
