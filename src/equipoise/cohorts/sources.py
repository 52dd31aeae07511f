"""The built-in sources of cohorts by name, imported at first use, and the loading of a protocol's [cohort] table."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any, get_args, get_origin

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.finding_labels import as_detection
from equipoise.cohorts.formats.file_names import missing_path
from equipoise.cohorts.layouts.patients import check_patients
from equipoise.cohorts.layouts.structure_names import refuse_late_background
from equipoise.cohorts.public.catalogue import entry_named
from equipoise.cohorts.public.fetched import PublicFolder
from equipoise.cohorts.store import content_key
from equipoise.errors import CohortError, EquipoiseError, ProtocolError
from equipoise.lookup import nearest, raised, resolve
from equipoise.protocol import CohortSection
from equipoise.tasks import task_named

MODULES = {
    "lidc_contours": "equipoise.cohorts.lidc.outlines",
    "lidc": "equipoise.cohorts.lidc.scans",
    "lidc_nodules": "equipoise.cohorts.lidc.nodules",
    "brats": "equipoise.cohorts.layouts.brats",
    "medmnist": "equipoise.cohorts.layouts.medmnist",
    "nnunet": "equipoise.cohorts.layouts.nnunet",
    "decathlon": "equipoise.cohorts.layouts.decathlon",
    "pairs": "equipoise.cohorts.layouts.pairs",
    "manifest": "equipoise.cohorts.layouts.manifest",
    "folders": "equipoise.cohorts.layouts.folders",
    "arrays": "equipoise.cohorts.layouts.array_table",
    "phantom": "equipoise.testing.phantoms.cases",
}
"""The module of every built-in source."""

__all__ = list(MODULES)


def __getattr__(name: str) -> Any:
    """Import a source function at its first use: each may need packages that the others do not."""
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


PUBLIC = "public:"
"""Begins the name of a source whose data `equipoise fetch` brought."""


def is_path(source: str) -> bool:
    """Return whether a source was given as a path of data: no name of a source holds a slash.

    >>> is_path("/data/x"), is_path("nnunet"), is_path("rings:rings")
    (True, False, False)
    """
    return "/" in source or "\\" in source


def fetched(section: CohortSection, above: Path | None = None) -> tuple[CohortSection, Path]:
    """Return the section of the reader behind a source "public:NAME", and the path of its verified data.

    above: the folder that `equipoise fetch --to` was given. Settings of the protocol precede those of the catalogue.
    """
    entry = entry_named(section.source.removeprefix(PUBLIC))
    if entry.ask:
        raise ProtocolError(
            f"{section.source} is only available to users who accept its terms: request it at {entry.ask}, then set "
            f'source = "{entry.reader}" and its path'
        )
    data = PublicFolder(entry, above).verified()
    if entry.file is not None and not entry.file.is_archive:
        data = data / entry.file.name
    elif not entry.archive:
        data = described_folder(data)
    known = {**entry.settings, **section.settings, "source": entry.reader, "task": section.task}
    return CohortSection.model_validate(known), data


def parameters_of(source: str) -> frozenset[str]:
    """Return the keys of [cohort] that a built-in source takes; none for public data and sources of one's own.

    >>> "patient_pattern" in parameters_of("pairs"), parameters_of("rings:rings")
    (True, frozenset())
    """
    if ":" in source:
        return frozenset()
    return frozenset(inspect.signature(resolve(source, sys.modules[__name__], "cohort source")).parameters)


def described_folder(data: Path) -> Path:
    """Return the one folder with a dataset.json below the data of a Decathlon task."""
    described = sorted(data.rglob("dataset.json"))
    if len(described) != 1:
        raise CohortError(f"{data} holds {len(described)} files dataset.json and one is expected; fetch it again")
    return described[0].parent


def load(section: CohortSection, path: Path | None = None, code: Path | None = None) -> Cohort:
    """Load the cohort that a protocol's [cohort] table describes.

    path: the table's path, absolute; code: the folder of the user's own modules.
    Raises ProtocolError for an unknown source or key, CohortError for data that cannot be used.
    """
    if section.source.startswith(PUBLIC):
        return load(*fetched(section, path), code)
    task = task_named(section.task, code)
    if is_path(section.source):
        raise ProtocolError(
            f"cohort.source is {section.source!r}, which is a path; write path = {section.source!r} and the name of "
            f'a reader, such as source = "nnunet", or run `equipoise init {quote(section.source)}`, which writes both'
        )
    source = resolve(section.source, sys.modules[__name__], "cohort source", code)
    parameters = inspect.signature(source).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    # Only sources that offer several tasks take it as a parameter.
    settings = section.settings | ({"task": section.task} if "task" in parameters else {})
    for key in settings:
        if key not in parameters and not open_ended:
            choices = nearest(key, [name for name in parameters if name != "path"])
            raise ProtocolError(f"the key 'cohort.{key}' is unknown to the source {section.source!r}; {choices}")
    _refuse_texts(settings, parameters)
    if task.has_masks:
        refuse_late_background(settings.get("classes"))
    # Of one's own source only its code knows what a path stands for.
    if path is not None and ":" not in section.source and not path.exists():
        raise CohortError(f"cohort.path: {missing_path(path)}")
    cohort = _call(source, section.source, path, settings)
    if task.has_findings and cohort.task_record.has_masks:
        cohort = as_detection(cohort, section.task)  # so every source with masks serves detection
    if cohort.patients_known and ":" not in section.source:
        check_patients(cohort.patients.tolist(), f"cohort {cohort.name}")
    # A user's own code may change while its settings and the files stay the same.
    own = ":" in section.source
    layout = {"layout": cohort.recipe} if cohort.recipe else {}
    recipe = None if own else content_key(source=section.source, settings=repr(sorted(settings.items())), **layout)
    if cohort.task != section.task:
        raise ProtocolError(
            f"the source {section.source!r} gives a {cohort.task} cohort and cohort.task is {section.task!r}; "
            f'set task = "{cohort.task}"'
        )
    return replace(cohort, recipe=recipe, cases=_guarded(cohort, section.source) if own else cohort.cases)


def _refuse_texts(settings: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    """Refuse a text where a source wants a list, of which Python would take every letter for one item."""
    for key, value in settings.items():
        annotation = parameters[key].annotation if key in parameters else None
        kinds = get_args(annotation) or (annotation,)
        if isinstance(value, str) and str not in kinds and any(get_origin(kind) is Sequence for kind in kinds):
            raise ProtocolError(f"cohort.{key} is the text {value!r}; write a list, such as {key} = [{value!r}]")


def _guarded(cohort: Cohort, name: str) -> tuple[Case, ...]:
    """Return the cases of a source of one's own; whatever reading one raises becomes a sentence with its name."""
    return tuple(replace(case, read=partial(_read, case.read, name, case.id)) for case in cohort.cases)


def _read(read: Callable[[], Image], name: str, case: str) -> Image:
    try:
        return read()
    except EquipoiseError:
        raise
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise CohortError(f"the source {name!r} cannot read its case {case!r} ({raised(error)}); correct it") from error


def _call(source: Any, name: str, path: Path | None, settings: dict[str, Any]) -> Cohort:
    try:
        cohort = source(path, **settings)
    except EquipoiseError:
        raise
    except (TypeError, ValueError, OSError) as error:
        raise CohortError(
            f"the source {name!r} failed on {path or 'its data'}: {error}; correct the path or the settings"
        ) from error
    # Of any kind: a source of the user's own may raise anything; one of ours has no other errors.
    except (Exception, SystemExit) as error:
        if ":" not in name:
            raise
        raise CohortError(
            f"the source {name!r} failed on {path or 'its data'} ({raised(error)}); correct its module"
        ) from error
    if not isinstance(cohort, Cohort):
        raise CohortError(f"the source {name!r} returned {type(cohort).__name__}; it must return equipoise.Cohort")
    return cohort
