"""The exact command that exports an arm of a run: what follows from the report."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from equipoise.protocol.nnunet_section import is_nnunet
from equipoise.report.results.recommendation import QUALITY
from equipoise.report.text.arm_evidence import arm_evidence
from equipoise.report.text.model_card import run_card
from equipoise.report.text.objection import objection
from equipoise.runfolder.own_code import own_code_of_arm
from equipoise.runfolder.read import RunFolder


def export_command(run: RunFolder, results: Mapping[str, Any], arm: str, folder: str | None = None) -> str | None:
    """Return the command that exports an arm; None where a bundle cannot hold it (an audit, a task of one's own).

    folder: of the run as the user names it; its own name where it is not given, for use beside it.
    """
    task, plans = str(run.lock["cohort"].get("task")), (*run.lock["arms"], *run.untuned())
    plan = next((plan for plan in plans if plan["name"] == arm), None)
    if run.sources or ":" in task or plan is None or _is_nnunet(plan.get("model")):
        return None
    place = run.path.resolve().name if folder is None else folder
    words = ["equipoise", "export", place, "--arm", arm, "--out", f"{arm}-bundle"]
    words += ["--trust-code"] * any(True for _ in own_code_of_arm(run.path, plans, arm))
    words += ["--although", "REASON"] * bool(arm_evidence(run.lock, arm, results)["overruled"])
    return shlex.join(words)


def _is_nnunet(model: Any) -> bool:
    return is_nnunet(str(model.get("name", "") if isinstance(model, Mapping) else model))


def notes_on_export(run: RunFolder, results: Mapping[str, Any], arm: str, command: str) -> list[str]:
    """Return what to do before the export command of an arm is used."""
    return list(notes_on(command, precision_of(run), arm_evidence(run.lock, arm, results)["overruled"]))


def next_step(run: RunFolder, results: Mapping[str, Any], folder: str | None = None) -> str | None:
    """Return the command for the arm that is recommended for its quality; None without such an arm."""
    advice = results["recommendation"][QUALITY]
    if advice["arm"] is None or advice["beats_baseline"] is False:
        return None
    return export_command(run, results, str(advice["arm"]), folder)


def precision_of(run: RunFolder) -> str:
    """Return the precision in which the trial computed: the measured choice of "auto", or what the protocol states."""
    settled = run.ledger.settled or {}
    return str(settled.get("precision") or run.lock.get("training", {}).get("precision", "float32"))


def notes_on(command: str, precision: str = "float32", reasons: Sequence[str] = ()) -> Iterator[str]:
    """Yield what to do before an export command is used. precision: in which the trial computed.

    reasons: what stands against the arm, `overruled` of its evidence.
    """
    if " --trust-code" in command:
        yield "It runs code that the run folder names; read that first."
    if " --although REASON" in command:
        against = objection(reasons)
        why = "" if against is None else f"{against.title}: {against.text}. "
        yield f"{why}Write in place of REASON why you export the arm nevertheless; its card prints that."
    elif precision not in ("float32", "auto"):
        yield (
            f"The trial computed in {precision} and a bundle computes in float32: if the command cannot show that this "
            "worsens the primary endpoint on validation cases by less than a fifth of the margin, it asks for "
            "--although with your reason."
        )


def model_cards(run: RunFolder, results: Mapping[str, Any]) -> dict[str, str]:
    """Return the model card of every arm that has a result, by name; none of an audit, whose models are not known."""
    if run.sources:
        return {}
    primary = results["endpoints"]["primary"]
    judged = [arm for arm in results["arms"] if (arm["endpoints"].get(primary) or {}).get("estimate") is not None]
    names = [str(arm["name"]) for arm in judged]
    return {
        name: run_card(run.lock, results, arm_evidence(run.lock, name, results), export_command(run, results, name))
        for name in names
    }
