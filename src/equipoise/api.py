"""Trials and audits from Python and notebooks: `run`, `audit`, `check` and `results`, which return objects."""

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.live.notebook import watch_here
from equipoise.progress import Watch
from equipoise.protocol import Protocol
from equipoise.report.handle import Results, load_results

if TYPE_CHECKING:
    from equipoise.trials.check import Checked


def run(protocol: Protocol | str | Path, out: str | Path, *, watch: Watch | None = None, **how: Any) -> Results:
    """Run a trial into the folder `out`, or resume the one begun there; return its results.

    watch: what is shown meanwhile; by default a table in a notebook, and nothing elsewhere. how: engine, ray_address,
    stall_minutes and alike, as `equipoise run` takes them. A trial that has ended is answered from its folder.

    Raises EquipoiseError (one sentence) for errors that the user can correct, Interrupted after Ctrl-C (resumable).
    """
    from equipoise.trials.finished import finished_results

    known = None if isinstance(protocol, Protocol) else finished_results(Path(protocol), Path(out))
    if known is not None:
        return Results(known, out)
    from equipoise.trials import run as trial  # here: its imports take a second, which a finished trial need not wait

    return Results(trial.run(protocol, out, watch=watch_here(Path(out)) if watch is None else watch, **how), out)


def audit(predictions: Any, *further: Any, watch: Watch | None = None, **settings: Any) -> Results:
    """Judge predictions made elsewhere, as `equipoise.trials.audit.audit`, which describes the arguments."""
    from equipoise.trials import audit as audits

    given = signature(audits.audit).bind(predictions, *further, **settings)
    given.arguments["watch"] = watch_here() if watch is None else watch
    return Results(audits.audit(*given.args, **given.kwargs), given.arguments.get("out"))


def check(protocol: Protocol | str | Path, *, watch: Watch | None = None) -> "Checked":
    """Read the cohort, look for leaks, try the arms, and tell what the trial can show; nothing is trained."""
    from equipoise.trials import check as checks

    return checks.check(protocol, watch=watch_here() if watch is None else watch)


def results(folder: str | Path) -> Results:
    """Return the results of a run folder or of an audit's folder, as its report left them."""
    return load_results(folder)
