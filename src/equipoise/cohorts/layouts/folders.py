"""A folder per class, or train, val and test folders of such: pictures, volumes, and DICOM series by their headers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.dicom import Series, find_series
from equipoise.cohorts.formats.file_names import data_folders
from equipoise.cohorts.formats.reading import DICOM
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.beside import masks_beside
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.class_labels import refuse_look_alikes
from equipoise.cohorts.layouts.image_names import PARTS, image_files, is_image_name
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.unseen_signs import as_seen
from equipoise.cohorts.layouts.volumes import Layout, make_cohort
from equipoise.errors import CohortError
from equipoise.tasks import CLASSIFICATION


def folders(
    path: str | Path,
    *,
    patient_pattern: str | None = None,
    classes: Sequence[str] | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Make a classification cohort from a folder per class, or from train, val and test folders of such folders.

    Each picture or volume is a case, and so is each DICOM series of a folder; PatientID is then the patient. Masks that
    lie beside their image (x.png, x_mask.png) are no cases: they are left out, and the report says so.
    classes: the folders to use, in the order of the classes; by default all, in the order of their names.
    patient_pattern, on_problem, nonfinite: as for `nnunet`; the pattern is searched in the path below `path`.
    """
    root = Path(path)
    if not root.is_dir():
        raise CohortError(f"{root} is not a folder; give the folder that holds one folder per class.")
    below = data_folders(root)
    parted = [child for child in below if child.name.lower() in PARTS]
    tops = parted if len(parted) > 1 else [root]
    names = list(classes or sorted({child.name for top in tops for child in data_folders(top)}))
    if classes is None:
        refuse_look_alikes(names, str(root), "class folders", "rename one, or name all classes in cohort.classes")
    _check_there(names, tops, root)
    if len(names) < 2:
        raise CohortError(f"{root} holds {len(names)} class folders; give a folder with at least two.")
    reader = _ClassFolder(root, patient_pattern)
    entries, masks = [], []
    for top in tops:
        for name in names:
            files = list(image_files(top / name))
            beside = set(masks_beside(files, root))
            masks += sorted(beside)
            part = PARTS[top.name.lower()] if top is not root else None
            entries += list(reader.cases([file for file in files if file not in beside], name, part))
    known = patient_pattern is not None
    loose = [file for top in tops if top is not root for file in sorted(top.iterdir()) if is_image_name(file.name)]
    notes = (
        *(() if known else (UNKNOWN_PATIENTS,)),
        *_left_out(masks, root, "masks that lie beside their images"),
        *_left_out(loose, root, "images of no class"),
    )
    layout = Layout("folders", root, CLASSIFICATION.name, tuple(names), (), {}, notes, patients_known=known)
    return make_cohort(layout, entries, on_problem, nonfinite)


def _check_there(names: Sequence[str], tops: Sequence[Path], root: Path) -> None:
    """Refuse a class without a folder beside a folder that looks like its own: the class would have no case."""
    there = {child.name for top in tops for child in data_folders(top)}
    for name in names:
        alike = sorted(folder for folder in there - {*names} if as_seen(folder).strip() == as_seen(name).strip())
        if name not in there and alike:
            raise CohortError(
                f"{root} has no folder of the class {name!a} and one that looks like it, {alike[0]!a}; "
                "rename the folder, or write its name in cohort.classes."
            )


@dataclass(frozen=True)
class _ClassFolder:
    """How the files of a class become cases."""

    root: Path
    pattern: str | None

    def cases(self, files: Sequence[Path], label: str, part: str | None) -> Iterator[CaseFiles]:
        """Return a case for every picture and volume, and for every DICOM series of a folder."""
        series: defaultdict[Path, list[Path]] = defaultdict(list)
        for file in files:
            if file.suffix.lower() in DICOM or not is_image_name(file.name):
                series[file.parent].append(file)
            else:
                yield self._case(file, file, label, part)
        for folder, slices in series.items():
            yield from self._dicom_cases(folder, slices, label, part)

    def _case(self, name: Path, image: Path, label: str, part: str | None) -> CaseFiles:
        relative = name.relative_to(self.root).as_posix()
        return CaseFiles(relative, patient_of(relative, self.pattern), (image,), label=label, part=part)

    def _dicom_cases(self, folder: Path, files: Sequence[Path], label: str, part: str | None) -> Iterator[CaseFiles]:
        # An export from a hospital is often class/patient/series. With every slice as a case of its own, all twelve
        # patients of such a set lay in several parts of the split, and no leak was named.
        try:
            several = find_series(files)
        except RefusedFile as refusal:
            # The refusal travels with its case, so that all damaged series of a source are listed at once.
            yield replace(self._case(folder, files[0], label, part), refusal=refusal)
            return
        alone = len(several) == 1 and len(several[0].files) > 1
        for one in several:
            if len(one.files) == 1 or _is_placeless(one):
                yield from (self._case(Path(file), Path(file), label, part) for file in one.files)
                continue
            case = self._case(folder if alone else folder / one.uid, folder, label, part)
            yield replace(case, series_uid=None if alone else one.uid)


def _is_placeless(series: Series) -> bool:
    """Return whether the files of a series are pictures by themselves (X-rays), which no position puts in order."""
    return all(piece["position"] is None for facts in series.facts for piece in facts["slices"])


def _left_out(files: Sequence[Path], root: Path, what: str) -> tuple[str, ...]:
    return (f"{len(files)} {what} were left out, first {files[0].relative_to(root).as_posix()!r}.",) if files else ()
