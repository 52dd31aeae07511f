"""Turn the draws of a tuned trial into jobs, choose the best draw, and give its settings to the trial's jobs.

Each fold is tuned on its own training and validation cases alone, so that no test case influences a setting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.protocol import Arm, Protocol
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import draw_folder, run_of
from equipoise.statistics.draws import best
from equipoise.training.tuning.search import draw, space_of, validation_value, with_settings

Plan = Mapping[str, Sequence[Mapping[str, Any]]]
"""The settings of every draw, by the arm's name."""


@dataclass(frozen=True)
class Choice:
    """The best draw of an arm in a fold, with its settings and value; draw is None where every draw failed."""

    arm: str
    fold: int
    draw: int | None
    settings: dict[str, Any]
    value: float | None


def plan_draws(protocol: Protocol) -> Plan:
    """Draw the settings of every arm before any training; empty without tuning.

    Raises ProtocolError for an arm whose space is neither declared nor known.
    """
    tuning = protocol.tuning
    if tuning is None:
        return {}
    return {arm.name: draw(space_of(arm), arm.draws or tuning.draws, tuning.seed) for arm in protocol.arms}


def describe_tuning(protocol: Protocol, plan: Plan) -> dict[str, Any]:
    """Describe the tuning for lock.json: budget, rule of choice, spaces and draws, and the untuned twin arms."""
    tuning = protocol.tuning
    if tuning is None:
        return {}
    return {
        "draws": tuning.draws,
        "seed": tuning.seed,
        "epochs": tuning.epochs or protocol.training.epochs,
        "select": tuning.select or protocol.training.select,
        "equal": len({len(draws) for draws in plan.values()}) == 1,
        "arms": {
            arm.name: {"space": _described(arm), "draws": [dict(settings) for settings in plan[arm.name]]}
            for arm in protocol.arms
        },
        "untuned": [arm.model_dump(mode="json") for arm in protocol.untuned()],
    }


def _described(arm: Arm) -> dict[str, Any]:
    return {name: dimension.model_dump(mode="json", exclude_none=True) for name, dimension in space_of(arm).items()}


def draw_jobs(protocol: Protocol, jobs: Sequence[Job], plan: Plan) -> list[Job]:
    """Make a job per draw, arm and fold; the first draws of all arms come before any second draw."""
    tuning = protocol.tuning
    if tuning is None:
        return []
    budget = {"epochs": tuning.epochs, "select": tuning.select}
    training = protocol.training.model_copy(update={key: value for key, value in budget.items() if value is not None})
    # One job per arm and fold is the template of its draws; the loop below replaces settings, seed, folder and budget.
    firsts = [job for job in jobs if job.arm.name in plan and job.seed == protocol.training.seeds[0]]
    most = max(len(draws) for draws in plan.values())
    return [
        replace(
            job,
            arm=with_settings(job.arm, plan[job.arm.name][number]),
            seed=tuning.seed,
            folder=draw_folder(run_of(job.folder), job.arm.name, job.fold, number),
            training=training,
            draw=number,
        )
        for number in range(most)
        for job in firsts
        if number < len(plan[job.arm.name])
    ]


def draw_value(job: Job) -> float | None:
    """Return the validation value of a draw in its chosen epoch; None where the draw failed."""
    done = job.done() or {}
    if done.get("status") != "finished":
        return None
    column = "validation_loss" if job.training.select == "loss" else f"validation_{job.primary}"
    return validation_value(job.history(), column, done["chosen_epoch"])


def choose(draws: Sequence[Job], plan: Plan, *, lower_is_better: bool) -> list[Choice]:
    """Choose the best draw of every arm and fold; every draw must have ended."""
    choices = []
    for arm, fold in dict.fromkeys((job.arm.name, job.fold) for job in draws):
        own = sorted((job for job in draws if (job.arm.name, job.fold) == (arm, fold)), key=lambda job: job.draw or 0)
        values = [draw_value(job) for job in own]
        number = best(values, lower_is_better=lower_is_better)
        settings = {} if number is None else dict(plan[arm][number])
        choices.append(Choice(arm, fold, number, settings, None if number is None else values[number]))
    return choices


def tuned_jobs(jobs: Sequence[Job], choices: Sequence[Choice]) -> list[Job]:
    """Return the jobs of the trial, those of tuned arms with the chosen settings.

    A job of an arm of which every draw failed is recorded here as failed, without being started.
    """
    choice_of = {(choice.arm, choice.fold): choice for choice in choices}
    out = []
    for job in jobs:
        choice = choice_of.get((job.arm.name, job.fold))
        if choice is not None and choice.draw is None and job.done() is None:
            job.write_end(status="failed", reason="every draw of its tuning failed, so no settings could be chosen")
        settings = {} if choice is None else choice.settings
        out.append(replace(job, arm=with_settings(job.arm, settings)) if settings else job)
    return out
