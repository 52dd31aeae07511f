"""Which column of a table is what: by the names that tools use, or as the caller says (`--columns case=StudyID`).

A name is compared without capitals and signs. What is certain is read and noted; where two columns could have one role,
or a column has none, the caller is asked.
"""

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.external.headings import bare_heading
from equipoise.evaluation.external.likely_columns import likely, may_be_patients
from equipoise.evaluation.external.long_structures import by_structure, column_of_structures
from equipoise.evaluation.external.part_columns import are_parts, with_parts
from equipoise.evaluation.external.reading import Columns, RowNumbers, has_places, stem
from equipoise.evaluation.external.repeated_rows import refuse_conflicts, without_repeats
from equipoise.evaluation.external.rival_columns import RIVALS, refuse_rivals
from equipoise.evaluation.external.summary_rows import refuse_summaries
from equipoise.evaluation.external.table_file import as_numbers
from equipoise.lookup import nearest

ROLES = ("arm", "case", "patient", "truth", "split", "seed", "fold", "score", "prediction", "value")
"""Roles of single columns; `arms` names the columns of a wide table, `sheet` the sheet of an Excel file."""
_STATED = (*ROLES, "arms", "sheet")
_IDS = ("arm", "case", "patient", "truth", "split")
# Tiers: the first that fits decides, and two columns in one tier are a question.
_TIERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "arm": (("arm",), (
        "algorithm", "algorithmname", "algname", "algo", "method", "methodname", "model", "modelname", "classifier",
        "network", "architecture", "approach", "team", "product",
    )),
    "case": (("case", "caseid", "casename"), (
        "imageid", "image", "imagename", "filename", "file", "filepath", "img", "imgname", "seriesuid",
        "seriesinstanceuid", "scan", "scanid", "study", "studyid", "studyuid", "accession", "accessionnumber", "sample",
        "sampleid", "exam", "examid", "lesionid", "noduleid",
    ), ("id", "uid", "name", "subjectname")),
    "patient": (("patient", "patientid"), (
        "subject", "subjectid", "participant", "participantid", "mrn", "pid", "patientno", "patientname",
    )),
    "truth": (("truth",), (
        "ytrue", "true", "truelabel", "trueclass", "gt", "groundtruth", "reference", "referencestandard", "actual",
    ), ("label", "target", "class", "y", "diagnosis", "outcome", "labels", "targets", "finding")),
    "split": (("split",), ("subset", "part", "partition")),
    "seed": (("seed",), ("run", "runid", "repeat", "repetition", "replicate", "trainingrun", "randomstate")),
    "fold": (("fold",), ("cvfold", "foldid", "kfold")),
    "value": (("value", "metricvalue"),),
}  # fmt: skip
_METRICS = {
    "dice": ("dice", "dsc", "dicescore", "dicecoefficient", "dicesimilaritycoefficient", "meandice", "globalbindsc"),
    "iou": ("iou", "jaccard", "jaccardindex"),
    "hd95": ("hd95", "hausdorff95", "hausdorffdistance95", "95hd"),
    "assd": ("assd", "averagesymmetricsurfacedistance"),
}
_METRIC_OF = {spelling: metric for metric, spellings in _METRICS.items() for spelling in spellings}
_INDEX = ("", "Unnamed: 0", "__index_level_0__")

_WHOLES = ("1", "1.0", "100", "one")
"""What a difference to the whole begins with: 1-dice, 100-dsc."""


