"""Drafts of the CLAIM 2024 and TRIPOD+AI checklists: items that the run can answer are filled in.

Topics are in our own words; the wording that counts is the published one: A. S. Tejani et al., Radiology: Artificial
Intelligence 6 (2024) e240300 (CLAIM 2024 update, 44 items) and G. S. Collins et al., BMJ 385 (2024) e078378 (TRIPOD+AI,
27 items).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from equipoise.report.text import audit
from equipoise.report.text.checklist_facts import facts_of
from equipoise.runfolder.read import RunFolder

Status = Literal["filled", "author", "not applicable"]


@dataclass(frozen=True)
class Item:
    """One item of a checklist: its topic, and the run's answer (for an author's item, a contribution to it)."""

    number: str
    topic: str
    status: Status
    text: str


def checklists(run: RunFolder, results: Mapping[str, Any]) -> dict[str, list[Item]]:
    """Return both drafts by name; every item of a checklist occurs once."""
    facts = facts_of(run, results)
    if run.sources:
        facts = audit.facts(facts, results, run.lock)
    return {"CLAIM 2024": _items(CLAIM, facts), "TRIPOD+AI": _items(TRIPOD, facts)}


def counts(items: Sequence[Item]) -> dict[str, int]:
    """Count items per status."""
    return {status: sum(item.status == status for item in items) for status in ("filled", "author", "not applicable")}


def _items(rows: Sequence[tuple[str, str, str]], facts: Mapping[str, str]) -> list[Item]:
    """Make items of (number, topic, fact): "-why" does not apply, "?fact" is the author's with a hint from the run."""
    out = []
    for code, topic, source in rows:
        if source.startswith("-"):
            out.append(Item(code, topic, "not applicable", source.removeprefix("-")))
        elif not source.startswith("?") and facts.get(source):
            out.append(Item(code, topic, "filled", facts[source]))
        else:
            out.append(Item(code, topic, "author", facts.get(source.removeprefix("?"), "")))
    return out


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
    ("12", "Handling of missing data", "missing"),
    ("13", "Image acquisition", "?channels"),
    ("14", "How the reference standard was obtained", "truth"),
    ("15", "Why this reference standard", ""),
    ("16", "Source of the annotations", ""),
    ("17", "Annotation of the test set", ""),
    ("18", "Variability within and between raters", ""),
    ("19", "Assignment to partitions", "partitions"),
    ("20", "Level at which partitions are disjoint", "disjoint"),
    ("21", "Intended sample size", "?size"),
    ("22", "Description of the models", "models"),
    ("23", "Software", "software"),
    ("24", "Initialization of parameters", "initialization"),
    ("25", "Training, augmentation, hyper-parameters, number of models", "training"),
    ("26", "Selection of the final model", "selection"),
    ("27", "Ensembling", "ensemble"),
    ("28", "Metrics of performance", "metrics"),
    ("29", "Significance and uncertainty", "statistics"),
    ("30", "Robustness and sensitivity analysis", "robustness"),
    ("31", "Explainability", ""),
    ("32", "Evaluation on internal data", "internal"),
    ("33", "Testing on external data", ""),
    ("34", "Registration of a clinical trial", "-No clinical trial: a comparison of networks on recorded images."),
    ("35", "Patients and cases included and excluded", "flow"),
    ("36", "Demographic and clinical characteristics by partition", "characteristics"),
    ("37", "Performance with its uncertainty", "performance"),
    ("38", "Diagnostic accuracy and its precision", "diagnostic"),
    ("39", "Analysis of failures", "errors"),
    ("40", "Limitations", "?limits"),
    ("41", "Implications for practice", ""),
    ("42", "Full protocol", "protocol"),
    ("43", "Availability of software, models and data", "?available"),
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
    ("9b", "Definition of predictors", "images"),
    ("9c", "Assessors of predictors", "-The predictors are the images."),
    ("10", "Sample size", "?size"),
    ("11", "Missing data", "missing"),
    ("12a", "Use of the data in the analysis, partitions", "partitions"),
    ("12b", "Handling of predictors", "augmentation"),
    ("12c", "Models, building, tuning", "building"),
    ("12d", "Heterogeneity between clusters", "clusters"),
    ("12e", "Measures of performance", "measures"),
    ("12f", "Updating of models", "-No model was updated."),
    ("12g", "How predictions are calculated", "output"),
    ("13", "Class imbalance", "imbalance"),
    ("14", "Fairness", "?fairness"),
    ("15", "Output of the model and thresholds", "output"),
    ("16", "Differences between development and evaluation data", "internal"),
    ("17", "Ethical approval", ""),
    ("18a", "Funding", ""),
    ("18b", "Conflicts of interest", ""),
    ("18c", "Protocol", "protocol"),
    ("18d", "Registration", ""),
    ("18e", "Sharing of data", ""),
    ("18f", "Sharing of code", "?available"),
    ("19", "Involvement of patients and the public", ""),
    ("20a", "Flow of participants", "flow"),
    ("20b", "Characteristics of participants", "characteristics"),
    ("20c", "Comparison of development and evaluation data", "characteristics"),
    ("21", "Participants and events in each analysis", "events"),
    ("22", "Full specification of the model", "specification"),
    ("23a", "Performance with intervals", "performance"),
    ("23b", "Heterogeneity of performance", "heterogeneity"),
    ("24", "Results of updating", "-No model was updated."),
    ("25", "Interpretation", ""),
    ("26", "Limitations", "?limits"),
    ("27a", "Poor or missing input at use", "?input"),
    ("27b", "Interaction and expertise at use", ""),
    ("27c", "Next steps", ""),
)
