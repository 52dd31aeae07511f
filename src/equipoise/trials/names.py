"""Decide by which names the outputs of a trial call its cases, and find a case again by the name that they give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.identities import (
    PLAIN,
    are_published,
    digest_of,
    known_names,
    names_aside,
    user_key,
    with_pseudonyms,
)
from equipoise.cohorts.splits.leakage import Leak
from equipoise.errors import LedgerError
from equipoise.lookup import nearest
from equipoise.protocol import CohortSection, Protocol
from equipoise.runfolder.job import Job
from equipoise.runfolder.names import as_locked
from equipoise.runfolder.paths import LOCK
from equipoise.runfolder.read import read_lock
from equipoise.trials.plan import Trial, plan, read


def shows_pseudonyms(section: CohortSection) -> bool:
    """Return whether outputs of a new trial name the cases of this cohort by pseudonyms."""
    return section.ids != PLAIN and not are_published(section.source)


def with_names_for_outputs(trial: Trial) -> tuple[Trial, dict[str, str]]:
    """Return the trial with the names by which everything that is written calls cases and patients, and these by name.

    A run folder that was begun keeps its names, whatever the protocol says by now, and whichever key there is. Without
    pseudonyms the trial is as it was, and no name has another.
    """
    if (trial.out / LOCK).is_file():
        cohort = as_locked(trial.cohort, trial.out)
    else:
        cohort = for_outputs(trial.protocol, trial.cohort)
    known = {} if cohort is trial.cohort else new_names(trial.cohort, cohort)
    if cohort is not trial.cohort:
        jobs, draws = ([_hiding(job) for job in jobs] for jobs in (trial.jobs, trial.draws))
        trial = replace(trial, jobs=jobs, draws=draws)
    return replace(trial, cohort=cohort, cards=trial.cards.through(cohort)), known


def _hiding(job: Job) -> Job:
    return replace(job, hides_names=True, members=tuple(map(_hiding, job.members)))


def for_outputs(protocol: Protocol, cohort: Cohort) -> Cohort:
    """Return the cohort as outputs of a new trial name its cases."""
    if not shows_pseudonyms(protocol.cohort):
        return cohort
    return with_pseudonyms(cohort, user_key(), protocol.endpoints.subgroups)


def new_names(cohort: Cohort, other: Cohort) -> dict[str, str]:
    """Return the new name for every name of a case or patient, of two cohorts with the same cases."""
    return known_names(cohort, [(case.id, case.patient) for case in other.cases])


def leaks_named(leaks: Sequence[Leak], known: Mapping[str, str]) -> list[Leak]:
    """Return leaks between cases by their new names."""
    return [replace(leak, a=known.get(leak.a, leak.a), b=known.get(leak.b, leak.b)) for leak in leaks]


def pairs_named(protocol: Protocol, known: Mapping[str, str]) -> list[list[str]]:
    """Return the pairs of cases that the protocol says are no copies, by their new names."""
    return [[known.get(name, name) for name in pair] for pair in protocol.split.not_leaks]


def text_named(protocol: Protocol, known: Mapping[str, str]) -> str:
    """Return the text of the protocol for the run folder, with new names where it names cases."""
    if not known or not protocol.split.not_leaks:
        return protocol.text
    document = tomlkit.parse(protocol.text)
    document["split"]["not_leaks"] = pairs_named(protocol, known)
    return tomlkit.dumps(document)


def study_text_named(text: str, cohorts: Mapping[str, Cohort], protocols: Mapping[str, Protocol]) -> str:
    """Return the text of a study for its folder, with new names where it names pairs of cases.

    cohorts, protocols: of every cohort of the study by its name, the protocol of any of its trials. Pairs of the table
    that all cohorts share get the names that the first cohort with such cases gives them.
    """
    document = tomlkit.parse(text)
    tables = {str(one["name"]): one.get("split", {}) for one in document["study"]["cohorts"]}
    shared: dict[str, str] = {}
    for name, cohort in cohorts.items():
        shown = for_outputs(protocols[name], cohort)
        if shown is not cohort:
            known = new_names(cohort, shown)
            _rename_pairs(tables[name], known)
            shared = known | shared
    if shared:
        _rename_pairs(document.get("split", {}), shared)
    return tomlkit.dumps(document)


def _rename_pairs(split: Any, known: Mapping[str, str]) -> None:
    """Rename the cases of a table's pairs; one that is no case here may be a person's name all the same."""
    if "not_leaks" in split:
        split["not_leaks"] = [
            [known.get(name) or f"x-{digest_of(str(name), user_key())}" for name in pair] for pair in split["not_leaks"]
        ]


@dataclass(frozen=True)
class Named:
    """A case of a run folder: what outputs call it and its patient, what the data call them, and its (first) file.

    Also a case that is left out or cannot be used, with its file; and another spelling of a patient, without a case.
    """

    shown: str
    shown_patient: str
    case: str
    patient: str
    file: str = ""


def names_of(protocol: Protocol | str | Path, folder: Path | None = None, chosen: Sequence[str] = ()) -> list[Named]:
    """Return the cases of a run folder with the names that they have in the data; all, or those named in either way.

    folder: without one, as a new trial of this user names them. The protocol says where the data are; nothing is
    trained or written.
    Raises LedgerError where the folder holds other data, or no case has such a name.
    """
    trial = plan(*read(protocol), "unused")
    cohort = trial.cohort
    if folder is None:
        return _chosen(trial, for_outputs(trial.protocol, cohort), "the cohort", chosen)
    if read_lock(folder)["cohort"]["fingerprint"] != cohort.fingerprint():
        raise LedgerError(f"{folder} was run on other data than the protocol names; give the protocol of that run")
    return _chosen(trial, as_locked(cohort, folder), str(folder), chosen)


def _chosen(trial: Trial, shown: Cohort, place: str, chosen: Sequence[str]) -> list[Named]:
    cohort, root = trial.cohort, trial.protocol.cohort_path
    rows = [
        Named(new.id, new.patient, old.id, old.patient, _file_of(old, root))
        for old, new in zip(cohort.cases, shown.cases, strict=True)
    ]
    rows += _aside(cohort, shown)
    known = {name for row in rows for name in vars(row).values() if name}
    unknown = next((name for name in chosen if name not in known), None)
    if unknown is not None:
        raise LedgerError(f"{place} has no case or patient {unknown!r}; {nearest(unknown, known)[:200]}")
    return [row for row in rows if not chosen or set(chosen) & set(vars(row).values())]


def _file_of(case: Case, root: Path | None) -> str:
    """Return the first file of a case, its image, as a path where the data lie; empty for a case without files."""
    name = next(iter(case.sha256), "")
    # Files are named relative to the folder of the cohort, or to that of its table.
    places = () if root is None or not name else (root / name, root.parent / name)
    return next((str(place) for place in places if place.is_file()), name)


def _aside(cohort: Cohort, shown: Cohort) -> list[Named]:
    """Return what is left out, what cannot be used, and other spellings of patients, which outputs name too."""
    if shown is cohort:
        names: dict[str, str] = {}
    else:
        names = known_names(cohort, [(case.id, case.patient) for case in shown.cases])
        names = names_aside(cohort, user_key()) | names

    def named(case: str, patient: str, file: str) -> Named:
        """The row of a case that is no case of the cohort."""
        return Named(names.get(case, case), names.get(patient, patient), case, patient, file)

    rows = [named(one.case, one.patient, one.file) for one in cohort.excluded]
    rows += [named(one.case, "", one.file) for one in cohort.problems]
    return rows + [named("", spelling, "") for spelling in cohort.joined]