def parse_columns(given: str | Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Read roles from a mapping, or from the command line's spelling; several columns are joined by "+".

    A role may be that of one arm, or of a list, alone (`V1.case`, `truth.case`): see `scopes`.

    >>> parse_columns("case=StudyID,arms=unet+vit")
    {'case': ('StudyID',), 'arms': ('unet', 'vit')}
    """
    if given is None:
        return {}
    if isinstance(given, str):
        pairs = [part.partition("=") for part in given.split(",") if part.strip()]
        roles = {role.strip(): tuple(name.strip() for name in names.split("+")) for role, _, names in pairs}
    else:
        roles = {str(role): (name,) if isinstance(name, str) else tuple(name) for role, name in given.items()}
    for role, names in roles.items():
        scope, dot, own = role.rpartition(".")
        if own not in _STATED or (dot and not scope):
            raise PredictionError(f"columns: the role {own!r} is unknown; {nearest(own, _STATED)}")
        if not all(names) or (len(names) != 1 and own != "arms"):
            raise PredictionError(f"columns: {role!r} needs one name of a column, such as --columns {role}=NAME")
    return roles


def with_roles(
    raw: Columns,
    source: str,
    by_role: Mapping[str, tuple[str, ...]],
    metric: str | None = None,
    subgroups: Sequence[str] = (),
    listed: Sequence[str] | None = None,
    used: dict[str, str] | None = None,
    rows: RowNumbers | None = None,
) -> tuple[Columns, list[str]]:
    """Rename the columns of a table to the names of their roles, and known metrics to ours; notes say which.

    metric: the quantity in a column `value`, or in the columns of the arms of a wide table without a truth. subgroups:
    columns that the caller has given another purpose, unless their name is that of a role. listed: the roles that a
    list is read for, whose columns the caller cannot name. used: is filled with the column of every role. rows: the
    numbers of the rows in their file; by default those of a table with a header.
    """
    columns = {name: values for name, values in raw.items() if not _is_index(name, values)}
    notes = [f"The numbered column {name!r} of {source} was not used." for name in raw if name not in columns]
    missing = [name for role, names in by_role.items() if role != "sheet" for name in names if name not in columns]
    if missing:
        role = next(one for one, names in by_role.items() if missing[0] in names)
        raise PredictionError(
            f"{source} has no column {missing[0]!r}; {nearest(missing[0], columns)}. Where another file has it, state "
            f"it for that one alone (--columns ARM.{role}={quote(missing[0])})"
        )
    measured = any(_METRIC_OF.get(bare(name)) for name in columns)
    structure = column_of_structures(columns) if measured and not {*by_role} & {"truth", "arms"} else None
    wide = by_role.get("arms", ())
    taken = {*wide, structure or "", *(name for name in subgroups if name not in ROLES)}
    roles = _assigned(columns, source, by_role, taken, listed)
    refuse_summaries(columns, roles, source, rows)
    if listed is None:
        columns, more = with_parts(columns, roles, source, taken, subgroups)
        notes += more
    if listed is None and not has_places(columns):
        single = structure is None and (not wide or "case" in roles.values())
        columns = _rows_once(columns, roles, source, rows, notes, single=single)
    notes += [was_read(name, source, role) for name, role in roles.items() if name != role]
    renamed = {roles.get(name, name): values for name, values in columns.items()}
    _add_case(renamed, source, notes)
    if used is not None:
        used |= {role: name for name, role in roles.items()} | ({"arms": ", ".join(wide)} if wide else {})
        used |= {"case": used["patient"]} if "case" in renamed and "case" not in used else {}
    renamed = _long(renamed, wide, source, metric) if wide else renamed
    renamed = _named_metrics(_clean(renamed, source, notes), source, metric, notes)
    if structure is not None and structure not in subgroups:
        renamed, more = by_structure(renamed, structure, source)
        notes += more
    return renamed, notes


def metric_called(name: str) -> str | None:
    """Return our name of a metric by a heading that is its whole name, None for any other."""
    return _METRIC_OF.get(bare(name))


def metric_named(name: str | None) -> str | None:
    """Return our name of a metric that the caller states, its own for one that is not known.

    >>> metric_named("DSC"), metric_named("grade"), metric_named(None)
    ('dice', 'grade', None)
    """
    return None if name is None else metric_called(name) or name


def known_metric(name: str) -> bool:
    """Return whether a column's name is that of a metric, alone or of one structure (dice, dice_liver, liver-dice)."""
    _, dash, quantity = _split(name)
    parts = [name, quantity if dash else "", *(name[:k] for k, letter in enumerate(name) if letter == "_")]
    return any(bare(part) in _METRIC_OF for part in parts if part)


def was_read(name: str, source: str, role: str) -> str:
    """Return the note on a column that has a role under another name."""
    return f"The column {name!r} of {source} was read as the {role}."


def patients_are_cases(source: str) -> str:
    """Return the note on a table whose one column of ids names patients and cases."""
    return f"The patients of {source} are its cases, since each has one row."


def _assigned(
    columns: Columns,
    source: str,
    by_role: Mapping[str, tuple[str, ...]],
    other: set[str],
    listed: Sequence[str] | None,
) -> dict[str, str]:
    """Return column → role, as the caller says or by the names; `other`: columns that have another purpose."""
    roles = {names[0]: role for role, names in by_role.items() if role in ROLES}
    for role in _TIERS:
        taken = {*roles, *other}
        name = None if role in roles.values() else _of_role(role, columns, taken, source)
        if name is not None and role in RIVALS and (listed is None or role in listed):
            remedy = None if listed is None else "keep one of them in the list"
            refuse_rivals(role, name, _rivals(role, name, columns, taken), columns, source, remedy)
        # In a wide table the names of the arms are those of columns.
        if name is not None and not (role == "arm" and "arms" in by_role):
            roles[name] = role
    return roles


def _rows_once(
    columns: Columns,
    roles: Mapping[str, str],
    source: str,
    rows: RowNumbers | None,
    notes: list[str],
    *,
    single: bool,
) -> Columns:
    """Leave out rows that repeat another; single: whether every case should have one row in each arm and run."""
    rows = RowNumbers(np.arange(len(next(iter(columns.values()), ()))) + 2) if rows is None else rows
    columns, rows.numbers, more = without_repeats(columns, roles, rows.numbers, source)
    notes += more
    if single:
        refuse_conflicts({roles.get(name, name): values for name, values in columns.items()}, rows.numbers, source)
    return columns


def structures_of(raw: Columns, columns: Columns) -> tuple[str, ...]:
    """Return the structures that a table named by a column of its own, or panoptica before its metrics."""
    column = column_of_structures(raw)
    named = set() if column is None or column in columns else {str(value) for value in raw[column].tolist()}
    groups = {group for group, dash, quantity in map(_split, raw) if dash and _METRIC_OF.get(bare(quantity))}
    return tuple(sorted({one for one in named | groups if any(key.endswith(f"_{one}") for key in columns)}))


def _split(name: str) -> tuple[str, str, str]:
    """Divide GROUP-METRIC, as panoptica writes it; "1-dice" is no Dice of a group "1" but what is lacking to it."""
    group, dash, quantity = name.partition("-")
    return (name, "", "") if group.strip() in _WHOLES else (group, dash, quantity)


def _is_index(name: str, values: NDArray[Any]) -> bool:
    if name not in _INDEX:
        return False
    numbers = as_numbers(values)
    return numbers is not None and np.array_equal(numbers, np.arange(len(numbers)))


def _of_role(role: str, columns: Columns, taken: set[str], source: str) -> str | None:
    """Return the one free column that a role's names fit, None without one."""
    if role in columns and role not in taken:
        return role
    for tier in _TIERS[role]:
        names = [
            name for name in columns if name not in taken and bare_heading(name) in tier and _fits(role, columns[name])
        ]
        if len(names) > 1:
            raise PredictionError(
                f"{source} has {len(names)} columns that could be the {role} ({', '.join(names)}); say which one is, "
                f"such as --columns {role}={quote(names[0])}"
            )
        if names:
            return names[0]
    return None


def _rivals(role: str, chosen: str, columns: Columns, taken: set[str]) -> list[str]:
    """Return the other free columns whose names fit a role in any tier."""
    names = {one for tier in _TIERS[role] for one in tier}
    return [name for name in columns if name != chosen and name not in taken and bare_heading(name) in names]


def _fits(role: str, values: NDArray[Any]) -> bool:
    if role == "split":
        return are_parts(values)
    if role in ("seed", "fold"):
        numbers = as_numbers(values)
        return numbers is not None and np.array_equal(numbers, np.rint(numbers))
    return True


def _add_case(columns: Columns, source: str, notes: list[str]) -> None:
    """Name each case after its patient where a table has patients alone, one row each in every arm and run."""
    if "case" in columns or "patient" not in columns:
        return
    keys = [columns[name].astype(str).tolist() for name in ("arm", "seed", "fold", "patient") if name in columns]
    rows = list(zip(*keys, strict=True))
    if len(set(rows)) == len(rows):
        columns["case"] = columns["patient"]
        notes.append(patients_are_cases(source))


def _long(columns: Columns, wide: Sequence[str], source: str, metric: str | None) -> Columns:
    """Turn a table with a column per arm into one with a row per arm and case."""
    name = "score" if "truth" in columns else metric
    if name is None:
        raise PredictionError(
            f"{source} has a column per arm and no truth, so its values are those of a metric; name it "
            "(--metric dice), or give the truth"
        )
    n = len(columns[wide[0]])
    shared = {key: np.tile(values, len(wide)) for key, values in columns.items() if key not in wide}
    if "case" not in shared:
        _refuse_unread_cases(columns, wide, source)
        shared["case"] = np.tile(np.array([f"row-{index + 1}" for index in range(n)]), len(wide))
    return {**shared, "arm": np.repeat(np.array(wide), n), name: np.concatenate([columns[arm] for arm in wide])}


def _refuse_unread_cases(columns: Columns, wide: Sequence[str], source: str) -> None:
    """Raise PredictionError where a column repeats names, as several readings of a case do: rows are no cases then."""
    free = [name for name in columns if name not in (*ROLES, *wide) and may_be_patients(columns[name])]
    repeated = [name for name in free if len(set(columns[name].tolist())) < len(columns[name])]
    if "patient" in columns or not repeated:
        return
    case, patient = (quote(likely(role, columns, names)) for role, names in (("case", free), ("patient", repeated)))
    raise PredictionError(
        f"{source} has no column 'case', and its rows need not be cases: names repeat in {', '.join(repeated)}; say "
        f"which column names the cases (--columns case={case}), or the patients (--columns patient={patient})"
    )


def _clean(columns: Columns, source: str, notes: list[str]) -> Columns:
    """Take blanks around ids away, and the suffixes and folders of images' file names."""
    for role in _IDS:
        if role not in columns:
            continue
        values = [value if value is None or value != value else str(value) for value in columns[role].tolist()]
        trimmed = [value.strip() if isinstance(value, str) else value for value in values]
        if trimmed != values:
            notes.append(f"Blanks around the {role}s of {source} were removed.")
        columns[role] = np.array(trimmed, dtype=object)
    if "case" in columns:
        names = [stem(value) if isinstance(value, str) else value for value in columns["case"].tolist()]
        arms = columns["arm"].tolist() if "arm" in columns else [""] * len(names)
        pairs = {*zip(arms, names, strict=True)}, {*zip(arms, columns["case"].tolist(), strict=True)}
        if len(pairs[0]) == len(pairs[1]) and names != columns["case"].tolist():
            notes.append(f"The cases of {source} are named by their files, without folder and suffix.")
            columns["case"] = np.array(names, dtype=object)
    return columns


def _named_metrics(columns: Columns, source: str, metric: str | None, notes: list[str]) -> Columns:
    """Give known metrics our names; a column `value` is the metric that the caller names."""
    columns = dict(columns)
    if "value" in columns and "truth" not in columns:
        if metric is None:
            raise PredictionError(f"{source} has a column of values without a name; say what they are (--metric dice)")
        columns[metric] = columns.pop("value")
    for name in [name for name in columns if name not in ROLES]:
        group, dash, quantity = _split(name)
        ours = _METRIC_OF.get(bare(name)) or _METRIC_OF.get(bare(quantity)) if dash else _METRIC_OF.get(bare(name))
        if ours is None:
            continue
        ours = f"{ours}_{group}" if dash and bare(name) not in _METRIC_OF and group != "ungrouped" else ours
        if ours != name and ours not in columns:
            columns[ours] = columns.pop(name)
            notes.append(f"The column {name!r} of {source} was read as {ours}.")
    return columns
