"""Whether a table is a manifest, and where the files are that it names."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from equipoise.cohorts.formats.file_names import is_left_behind
from equipoise.cohorts.layouts.columns import Columns, bare, columns_of
from equipoise.cohorts.layouts.image_names import PARTS, image_files, stem_and_ending
from equipoise.cohorts.layouts.manifest import IMAGE, one_file, posix
from equipoise.cohorts.layouts.patients import person_pattern
from equipoise.cohorts.layouts.tables import number_or_text, read_table
from equipoise.errors import CohortError

SUFFIXES = (".csv", ".tsv")
# participants.tsv of BIDS is about people and not images, and the sample submission of a Kaggle contest has invented
# labels.
_NO_MANIFEST = {"participants", "samplesubmission", "submission", "datasetdescription"}
_MOST_LOOKED_AT = 500
# Single files that are missing are named by `check`; only where most are missing is the pattern wrong.
_FEWEST_THERE = 0.8


@dataclass(frozen=True)
class FoundTable:
    """What a table tells: the task, what the source `manifest` must be told, its files, and remarks for the reader."""

    path: Path
    task: str
    settings: dict[str, Any]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    patients_known: bool
    given: bool
    remarks: tuple[str, ...]


def tables_in(folder: Path) -> list[Path]:
    """Return the tables directly in a folder that may be manifests, one called so first."""
    tables = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SUFFIXES and not is_left_behind(file.name) and bare(file.stem) not in _NO_MANIFEST
    ]
    return sorted(tables, key=lambda file: file.stem.lower() != "manifest")


def find_table(path: Path, user_settings: Mapping[str, Any]) -> FoundTable:
    """What a table tells as a manifest.

    Raises CohortError, naming the columns seen, where it has no images, no truth, or the files are not where it says.
    """
    rows = read_table(path)
    settings: dict[str, Any] = {}
    roles = columns_of(rows, user_settings.get("columns"), str(path))
    if roles.label is None and roles.mask is None and (coded := _one_hot(rows, roles)):
        settings["columns"] = {"label": coded}
        roles = columns_of(rows, settings["columns"] | dict(user_settings.get("columns") or {}), str(path))
    _check_roles(roles, rows, path)
    column = next(iter(roles.images.values()))
    values = [posix(row[column]) for row in rows if row[column]]
    is_own_name = column.startswith("image")
    files = str(user_settings.get("files") or _where(path.parent, values, path, missing_is_problem=is_own_name))
    if files != IMAGE:
        settings["files"] = files
    pattern = None if roles.patient else person_pattern(values)
    if pattern:
        settings["patient_pattern"] = pattern
    task = str(user_settings.get("task") or ("classification" if roles.label else "segmentation"))
    parts = {PARTS.get(row[roles.part].lower()) for row in rows} if roles.part else set()
    return FoundTable(
        path,
        task,
        settings,
        tuple(one_file(path.parent, files.replace(IMAGE, value)) for value in values[:: max(1, len(values) // 24)]),
        tuple(path.parent / posix(row[roles.mask]) for row in rows if row[roles.mask]) if roles.mask else (),
        bool(roles.patient or pattern),
        parts >= {"train", "test"},
        (_columns_read(roles),),
    )


def _check_roles(roles: Columns, rows: Sequence[Mapping[str, str]], path: Path) -> None:
    if roles.images and (roles.label or roles.mask):
        return
    lacking = "image" if not roles.images else "label"
    what = "holds the images' files" if lacking == "image" else "is the class, or holds the masks' files"
    free = next((name for name in reversed(list(rows[0])) if name not in roles.used), next(iter(rows[0])))
    raise CohortError(
        f"{path} has the columns {', '.join(rows[0])}, and none is recognised as the one that {what}; rename it to "
        f"{lacking!r}, or name it: `equipoise init {quote(str(path))} --set columns.{lacking}={free!r}`."
    )


def _columns_read(roles: Columns) -> str:
    named = {role: getattr(roles, role) for role in ("case", "patient", "mask", "part", "series_uid")}
    named |= {"image": ", ".join(roles.images.values()), "label": roles.label}
    pairs = [f"{role} = {', '.join(name) if isinstance(name, tuple) else name}" for role, name in named.items() if name]
    return f"columns read: {'; '.join(pairs)}"


def _one_hot(rows: Sequence[Mapping[str, str]], roles: Columns) -> list[str]:
    """The columns of which exactly one holds 1 in every row and the others 0; none where there are fewer than two."""
    free = [name for name in rows[0] if name not in roles.used]
    # Two columns of 0 and 1 may be smoking and diabetes; only columns that sum to one in every row are classes.
    binary = [name for name in free if {number_or_text(row[name]) for row in rows} == {0.0, 1.0}]
    sums = {sum(number_or_text(row[name]) for name in binary) for row in rows}
    return binary if len(binary) > 1 and sums == {1.0} else []


def _where(folder: Path, values: Sequence[str], path: Path, missing_is_problem: bool) -> str:
    """Return the pattern of `files` that leads from what the rows say to the images.

    missing_is_problem: where nothing is there, take the rows at their word; `equipoise check` names what is missing.
    """
    looked_at = values[:: max(1, len(values) // _MOST_LOOKED_AT)]
    for pattern in (IMAGE, f"../{IMAGE}"):
        if _share(pattern, folder, looked_at) >= _FEWEST_THERE:
            return pattern
    prefixes, endings = Counter[str](), Counter[str]()
    by_name = _by_name(folder)
    for value in looked_at:
        fitting = [file for file in by_name.get(PurePosixPath(value).name, ()) if _ends_with(file, value)]
        if len(fitting) == 1:
            prefix, ending = _around(fitting[0], value)
            prefixes[prefix] += 1
            endings[ending] += 1
    elsewhere = any(value.startswith("/") or ":" in value for value in looked_at)
    if missing_is_problem and not prefixes and not elsewhere:
        return IMAGE
    if not looked_at or sum(prefixes.values()) < _FEWEST_THERE * len(looked_at):
        shown = values[0] if values else "nothing"
        raise CohortError(
            f"{path} names images that do not exist, first {shown!r}, below {folder}; correct the paths, or say "
            f"where they "
            f'lie: `equipoise init {quote(str(path))} --set files="images/{IMAGE}.png"`.'
        )
    depths = {prefix.count("/") for prefix in prefixes}
    prefix = next(iter(prefixes)) if len(prefixes) == 1 else "*/" * max(depths)
    return prefix + IMAGE + (next(iter(endings)) if len(endings) == 1 else ".*")


def _share(pattern: str, folder: Path, values: Sequence[str]) -> float:
    there = sum((folder / pattern.replace(IMAGE, value)).exists() for value in values)
    return there / len(values) if values else 0.0


def _by_name(folder: Path) -> dict[str, list[str]]:
    """List the files below a folder, relative, by their names with and without ending."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for file in image_files(folder):
        relative = file.relative_to(folder).as_posix()
        for name in dict.fromkeys((file.name, stem_and_ending(file.name)[0])):
            by_name[name].append(relative)
    return by_name


def _ends_with(file: str, value: str) -> bool:
    return any(f"/{text}".endswith(f"/{value}") for text in (file, stem_and_ending(file)[0]))


def _around(file: str, value: str) -> tuple[str, str]:
    text = file if f"/{file}".endswith(f"/{value}") else stem_and_ending(file)[0]
    return text[: len(text) - len(value)], file[len(text) :]


def first_readable(
    tables: Iterable[Path], user_settings: Mapping[str, Any]
) -> tuple[FoundTable | None, CohortError | None]:
    """Return the first table that is a manifest; else why the first of them is none."""
    refusal: CohortError | None = None
    for table in tables:
        try:
            return find_table(table, user_settings), None
        except CohortError as error:
            refusal = refusal or error
    return None, refusal
