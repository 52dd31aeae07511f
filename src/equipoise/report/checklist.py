"""Drafts of the CLAIM 2024 and TRIPOD+AI checklists: what the run can say is filled in, the rest is the author's.

Topics are in our own words; the wording that counts is the published one: A. S. Tejani et al., Radiology: Artificial
Intelligence 6 (2024) e240300 (CLAIM 2024 update, 44 items) and G. S. Collins et al., BMJ 385 (2024) e078378 (TRIPOD+AI,
27 items).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from equipoise.errors import ProtocolError
from equipoise.protocol import Named, Protocol, TrainingSection
from equipoise.report.folder import RunFolder
from equipoise.report.looks import opened_in_words
from equipoise.report.starts import initialization
from equipoise.report.words import case_noun, endpoint_name, interval, listed, number, plural, split_unit

Status = Literal["filled", "author", "not applicable"]


@dataclass(frozen=True)
class Item:
    """One item of a checklist: what it asks for, and what the run says to it."""

    number: str
    topic: str
    status: Status
    text: str


def checklists(run: RunFolder, results: Mapping[str, Any]) -> dict[str, list[Item]]:
    """Both drafts by name; every item of a checklist is there once."""
    facts = _facts(run, results)
    return {"CLAIM 2024": _items(CLAIM, facts), "TRIPOD+AI": _items(TRIPOD, facts)}


def counts(items: Sequence[Item]) -> dict[str, int]:
    """Items per status."""
    return {status: sum(item.status == status for item in items) for status in ("filled", "author", "not applicable")}


def _items(rows: Sequence[tuple[str, str, str]], facts: Mapping[str, str]) -> list[Item]:
    out = []
    for code, topic, source in rows:
        if source.startswith("-"):
            out.append(Item(code, topic, "not applicable", source.removeprefix("-")))
        elif facts.get(source):
            out.append(Item(code, topic, "filled", facts[source]))
        else:
            out.append(Item(code, topic, "author", ""))
    return out


def _facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    """Sentences by the name under which the checklists ask for them; an empty one is left to the author."""
    return {**_data_facts(run, results), **_model_facts(run, results), **_result_facts(run, results)}


def _data_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    cohort, noun, plan = results["cohort"], case_noun(run.lock), _protocol(run)
    parts = [
        f"{name} {cohort['split_patients'][name]} patients / {cohort['split'][name]} {noun}s"
        for name in cohort["split"]
    ]
    left_out = "; ".join(f"{row['cases']} {noun}s: {row['reason']}" for row in cohort["excluded"])
    source = f"{cohort['name']}: {plural(cohort['cases'], noun)} of {plural(cohort['patients'], 'patient')}, "
    truth = " ".join(note for note in cohort["notes"] if note.startswith("Truth"))
    balance = ", ".join(f"{name} {count}" for name, count in cohort["classes"].items())
    return {
        "sources": f"{source}fingerprint {str(cohort['fingerprint'])[:12]}….",
        "eligibility": f"Left out: {left_out}." if left_out else "No case of the source was left out.",
        "flow": f"{'; '.join(parts)}. Left out: {left_out or 'nothing'} (figure data-flow).",
        "partitions": f"{run.lock['split']['scheme']}, {split_unit(run.lock)}, stratified by class: "
        f"{'; '.join(parts)}.",
        "disjoint": _disjoint(run),
        "truth": truth,
        "classes": f"Cases per class: {balance}." if cohort["classes"] else "",
        "preprocessing": _settings("In this order", plan.preprocessing) if plan else "",
        "augmentation": _settings("Augmentation", plan.augmentation) if plan else "",
    }


def _model_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    plan, arms = _protocol(run), results["arms"]
    models = "; ".join(
        f"{arm['name']}: {arm['model']} with {arm['optimizer']}"
        + (f", {arm['parameters']:,} parameters" if arm["parameters"] is not None else "")
        for arm in arms
    )
    training = ""
    if plan is not None:
        section = plan.training
        training = (
            f"{section.epochs} epochs, batches of {section.batch_size}, loss {section.loss}, precision "
            f"{section.precision}{_beyond_defaults(section)}; {len(run.jobs)} networks trained."
        )
    versions = ", ".join(f"{name} {version}" for name, version in run.lock.get("versions", {}).items())
    seeds = ", ".join(map(str, run.lock["seeds"]))
    return {
        "models": f"{models}.",
        "training": training,
        "selection": f"The epoch with the best validation {plan.training.select} of each run." if plan else "",
        "software": f"{versions}; {run.lock.get('machine', 'machine unknown')}, {run.lock.get('device', '')}.",
        "initialization": initialization(arms, seeds),
        "ensemble": "None: every estimate is that of single training runs, averaged.",
        "protocol": f"Locked before training: protocol SHA-256 {str(results['protocol_sha256'])[:12]}…, ledger "
        f"{'verified' if results['ledger']['verified'] else 'NOT verified'}.",
    }


def _result_facts(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    plan, classes = results["endpoints"], len(results["cohort"]["classes"])
    label = endpoint_name(plan["primary"], classes)
    names = [endpoint_name(name, classes) for name in (plan["primary"], *plan["secondary"])]
    values = [
        f"{entry['name']} {number(value['estimate'])} ({interval(value['low'], value['high'])})"
        for entry in (*results["arms"], *results["baselines"])
        if (value := entry["endpoints"].get(plan["primary"]) or {}).get("estimate") is not None
    ]
    margin = f"; differences below {number(plan['margin'])} do not matter" if plan.get("margin") else ""
    scored = any(entry.get("calibration") for entry in results["arms"])
    return {
        "question": str(run.lock["question"]),
        "technology": f"Deep-learning networks compared: {listed([str(arm['name']) for arm in results['arms']])}.",
        "goal": f"Comparison of {len(results['arms'])} arms by {label}{margin}.",
        "metrics": f"Primary: {names[0]}; secondary: {', '.join(names[1:]) or 'none'}.",
        "statistics": "Training runs as readers (Obuchowski–Rockette–Hillis) with a covariance clustered by patient; "
        f"max-T over the family at {plan['alpha']:g}; equivalence by two one-sided tests. See the methods paragraph.",
        "performance": f"{label} with 95 % intervals: {'; '.join(values)}." if values else "",
        "output": "One probability per class; operating points chosen on validation patients." if scored else "",
        "calibration": "Reliability diagrams, calibration error beside its value by chance, net benefit."
        if scored
        else "",
        "errors": "Misses and false alarms, the most confident first, stand under Example cases." if scored else "",
        "internal": f"Test patients of the same source, opened {opened_in_words(results)}.",
    }


def _disjoint(run: RunFolder) -> str:
    """At which level the parts share nothing."""
    divided = sum(leak["kind"] == "patient" for leak in run.lock.get("leaks") or ())
    if divided:
        return f"Cases: {plural(divided, 'patient')} lie in more than one part, as the protocol allowed."
    return "Patients: no patient is in more than one part."


def _protocol(run: RunFolder) -> Protocol | None:
    try:
        return Protocol.load(run.path / "protocol.toml")
    except ProtocolError:
        return None


def _beyond_defaults(training: TrainingSection) -> str:
    """What else the protocol asks of the training, where it is not the default.

    >>> _beyond_defaults(TrainingSection(ema=0.99, schedule="cosine"))
    ', schedule cosine, ema 0.99'
    """
    usual, found = TrainingSection(), ""
    for name in ("accumulate", "schedule", "clip_norm", "ema", "class_weights", "sampling", "mixup", "patience"):
        value = getattr(training, name)
        if value != getattr(usual, name):
            found += f", {name.replace('_', ' ')} {value.name if isinstance(value, Named) else value}"
    return found


def _settings(head: str, values: Mapping[str, Any]) -> str:
    return (
        f"{head}: " + "; ".join(f"{key} {value}" for key, value in values.items()) + "." if values else f"{head}: none."
    )


CLAIM: tuple[tuple[str, str, str], ...] = (
    ("1", "Title or abstract names the AI technology", "technology"),
    ("2", "Structured abstract", ""),
    ("3", "Background, intended use and clinical role", ""),
    ("4", "Aims, objectives and hypotheses", "question"),
    ("5", "Prospective or retrospective", ""),
    ("6", "Goal of the study", "goal"),
    ("7", "Sources of data", "sources"),
    ("8", "Inclusion and exclusion criteria", "eligibility"),
    ("9", "Preprocessing", "preprocessing"),
    ("10", "Selection of subsets of the data", "eligibility"),
    ("11", "De-identification", ""),
    ("12", "Handling of missing data", ""),
    ("13", "Image acquisition", ""),
    ("14", "How the reference standard was obtained", "truth"),
    ("15", "Why this reference standard", ""),
    ("16", "Source of the annotations", ""),
    ("17", "Annotation of the test set", ""),
    ("18", "Variability within and between raters", ""),
    ("19", "Assignment to partitions", "partitions"),
    ("20", "Level at which partitions are disjoint", "disjoint"),
    ("21", "Intended sample size", ""),
    ("22", "Description of the models", "models"),
    ("23", "Software", "software"),
    ("24", "Initialization of parameters", "initialization"),
    ("25", "Training, augmentation, hyper-parameters, number of models", "training"),
    ("26", "Selection of the final model", "selection"),
    ("27", "Ensembling", "ensemble"),
    ("28", "Metrics of performance", "metrics"),
    ("29", "Significance and uncertainty", "statistics"),
    ("30", "Robustness and sensitivity analysis", ""),
    ("31", "Explainability", ""),
    ("32", "Evaluation on internal data", "internal"),
    ("33", "Testing on external data", ""),
    ("34", "Registration of a clinical trial", "-No clinical trial: a comparison of networks on recorded images."),
    ("35", "Patients and cases included and excluded", "flow"),
    ("36", "Demographic and clinical characteristics by partition", ""),
    ("37", "Performance with its uncertainty", "performance"),
    ("38", "Diagnostic accuracy and its precision", "performance"),
    ("39", "Analysis of failures", "errors"),
    ("40", "Limitations", ""),
    ("41", "Implications for practice", ""),
    ("42", "Full protocol", "protocol"),
    ("43", "Availability of software, models and data", ""),
    ("44", "Funding", ""),
)
TRIPOD: tuple[tuple[str, str, str], ...] = (
    ("1", "Title: development or evaluation, population, outcome", ""),
    ("2", "Abstract", ""),
    ("3a", "Context and rationale, existing models", ""),
    ("3b", "Target population and users", ""),
    ("3c", "Known health inequalities", ""),
    ("4", "Objectives", "question"),
    ("5a", "Sources of data and how representative they are", "sources"),
    ("5b", "Dates of the data", ""),
    ("6a", "Setting and centres", ""),
    ("6b", "Eligibility", "eligibility"),
    ("6c", "Treatments received", ""),
    ("7", "Data preparation", "preprocessing"),
    ("8a", "Outcome and how it was assessed", "truth"),
    ("8b", "Qualification of the assessors", ""),
    ("8c", "Blinding of the assessment", ""),
    ("9a", "Choice of predictors", "-The predictors are the images."),
    ("9b", "Definition of predictors", "-The predictors are the images."),
    ("9c", "Assessors of predictors", "-The predictors are the images."),
    ("10", "Sample size", ""),
    ("11", "Missing data", ""),
    ("12a", "Use of the data in the analysis, partitions", "partitions"),
    ("12b", "Handling of predictors", "augmentation"),
    ("12c", "Models, building, tuning", "models"),
    ("12d", "Heterogeneity between clusters", ""),
    ("12e", "Measures of performance", "metrics"),
    ("12f", "Updating of models", "-No model was updated."),
    ("12g", "How predictions are calculated", "output"),
    ("13", "Class imbalance", "classes"),
    ("14", "Fairness", ""),
    ("15", "Output of the model and thresholds", "output"),
    ("16", "Differences between development and evaluation data", "internal"),
    ("17", "Ethical approval", ""),
    ("18a", "Funding", ""),
    ("18b", "Conflicts of interest", ""),
    ("18c", "Protocol", "protocol"),
    ("18d", "Registration", ""),
    ("18e", "Sharing of data", ""),
    ("18f", "Sharing of code", ""),
    ("19", "Involvement of patients and the public", ""),
    ("20a", "Flow of participants", "flow"),
    ("20b", "Characteristics of participants", ""),
    ("20c", "Comparison of development and evaluation data", ""),
    ("21", "Participants and events in each analysis", "flow"),
    ("22", "Full specification of the model", "models"),
    ("23a", "Performance with intervals", "performance"),
    ("23b", "Heterogeneity of performance", ""),
    ("24", "Results of updating", "-No model was updated."),
    ("25", "Interpretation", ""),
    ("26", "Limitations", ""),
    ("27a", "Poor or missing input at use", ""),
    ("27b", "Interaction and expertise at use", ""),
    ("27c", "Next steps", ""),
)
