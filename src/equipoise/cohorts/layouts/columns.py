"""Which column of a table is what: by the names that tools and public sets use, or as the protocol says.

A name is compared without capitals and signs, so `Patient ID`, `patient_id` and `PatientID` are one. What is not
certain, such as two columns that could be the class, is asked.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from shlex import quote
from typing import Any

from equipoise.cohorts.layouts.image_names import PARTS, is_image_name
from equipoise.errors import CohortError, ProtocolError
from equipoise.lookup import nearest

ROLES = ("case", "patient", "image", "mask", "label", "part", "series_uid")
# The names are those of GaNDLF (SubjectID, Channel_0, ValueToPredict), of HAM10000 (image_id, dx, lesion_id), of the
# NIH chest X-rays (Image Index, Finding Labels) and their like.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "case": ("case", "caseid", "id", "uid", "imageid", "imageindex", "sampleid", "scanid"),
    "patient": ("patient", "patientid", "subject", "subjectid", "participant", "participantid", "patientno",
    "mrn", "pid",
                "patientname", "subjectname", "lesionid"),
    "image": ("image", "imagepath", "imagefile", "imagefilename", "path", "filepath", "file", "filename", "img",
    "imgpath",
              "imgfile", "imagename", "imageid", "imageindex", "idcode", "imgid", "imgname", "scan", "scanpath",
              "dicompath"),
    "mask": ("mask", "maskpath", "maskfile", "maskfilename", "segmentation", "segmentationpath", "seg",
    "segpath", "labelpath",
             "labelmap", "annotationpath", "groundtruth", "groundtruthpath", "gt", "gtpath"),
    "label": ("label", "labels", "class", "classes", "classname", "diagnosis", "dx", "target", "y", "valuetopredict",
              "category", "findinglabels", "grade", "outcome", "benignmalignant", "pathology"),
    "part": ("part", "split", "subset", "partition", "set", "fold"),
    "series_uid": ("seriesuid", "seriesinstanceuid"),
}  # fmt: skip
_ONE_FILE = {"image_path", "image_file", "image_filename", "image_name", "image_id", "image_index", "image_uid"}
"""Names that begin as those of a modality do and mean the image itself."""
_CHANNEL = re.compile(r"channel_?(\d+)", re.IGNORECASE)
# An image_id beside a path, and a lesion_id (HAM10000) beside a patient, are common. Were all names equals, tables that
# are clear would end in a question.
_LAST_RESORT = {
    "image": {"imageid", "imageindex", "imagename", "idcode", "imgid", "imgname", "scan"},
    "patient": {"patientname", "lesionid"},
    "part": {"fold", "set"},
    "case": {"uid"},
}
"""Names that have a role only where no better one is there."""


@dataclass(frozen=True)
class Columns:
    """The column of every role, None where there is none.

    images: channel name → column, in order. label: a column, or the columns of a one-hot code, one a class.
    """

    images: Mapping[str, str]
    case: str | None = None
    patient: str | None = None
    mask: str | None = None
    label: str | tuple[str, ...] | None = None
    part: str | None = None
    series_uid: str | None = None

    @cached_property
    def used(self) -> frozenset[str]:
        """All columns that have a role; the others are attributes."""
        labels = (self.label,) if isinstance(self.label, str) else self.label or ()
        return frozenset(filter(None, (self.case, self.patient, self.mask, self.part, self.series_uid, *labels))) | {
            *self.images.values()
        }


def columns_of(
    rows: Sequence[Mapping[str, str]],
    by_role: Mapping[str, Any] | None = None,
    where: str = "the table",
    doubted: Collection[str] = (),
) -> Columns:
    """Return the roles of a table's columns; `by_role` gives roles by name, and the other roles go to the columns left.

    What a column holds counts too: files are no labels, values that recur no cases, fold numbers no parts.
    doubted: roles whose column, though it has the role's exact name, is asked where another one says something else.
    Raises ProtocolError for a by_role role or column that does not exist, CohortError where two columns could have a
    role.
    """
    names = list(rows[0])
    by_role = _checked(dict(by_role or {}), names, where)
    free = [name for name in names if name not in _stated_columns(by_role)]
    files = {name for name in free if _holds_files([row[name] for row in rows])}
    images = _images(by_role.get("image"), free, where)
    rest = [name for name in free if name not in images.values()]
    # An `id` that recurs numbers patients or lesions. A column called `case` is believed all the same, so that the
    # cohort refuses its repeated ids by name instead of making up others.
    unique = [name for name in rest if name == "case" or len({row[name] for row in rows}) == len(rows)]
    # A column `fold` or `set` holds official parts only where its words say so: folds of a cross-validation are
    # numbers.
    parts = [name for name in rest if name == "part" or {row[name].lower() for row in rows} <= {*PARTS, ""}]
    masks = [name for name in rest if name in files or name == "mask"]
    if "mask" not in masks and not any(bare(name) in _SYNONYMS["mask"] for name in masks):
        masks = [name for name in masks if bare(name) in _SYNONYMS["label"]][:1]  # GaNDLF calls the mask its label
        mask = masks[0] if masks else None
    else:
        mask = _one("mask", masks, where)
    label = by_role.get("label") or _one("label", [name for name in rest if name not in {*files, *masks}], where)
    rivals = {"label": [name for name in rest if name not in {*files, *masks}], "mask": masks, "patient": rest}
    for role in doubted:
        if role not in by_role:
            _check_rivals(role, rivals[role], rows, where)
    return Columns(
        images,
        case=by_role.get("case") or _one("case", unique, where),
        patient=by_role.get("patient") or _one("patient", rest, where),
        mask=by_role.get("mask") or mask,
        label=tuple(label) if isinstance(label, (list, tuple)) else label,
        part=by_role.get("part") or _one("part", parts, where),
        series_uid=by_role.get("series_uid") or _one("series_uid", rest, where),
    )


def _check_rivals(role: str, names: Sequence[str], rows: Sequence[Mapping[str, str]], where: str) -> None:
    """Ask where the column called as its role has a rival that groups the rows in another way: one of two truths."""
    if role not in names:
        return
    fitting = [name for name in names if bare(name) in _SYNONYMS[role] and bare(name) not in _LAST_RESORT.get(role, ())]
    for other in fitting:
        both = {(row[role], row[other]) for row in rows}
        first, second = {one for one, _ in both}, {two for _, two in both}
        as_one = len(both) == len(first) == len(second)
        # Paths differ in every row, and 0 beside 1 contradicts 1 beside 0: of one set of words only equal ones agree.
        if role == "mask" or first & second:
            as_one = all(one == two for one, two in both)
        if other != role and not as_one:
            raise CohortError(
                f"{where} has the columns {role!r} and {other!r}, which both could be the {role} and differ; say which "
                f'one is, such as cohort.columns = {{{role} = "{role}"}} '
                f"(`equipoise init {quote(where)} --set columns.{role}={role}`)."
            )


def _holds_files(values: Sequence[str]) -> bool:
    """Return whether all filled values are named as images are."""
    filled = [value for value in values if value]
    return bool(filled) and all(is_image_name(value) for value in filled)


def without_label(columns: Columns) -> Columns:
    """Return the same columns for a task that has no class: the column of labels becomes an attribute."""
    return replace(columns, label=None)


def _checked(by_role: dict[str, Any], names: Sequence[str], where: str) -> dict[str, Any]:
    for role, value in by_role.items():
        if role not in ROLES:
            raise ProtocolError(f"cohort.columns: the role {role!r} is unknown; {nearest(role, ROLES)}")
        for name in _listed(value):
            if name not in names:
                raise ProtocolError(f"cohort.columns: {where} has no column {name!r}; {nearest(name, names)}")
    return by_role


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value.values() if isinstance(value, Mapping) else value)


def _stated_columns(by_role: Mapping[str, Any]) -> set[str]:
    return {name for value in by_role.values() for name in _listed(value)}


def _images(by_role: Any, names: Sequence[str], where: str) -> dict[str, str]:
    if isinstance(by_role, Mapping):
        return dict(by_role)
    if by_role:
        return {name: name for name in _listed(by_role)}
    modalities = {name: name for name in names if name.startswith("image_") and name not in _ONE_FILE}
    if "image" in names:
        return {"image": "image"} | modalities
    if modalities:
        return {name.removeprefix("image_"): name for name in modalities}
    numbered = {match[0].lower(): name for name in names if (match := _CHANNEL.fullmatch(name.strip()))}
    if numbered:
        return dict(sorted(numbered.items()))
    only = _one("image", names, where)
    return {"image": only} if only else {}


def _one(role: str, names: Iterable[str], where: str) -> str | None:
    """Return the one column that a role's synonyms name, the exact name first."""
    names = list(names)
    if role in names:
        return role
    fitting = [name for name in names if bare(name) in _SYNONYMS[role]]
    better = [name for name in fitting if bare(name) not in _LAST_RESORT.get(role, ())]
    fitting = better or fitting
    if len(fitting) > 1:
        shown, first = ", ".join(fitting), fitting[0]
        raise CohortError(
            f"{where} has {len(fitting)} columns that could be the {role} ({shown}); say which one is, such as "
            f'cohort.columns = {{{role} = "{first}"}} (`equipoise init {quote(where)} --set columns.{role}={first}`).'
        )
    return fitting[0] if fitting else None


def bare(name: str) -> str:
    """Return a column's name in small letters and digits alone.

    >>> bare("Patient ID")
    'patientid'
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())
