"""What the ledger of a run folder proves: openings of the test set, and whatever contradicts the folder or the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.errors import LedgerError
from equipoise.runfolder.chosen_seeds import caution_of_seeds
from equipoise.runfolder.chronology import record_of, trained_otherwise
from equipoise.runfolder.earlier_openings import cautions_of_openings, prior_openings
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.ledger import CHANGED, PREDICTED, SETTLED, TEST_OPENED, Ledger
from equipoise.runfolder.openings import openings
from equipoise.runfolder.own_code import read_protocol
from equipoise.runfolder.paths import LEDGER, PROTOCOL
from equipoise.runfolder.verify import Contradiction, plan_and_protocol, recorded_and_present, unrecorded_maps
from equipoise.runfolder.verify_content import parts_and_cases

if TYPE_CHECKING:
    from equipoise.runfolder.read import JobRecord


@dataclass(frozen=True)
class LedgerState:
    """State of the ledger: openings of the test set, whether its chain is intact, a changed plan.

    unplanned: openings that are not in the plan. look: number of seeds of the last planned look that was taken.
    settled: the precision and compiling that a measurement chose for all arms, with its timings; None where the plan
    states them. contradictions: all of them; `problem` is the text of the first. head, events: the hash of the last
    event, and the number of events. record: the version of what the ledger records. prior_openings: earlier openings
    of the same test cases by other plans, as the ledger recorded them. cautions: further reasons why the results are
    exploratory. unrecorded: files of attribution maps whose hash an older ledger does not hold. registry: why openings
    could not be recorded or looked up on the machine of the trial; empty where they could. retrained: jobs that were
    trained more than once and gave other results.
    """

    test_openings: int
    verified: bool
    problem: str | None = None
    plan_changed: bool = False
    unplanned: int = 0
    look: int | None = None
    settled: Mapping[str, Any] | None = None
    contradictions: tuple[Contradiction, ...] = ()
    head: str = ""
    events: int = 0
    record: int = 1
    prior_openings: tuple[Mapping[str, Any], ...] = ()
    cautions: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    registry: str = ""
    retrained: tuple[str, ...] = ()

    @property
    def refused(self) -> dict[str, str]:
        """Why an arm or a trivial rule may not be judged, by its name: the first contradiction that concerns it."""
        reasons: dict[str, str] = {}
        for one in self.contradictions:
            for arm in one.arms:
                reasons.setdefault(arm, one.text)
        return reasons

    @property
    def exploratory(self) -> bool:
        """Whether the results prove nothing about what was planned before the test set was seen."""
        return self.unplanned > 0 or self.plan_changed or not self.verified or bool(self.cautions)


@dataclass(frozen=True)
class OpenedLedger:
    """A ledger as it was read; `complaint` says why it could not be, and `ledger` is None then."""

    ledger: Ledger | None
    complaint: str | None = None

    def look(self, lock: Mapping[str, Any]) -> int | None:
        """Return the number of seeds of the last planned look that was taken; None in a plan without looks."""
        if self.ledger is None or not self.ledger.events:
            return None
        return openings(self.ledger.events, lock["endpoints"].get("looks") or ()).look


def open_ledger(path: Path) -> OpenedLedger:
    """Read the ledger of a run folder; a damaged one becomes a complaint."""
    try:
        return OpenedLedger(Ledger(path))
    except LedgerError as error:
        return OpenedLedger(None, str(error))


def state_of(
    opened: OpenedLedger,
    path: Path,
    lock: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    jobs: Sequence["JobRecord"],
    rules: Sequence["JobRecord"],
    trusted: bool,
    foreign: Sequence[Contradiction] = (),
) -> LedgerState:
    """Compare the ledger, the folder and the plan; nothing that contradicts another prevents a report.

    foreign: what was seen already, of tables of predictions that are not those of their job.
    """
    changed = plan_changed(path, lock, trusted)
    everyone = tuple(dict.fromkeys(job.arm for job in (*jobs, *rules)))
    if opened.ledger is None or not opened.ledger.events:
        missing = f"{LEDGER} is missing or empty, so nothing proves when the test set was opened"
        problem = opened.complaint or missing
        return LedgerState(0, False, problem, changed, contradictions=(Contradiction(problem, everyone), *foreign))
    ledger = opened.ledger
    problems = [
        *recorded_and_present(path, lock, ledger, jobs, rules),
        *plan_and_protocol(lock, None if changed else read_protocol(path, lock, trusted)),
        *parts_and_cases(lock, cases, everyone),
        *foreign,
    ]
    counted = openings(ledger.events, lock["endpoints"].get("looks") or ())
    measured = ledger.last(SETTLED)
    return LedgerState(
        counted.total, not problems, problems[0].text if problems else None, changed, counted.unplanned, counted.look,
        None if measured is None else measured.data, tuple(dict.fromkeys(problems)), ledger.head, len(ledger.events),
        record_of(ledger.events), prior_openings(lock, ledger), cautions=cautions(lock, ledger),
        unrecorded=unrecorded_maps(path, ledger.events), registry=_trouble(lock, ledger),
        retrained=tuple(trained_otherwise(ledger.events)),
    )  # fmt: skip


def _trouble(lock: Mapping[str, Any], ledger: Ledger) -> str:
    """Return why the registry of openings could not be used when the plan was locked, or the test set opened."""
    texts = (lock.get("unrecorded"), *(e.data.get("unrecorded") for e in ledger.events if e.kind == TEST_OPENED))
    return next((str(text) for text in texts if text), "")


def cautions(lock: Mapping[str, Any], ledger: Ledger) -> tuple[str, ...]:
    """Return why the results are exploratory although the record holds, for the first line of the page."""
    openings = cautions_of_openings(lock, prior_openings(lock, ledger))
    reasons = [*openings, *caution_of_seeds(lock), *_of_retrained(ledger), *_of_changed(ledger)]
    leaks = [leak for leak in lock.get("leaks") or () if isinstance(leak, Mapping) and leak.get("kind") in _CERTAIN]
    if leaks:
        pairs = "one pair" if len(leaks) == 1 else f"{len(leaks)} pairs"
        reasons.append(f"{pairs} of cases of one patient, or of equal images, lie in different parts")
    for arm, row in (lock.get("initial_weights") or {}).items():
        if row.get("test_cases"):
            reasons.append(f"the initial weights of {arm} were trained or selected on {row['test_cases']} test cases")
    copies = [leak for leak in lock.get("leaks") or () if isinstance(leak, Mapping) and leak.get("kind") == "copy"]
    if copies:
        pairs = "one pair" if len(copies) == 1 else f"{len(copies)} pairs"
        reasons.append(f"{pairs} of equal images count as different patients of one part")
    return tuple(reasons)


def _of_retrained(ledger: Ledger) -> list[str]:
    """Name the jobs that were trained again, or by another run of the plan, and gave other results."""
    names = trained_otherwise(ledger.events)
    if not names:
        return []
    again = f"jobs that were trained more than once gave other results than before ({_first(names)})"
    return [f"{again}, and validation results may have chosen between them"]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _of_changed(ledger: Ledger) -> list[str]:
    """Name the jobs that answered otherwise when they were predicted again, as after an interrupted opening."""
    lists = [event.data.get(CHANGED) for event in ledger.events if event.kind == PREDICTED]
    names = sorted({str(name) for names in lists if isinstance(names, list) for name in names})
    if not names:
        return []
    return [f"jobs that were predicted again gave other predictions than before: {_first(names)}"]


_NAMED = 3
"""Jobs that a sentence names."""
_CERTAIN = ("patient", "study", "equal")


def plan_changed(path: Path, lock: Mapping[str, Any], trusted: bool) -> bool:
    """Return whether the protocol file differs from the locked plan."""
    # The file's own hash first: a later version may add defaults, which would change the hash of the same plan.
    digest = sha256_of(path / PROTOCOL)
    if digest is not None and digest == lock.get("protocol_file_sha256"):
        return False
    protocol = read_protocol(path, lock, trusted)
    return protocol is None or protocol.sha256() != str(lock["protocol_sha256"])
