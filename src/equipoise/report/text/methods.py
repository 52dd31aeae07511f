"""The methods paragraph for a paper: the trial's methods in the past tense, with references."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.protocol import TrainingSection
from equipoise.protocol.nnunet_section import is_nnunet
from equipoise.report.results.gradient_evaluations import counts_of, unequal_evaluations
from equipoise.report.text import audit
from equipoise.report.text.budget_reasons import evaluations_in_words
from equipoise.report.text.methods_statistics import statistics
from equipoise.report.text.references import REFERENCES, Cite
from equipoise.report.text.words import (
    case_noun,
    cohort_words,
    listed,
    patients_guessed,
    plural,
    stratified,
    trained_as,
)

_OF_EVERY_TRIAL = ("python", "equipoise", "torch", "numpy", "scipy")


def methods(
    results: Mapping[str, Any], lock: Mapping[str, Any], training: TrainingSection | None = None
) -> tuple[str, list[str]]:
    """Return the paragraph, and its numbered references in order.

    training: that of the protocol, for the numbers of epochs and batches; None where it cannot be read.
    """
    used: list[str] = []

    def cite(*keys: str) -> str:
        """Return the numbers of references, in the order of their first use."""
        # A reference has its number from its first citation, and one that no sentence cites does not appear.
        for key in keys:
            if key not in used:
                used.append(key)
        return "[" + ",".join(str(used.index(key) + 1) for key in keys) + "]"

    made = [*_data(results, lock, cite), *_tuning(results, cite), *_training(results, lock, training)]
    made += other_kinds(results["arms"], cite)
    if results.get("audit"):
        made = audit.data_and_training(results, results["sources"], lock)
    sentences = [*made, *statistics(results, cite)]
    return " ".join(filter(None, sentences)), [REFERENCES[key] for key in used]


def _data(results: Mapping[str, Any], lock: Mapping[str, Any], cite: Cite) -> list[str]:
    cohort, noun = results["cohort"], case_noun(lock)
    source = cohort_words(str(cohort["name"]), str(lock.get("name", ""))) + (
        f" {cite('lidc')}" if str(cohort["name"]).startswith("lidc") else ""
    )
    left_out = sum(row["cases"] for row in cohort["excluded"])
    parts = cohort["split_patients"]
    by_whom = "by the source " if lock["split"].get("scheme") == "given" else ""
    shared = (
        f"Patients were assigned {by_whom}to training ({parts['train']}), validation ({parts['validation']}) and test "
        f"({parts['test']}){stratified(lock)}, {_disjoint(cohort['divided_patients'])}{_guessed(lock)}."
        if cohort["folds"] == 1
        else f"Patients were assigned to {cohort['folds']} folds{stratified(lock)}; every patient was tested once "
        f"in each repetition{_guessed(lock)}."
    )
    return [
        f"We analysed {plural(cohort['cases'], noun)} of {plural(cohort['patients'], 'patient')} from {source}"
        + (f"; {plural(left_out, noun)} were excluded for stated reasons." if left_out else "."),
        shared,
    ]


def _guessed(lock: Mapping[str, Any]) -> str:
    return "; the source states no patients, who were guessed from alike images" * patients_guessed(lock)


def _disjoint(divided: int) -> str:
    return f"{divided} of them in more than one part" if divided else "no patient in more than one part"


def _tuning(results: Mapping[str, Any], cite: Cite) -> list[str]:
    tuning = results["tuning"]
    if tuning is None:
        return []
    counts = [len(arm["draws"]) for arm in tuning["arms"]]
    draws = plural(counts[0], "draw") if tuning["equal"] else f"between {min(counts)} and {max(counts)} draws"
    rule = "lowest validation loss" if tuning["select"] == "loss" else "best primary endpoint on validation patients"
    return [
        (
            f"Settings of every arm were tuned with {draws} of a scrambled Sobol sequence {cite('owen')}, fixed before "
            f"training and trained for {plural(tuning['epochs'], 'epoch')}; the settings with the {rule} were used, "
            "and a failed draw counted as a draw. Every arm was also trained with its stated settings."
        )
    ]


def _training(results: Mapping[str, Any], lock: Mapping[str, Any], training: TrainingSection | None) -> list[str]:
    arms = ", ".join(f"{arm['name']} ({trained_as(arm)})" for arm in results["arms"])
    versions = lock.get("versions", {})
    # Those of every trial, and the packages behind the arms.
    named = ("equipoise", "torch", "python", *(name for name in versions if name not in _OF_EVERY_TRIAL))
    tools = ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
    seeds = ", ".join(map(str, lock["seeds"]))
    own = " of the networks" if any(arm["optimizer"] is None for arm in results["arms"]) else ""
    return [
        (
            f"{plural(len(results['arms']), 'arm')} – {arms} – were trained under one protocol with the seeds {seeds} "
            f"and {budget_in_words(results['arms'], training)}; the epoch{own} was chosen on validation patients."
        ),
        (
            "Cohort, split, endpoints, margin and arms were locked by cryptographic hash before training, and test "
            f"predictions were made only after the last training run had ended{f' ({tools})' if tools else ''}."
        ),
    ]


def other_kinds(arms: Sequence[Mapping[str, Any]], cite: Cite) -> list[str]:
    """Return a sentence for each arm that is no network trained here: by whom it was trained, or of what it is made."""
    sentences = []
    for arm in arms:
        settings = (arm.get("settings") or {}).get("model", {})
        if arm.get("ensemble"):
            sentences.append(
                f"{arm['name']} is an {trained_as(arm)}, whose probabilities were averaged; each of its "
                f"{len(arm['seeds'])} ensembles per fold has its own runs, and its cost is the sum of theirs."
            )
        elif is_nnunet(str(arm["model"])):
            sentences.append(
                f"{arm['name']} was planned, trained and applied by nnU-Net {cite('isensee')} on the same prepared "
                f"training and validation cases, within {_nnunet_budget(settings)}; its last weights were used."
            )
    return sentences


def _nnunet_budget(settings: Mapping[str, Any]) -> str:
    """Describe nnU-Net's budget.

    >>> _nnunet_budget({"minutes": 5}), _nnunet_budget({"epochs": 8, "steps_per_epoch": 50})
    ('5 minutes of processor time per run (on a graphics card: wall-clock time)', '8 epochs of 50 updates')
    """
    if settings.get("minutes") is not None:
        return f"{settings['minutes']:g} minutes of processor time per run (on a graphics card: wall-clock time)"
    epochs = settings.get("epochs")
    return f"{'the common' if epochs is None else epochs} epochs of {settings.get('steps_per_epoch', 250)} updates"


def budget_in_words(arms: Sequence[Mapping[str, Any]], training: TrainingSection | None = None) -> str:
    """Describe the budget for the methods paragraph: equal, an equal limit, or not the same for all arms.

    >>> budget_in_words([{"stopped_early": None}])
    'an equal budget of epochs'
    >>> budget_in_words([{"stopped_early": None}], TrainingSection(epochs=20, batch_size=8))
    'an equal budget of 20 epochs in batches of 8'
    >>> budget_in_words([{"name": "mine", "model": "unet"}, {"name": "theirs", "model": "nnunet"}])
    'an equal budget of epochs for all arms but theirs, which had another budget'
    >>> counts = {"adam": 1, "mine": 40}
    >>> budget_in_words([{"name": arm, "cost": {"gradient_evaluations": n}} for arm, n in counts.items()])
    'an equal number of epochs and no equal budget (mine used 40 gradient evaluations for each update, adam 1)'
    """
    own = [arm for arm in arms if is_nnunet(str(arm.get("model")))]
    if own and len(own) == len(arms):
        budgets = {_nnunet_budget((arm.get("settings") or {}).get("model", {})) for arm in own}
        return f"an equal budget of {budgets.pop()}" if len(budgets) == 1 else "unequal budgets"
    if own:
        networks = budget_in_words([arm for arm in arms if arm not in own], training)
        return f"{networks} for all arms but {listed([arm['name'] for arm in own])}, which had another budget"
    uneven, epochs = unequal_evaluations(counts_of(arms)), _epochs(training)
    if uneven:
        counts = evaluations_in_words(uneven[0].facts["evaluations"])
        number = "an equal number of epochs" if training is None else epochs
        return f"{number} and no equal budget ({counts})"
    stopped = [arm["stopped_early"] for arm in arms if arm.get("stopped_early") is not None]
    if not stopped:
        return f"an equal budget of {epochs}"
    runs = sum(one["runs"] for one in stopped)
    return f"an equal limit of {epochs} (early stopping ended {plural(runs, 'run')} before the limit)"


def _epochs(training: TrainingSection | None) -> str:
    """State epochs and batches; "epochs" where they are not known."""
    if training is None:
        return "epochs"
    update = f" ({training.accumulate} batches to an update)" if training.accumulate > 1 else ""
    return f"{plural(training.epochs, 'epoch')} in batches of {training.batch_size}{update}"
