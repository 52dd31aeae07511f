"""Watch the jobs that run: how many epochs lie behind them, and which of them has stood still for long."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from equipoise.progress import remark
from equipoise.runfolder.job import Job
from equipoise.runfolder.writer import last_beat, written_by

POLL_SECONDS = 3.0
"""Between two looks at the files: on a network disk every look is a call to its server."""
OWN_EPOCHS, LEAST_SECONDS, UNKNOWN_SECONDS = 10, 60.0, 600.0
"""A job is told of after ten times its own mean epoch, but a minute; ten minutes where no epoch of its arm is known."""


@dataclass
class _Seen:
    """A job that runs: its completed epochs, when the last of them was noticed, and when its standstill is told."""

    epochs: int
    since: float
    told_after: float = 0.0

    def standstill(
        self, now: float, limit: float | None, remark_of: Callable[[float], str], without: str
    ) -> str | None:
        """Return why the job is to be ended; where it is not, remark on it now and then.

        limit: minutes; None to wait for ever. remark_of: the remark, from the seconds of standstill. without: what
        did not come.
        """
        still = now - self.since
        if limit is not None and still > limit * 60:
            return f"its worker was stopped after {still / 60:.1f} minutes without {without} (--stall-minutes)"
        if still > self.told_after:
            remark(remark_of(still))
            self.told_after = 4 * still  # told again, but ever more rarely
        return None


class Watching:
    """Reports the progress of jobs, remarks on those that stand still, and says which of them to end.

    jobs: all whose epochs count. stall_minutes: time without a new epoch after which a job's worker is ended; None to
    wait for ever. held: raises Superseded where another run has taken the folder over.
    """

    # Only what runs is read, not the history of every job: of a thousand jobs, a few run.

    def __init__(
        self,
        jobs: Sequence[Job],
        report: Callable[[int], None],
        stall_minutes: float | None = None,
        held: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._epochs = {job.name: job.epochs_behind() for job in jobs}
        self._means: dict[str, float] = {}
        self._running: dict[str, _Seen] = {}
        self._report, self._limit, self._held, self._clock = report, stall_minutes, held, clock
        self._looked = float("-inf")
        report(sum(self._epochs.values()))

    def __call__(self, running: Sequence[Job]) -> dict[str, str]:
        """Look at the running jobs, at most every few seconds; return which to end by name, and why."""
        now = self._clock()
        if now - self._looked < POLL_SECONDS:
            return {}
        self._looked = now
        self._held()
        names = {job.name for job in running}
        for name in self._running.keys() - names:  # it has ended since
            del self._running[name]
            self._epochs[name] = self._jobs[name].epochs_behind()
        late = [(job.name, why) for job in running if (why := self._of_one(job, now)) is not None]
        self._report(sum(self._epochs.values()))
        return dict(late)

    def finish(self) -> None:
        """Report the epochs of all jobs as their files have them now."""
        self._epochs = {name: job.epochs_behind() for name, job in self._jobs.items()}
        self._report(sum(self._epochs.values()))

    def _of_one(self, job: Job, now: float) -> str | None:
        """Note the progress of a job that runs; return why it is to be ended, None where it may go on."""
        seconds = job.history().get("seconds")
        epochs = 0 if seconds is None else len(seconds)
        if seconds is not None and epochs:
            self._means[job.arm.name] = max(self._means.get(job.arm.name, 0.0), float(seconds[-1]) / epochs)
        seen = self._running.get(job.name)
        if seen is None or epochs != seen.epochs:
            self._epochs[job.name] = epochs
            self._running[job.name] = _Seen(epochs, now, self._patience(job))
            return None
        why = seen.standstill(now, self._limit, lambda still: _sentence(job, epochs, still), "a new epoch")
        if why is not None:
            del self._running[job.name]
        return why

    def _patience(self, job: Job) -> float:
        """Return the seconds without a new epoch after which it is told."""
        mean = self._means.get(job.arm.name)
        return UNKNOWN_SECONDS if mean is None else max(LEAST_SECONDS, OWN_EPOCHS * mean)


class WatchingPredictions:
    """Remarks on jobs that predict and stand still, and says which of them to end; arguments as of `Watching`.

    Networks alone give signs between their beginning and their end: an ensemble averages files, and nnU-Net's own
    program says nothing meanwhile.
    """

    def __init__(
        self,
        stall_minutes: float | None = None,
        held: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._held, self._clock = stall_minutes, held, clock
        self._running: dict[str, tuple[tuple[str, int], _Seen]] = {}
        self._looked = float("-inf")

    def __call__(self, running: Sequence[Job]) -> dict[str, str]:
        """Look at the running jobs, at most every few seconds; return which to end by name, and why."""
        now = self._clock()
        if now - self._looked < POLL_SECONDS:
            return {}
        self._looked = now
        self._held()
        names = {job.name for job in running}
        self._running = {name: seen for name, seen in self._running.items() if name in names}
        late = [(job.name, why) for job in running if job.is_network and (why := self._of_one(job, now)) is not None]
        return dict(late)

    def _of_one(self, job: Job, now: float) -> str | None:
        beat = last_beat(job.folder)
        known = self._running.get(job.name)
        if known is None or known[0] != beat:
            self._running[job.name] = beat, _Seen(0, now, UNKNOWN_SECONDS)
            return None
        why = known[1].standstill(now, self._limit, lambda still: _silence(job, still), "an answer")
        if why is not None:
            del self._running[job.name]
        return why


def _sentence(job: Job, epochs: int, still: float) -> str:
    return (
        f"job {job.name} has had no new epoch for {still / 60:.1f} minutes, after {epochs} of {job.training.epochs}; "
        f"{_remedy(job)}"
    )


def _silence(job: Job, still: float) -> str:
    return f"job {job.name} predicts and has answered nothing for {still / 60:.1f} minutes; {_remedy(job)}"


def _remedy(job: Job) -> str:
    writer = written_by(job.folder)
    who = f"process {writer.get('pid')} on {writer.get('host')}" if writer else "its process"
    return (
        f"check whether {who} still computes (it may be stopped, or its disk may hang), or set a time limit with "
        "--stall-minutes"
    )
