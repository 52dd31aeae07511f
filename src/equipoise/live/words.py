"""The state of a trial in words: rows of a table, and one line for a log."""

from equipoise.live.state import ENDED, FAILED, RUNNING, STOPPED, TUNING, WAITING, JobState, TrialState
from equipoise.progress import minutes
from equipoise.report.text.words import endpoint_name, number, plural
from equipoise.sinks import printable

_ORDER = (RUNNING, FAILED, WAITING)
"""The order in which jobs are shown where not all have room: those that compute, then those that went wrong."""


def heads(state: TrialState) -> tuple[str, ...]:
    """Return the heads of the table's columns."""
    run = "draw" if state.phase == TUNING else "seed"
    return (
        "arm",
        run,
        "epoch",
        "train loss",
        "validation loss",
        f"validation {endpoint_name(state.primary)}",
        "time left",
    )


def row(state: TrialState, job: JobState) -> tuple[str, ...]:
    """Return the cells of a job: the newest values, and the time left or how it ended."""
    folds = {one.fold for one in state.jobs}
    seed = f"{job.seed}, fold {job.fold + 1}" if len(folds) > 1 else str(job.seed)
    losses = (job.last("train_loss"), job.last("validation_loss"), job.last(state.column))
    left = state.seconds_of(job)
    end = job.status if job.has_ended or left is None else f"{minutes(left)}{_idle(job)}"
    return (printable(job.arm), seed, f"{job.epoch}/{job.epochs}", *(number(value) for value in losses), end)


def shown(state: TrialState, most: int) -> tuple[list[JobState], str]:
    """Return at most so many jobs for a table, in the order of the plan, and a line about those left out."""
    if len(state.jobs) <= most:
        return list(state.jobs), ""
    # Ended ones are left out first: what computes now is what somebody looks for.
    ranked = sorted(state.jobs, key=lambda job: _ORDER.index(job.status) if job.status in _ORDER else len(_ORDER))
    chosen = {job.name for job in ranked[:most]}
    kept = [job for job in state.jobs if job.name in chosen]
    return kept, f"{len(state.jobs) - len(kept)} more: {_counted(state, chosen)}"


def heading(state: TrialState) -> str:
    """Return one line on the whole trial: its phase, the epochs behind it, the time left."""
    done, total = state.epochs()
    text = f"{printable(state.name)}: {state.phase}, {done} of {plural(total, 'epoch')}"
    if state.phase == STOPPED:
        return f"{text}; no process is working on it, and the command that started it resumes it"
    if state.seconds_left and state.phase != ENDED:
        text += f", about {minutes(state.seconds_left)} of training left"
    return text


def line(state: TrialState) -> str:
    """Return the heading and every job that runs, as one line for a log."""
    running = [job for job in state.jobs if job.status == RUNNING and job.epoch]
    names = [f"{printable(job.name)} {job.epoch}/{job.epochs}{_values(state, job)}" for job in running[:4]]
    failed = sum(job.status == FAILED for job in state.jobs)
    parts = [heading(state), *names, *([plural(failed, "run") + " failed"] if failed else [])]
    return "; ".join(parts)


def _values(state: TrialState, job: JobState) -> str:
    loss, value = job.last("validation_loss"), job.last(state.column)
    endpoint = "" if value is None else f", {endpoint_name(state.primary)} {number(value)}"
    return f" (validation loss {number(loss)}{endpoint})"


def _idle(job: JobState) -> str:
    return " (waits)" if job.status == WAITING else ""


def _counted(state: TrialState, chosen: set[str]) -> str:
    statuses = [job.status for job in state.jobs if job.name not in chosen]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
