"""Settings of the sources that read LIDC-IDRI as distributed, and the cohort that such settings and cases make."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Problem
from equipoise.cohorts.finding_labels import IRRELEVANT_CLASS
from equipoise.cohorts.lidc.consensus import READERS_PER_SCAN
from equipoise.cohorts.lidc.outlines import CLASSES, TRUTHING
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import FINDINGS, LABEL, MASK, TASKS, task_named

Views = Mapping[str, tuple[str, ...]]
"""What a case of a source may be, by the truth that the task asks for; the first where the user states no view."""
_MASK_CLASSES = {
    MASK: ("background", "nodule"),
    FINDINGS: ("background", "nodule", IRRELEVANT_CLASS),
}
_PLANES = ("axial", "coronal", "sagittal")


def view_of(source: str, views: Views, task: str, view: str | None) -> str:
    """Return the view as stated, or the task's first where it is None; ProtocolError for one that it does not have."""
    truth = task_named(task).truth
    if truth not in views:
        offered = (record.name for record in TASKS.values() if record.truth in views)
        raise ProtocolError(f"cohort.task is {task!r}; {source} offers {', '.join(offered)}: choose one")
    if view is None:
        return views[truth][0]
    if view not in views[truth]:
        raise ProtocolError(
            f"cohort.view is {view!r}; for the task {task} {source} offers {' and '.join(views[truth])}: choose one, "
            "or leave the key out"
        )
    return view


@dataclass(frozen=True)
class Settings:
    """Settings of a source, as `lidc` and `lidc_nodules` describe them; ProtocolError for those it cannot follow."""

    task: str
    label: str
    truthing: str
    min_readers: int
    agreement: float
    view: str
    size: int
    spacing_mm: float
    on_problem: str

    @cached_property
    def truth(self) -> str:
        """What the task asks of a case: a label, a mask, or findings."""
        return task_named(self.task).truth

    def __post_init__(self) -> None:
        """Refuse settings of which no cohort can be made."""
        for key, value, allowed in (
            ("label", self.label, tuple(CLASSES)),
            ("truthing", self.truthing, TRUTHING),
            ("on_problem", self.on_problem, ("stop", "exclude")),
        ):
            if value not in allowed:
                raise ProtocolError(f"cohort.{key} is {value!r}; choose one of {', '.join(allowed)}")
        if self.min_readers not in range(1, READERS_PER_SCAN + 1) or not 0 < self.agreement <= 1:
            raise ProtocolError(
                "cohort.min_readers must be 1 to 4 and cohort.agreement above 0 and at most 1; correct them"
            )
        if not 8 <= self.size <= 256 or not 0.2 <= self.spacing_mm <= 5:
            raise ProtocolError("cohort.size must be 8 to 256 voxels and cohort.spacing_mm 0.2 to 5; correct them")


@dataclass(frozen=True)
class Entries:
    """What a folder gave: cases, and what was left out of it or is wrong with it."""

    cases: tuple[Case, ...]
    excluded: tuple[Exclusion, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def sorted_out(
        cls,
        entries: Iterable[Case | Exclusion | Problem],
        excluded: Sequence[Exclusion],
        problems: Sequence[Problem],
        on_problem: str,
    ) -> "Entries":
        """Sort the entries, after the exclusions and problems known before; problems may become exclusions."""
        every = list(entries)
        left_out = [*excluded, *(entry for entry in every if isinstance(entry, Exclusion))]
        trouble = [*problems, *(entry for entry in every if isinstance(entry, Problem))]
        if on_problem == "exclude":
            left_out += [Exclusion(one.case, one.case, one.problem, one.file) for one in trouble]
        return cls(tuple(entry for entry in every if isinstance(entry, Case)), tuple(left_out), tuple(trouble))


def cohort_of(
    name: str, root: Path, settings: Settings, entries: Entries, notes: tuple[str, ...], noun: str = "case"
) -> Cohort:
    """Make the cohort of a folder; CohortError with the first problem where it has no case.

    noun: what a case is to the user.
    """
    if not entries.cases:
        first = entries.problems[0] if entries.problems else None
        why = f": {first.file}: {first.problem}" if first else ""
        raise CohortError(
            f"{root} gives no {noun} of LIDC-IDRI{why}; give the folder with the DICOM series and XML files, as "
            "`equipoise fetch lidc-idri` leaves it."
        )
    slices = settings.view == "slices"
    return Cohort(
        name=name,
        task=settings.task,
        cases=entries.cases,
        classes=CLASSES[settings.label] if settings.truth == LABEL else _MASK_CLASSES[settings.truth],
        channels=_PLANES if slices else ("ct",),
        spatial_dims=2 if slices else 3,
        excluded=entries.excluded,
        problems=() if settings.on_problem == "exclude" else entries.problems,
        notes=notes,
        size_attribute=None if settings.view == "scan" else "diameter_mm",
    )
