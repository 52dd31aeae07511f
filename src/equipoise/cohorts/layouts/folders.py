"""A folder per class, or train, val and test folders of such: pictures, volumes, and DICOM series by their headers."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.dicom import Series, find_series
from equipoise.cohorts.formats.file_names import data_folders
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.beside import masks_beside
from equipoise.cohorts.layouts.image_names import PARTS, image_files, is_image_name
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.volumes import DICOM, CaseFiles, Layout, make_cohort
from equipoise.errors import CohortError

HEADER_PATIENTS = "Patients are those of the DICOM headers (PatientID)."


def folders(
    path: str | Path,
    *,
    patient_pattern: str | None = None,
    classes: Sequence[str] | None = None,
    on_problem: str = "stop",
) -> Cohort:
    """Classification cohort from a folder per class, or from train, val and test folders of such folders.

    Each picture or volume is a case, and so is each DICOM series of a folder; PatientID is then the patient. Masks that
    lie beside their image (x.png, x_mask.png) are no cases: they are left out, and the report says so.
    classes: the folders to use, in the order of the classes; by default all, in the order of their names.
    patient_pattern, on_problem: as for `nnunet`; the pattern is searched in the path below `path`.
    """
    root = Path(path)
    if not root.is_dir():
        raise CohortError(f"{root} is not a folder; give the folder that holds one folder per class.")
    below = data_folders(root)
    parted = [child for child in below if child.name.lower() in PARTS]
    tops = parted if len(parted) > 1 else [root]
    names = list(classes or sorted({child.name for top in tops for child in data_folders(top)}))
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
    known, source = _patients(entries, patient_pattern)
    loose = [file for top in tops if top is not root for file in sorted(top.iterdir()) if is_image_name(file.name)]
    notes = (
        *source,
        *_left_out(masks, root, "masks that lie beside their images"),
        *_left_out(loose, root, "images of no class"),
    )
    layout = Layout("folders", root, "classification", tuple(names), (), {}, notes, patients_known=known)
    cases = [_with_patient(entry, known) for entry in entries]
    return make_cohort(layout, cases, on_problem)


@dataclass(frozen=True)
class _ClassFolder:
    """How the files of a class become cases."""

    root: Path
    pattern: str | None

    def cases(self, files: Sequence[Path], label: str, part: str | None) -> Iterator[CaseFiles]:
        """A case for every picture and volume, and for every DICOM series of a folder."""
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
        try:
            several = find_series(files)
        except RefusedFile as refusal:
            yield replace(self._case(folder, files[0], label, part), refusal=refusal)
            return
        alone = len(several) == 1 and len(several[0].files) > 1
        for one in several:
            if len(one.files) == 1 or _is_placeless(one):
                for file, facts in zip(one.files, one.facts, strict=True):
                    yield self._of_header(self._case(Path(file), Path(file), label, part), facts)
                continue
            case = self._case(folder if alone else folder / one.uid, folder, label, part)
            yield replace(self._of_header(case, one.facts[0]), series_uid=None if alone else one.uid)

    def _of_header(self, case: CaseFiles, facts: Mapping[str, object]) -> CaseFiles:
        patient = str(facts["patient_id"] or "").strip()
        if self.pattern is not None or not patient:
            return case
        return replace(case, patient=patient, attributes={"patient_of_header": patient})


def _is_placeless(series: Series) -> bool:
    """Whether the files of a series are pictures by themselves (X-rays), which no position puts in order."""
    return all(piece["position"] is None for facts in series.facts for piece in facts["slices"])


def _patients(entries: Sequence[CaseFiles], pattern: str | None) -> tuple[bool, tuple[str, ...]]:
    """Whether the patients are known, and the note that says where from."""
    if pattern is not None:
        return True, ()
    of_headers = Counter(entry.attributes.get("patient_of_header") for entry in entries)
    if None not in of_headers and len(of_headers) > 1:
        return True, (HEADER_PATIENTS,)
    return False, (UNKNOWN_PATIENTS,)


def _with_patient(entry: CaseFiles, known: bool) -> CaseFiles:
    """The header's patient where all cases have one of their own; one id for all of them is the name of a device."""
    attributes = {key: value for key, value in entry.attributes.items() if key != "patient_of_header"}
    return replace(entry, attributes=attributes, patient=entry.patient if known else entry.id)


def _left_out(files: Sequence[Path], root: Path, what: str) -> tuple[str, ...]:
    return (f"{len(files)} {what} were left out, first {files[0].relative_to(root).as_posix()}.",) if files else ()
