"""BraTS as it is distributed: the namings of 2017–2021 and of 2023 on, both codings of the labels, patients from ids.

Labels: to 2021 they are 1 necrotic core, 2 oedema, 4 enhancing tumour; from 2023 on the last is 3. The challenge judges
three overlapping regions: WT whole tumour (all three), TC tumour core (1 and enhancing), ET enhancing tumour.
Reference: Baid et al., "The RSNA-ASNR-MICCAI BraTS 2021 benchmark", 2021.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.volumes import CaseFiles, Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError

CLASSES = ("background", "necrotic core", "oedema", "enhancing tumour")
REGIONS: Mapping[str, tuple[int, ...]] = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
CODINGS: Mapping[str, Mapping[int, int]] = {
    "2017-2021": {0: 0, 1: 1, 2: 2, 4: 3},
    "2023": {0: 0, 1: 1, 2: 2, 3: 3},
}
NEW_NAMES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
_NEW_ID = re.compile(r"(BraTS-[A-Za-z]+-\d+)-(\d+)")
_DATED_ID = re.compile(r"(?i:brats)1[789]_([^_]+)_[^_]+_\d+")
_SEGMENTATION = re.compile(r"(?P<id>.+)(?P<joint>[-_])(?P<kind>seg|t1|t1ce|t2|flair|t1n|t1c|t2w|t2f)\.nii(\.gz)?")


def brats(
    path: str | Path,
    *,
    modalities: Sequence[str] = ("t1", "t1ce", "t2", "flair"),
    coding: str = "auto",
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Segmentation cohort of all cases found below a folder, in the order of their ids.

    modalities: the channels, in this order, by their names of 2021 (t1, t1ce, t2, flair), whatever the files' naming.
    coding: "auto" takes the coding that belongs to each case's naming; "2017-2021" or "2023" says it for all. A mask
        with another label is a problem: label 4 of post-treatment data (2024) is a resection cavity and not a tumour.
    on_problem: "stop" or "exclude" for cases with a missing modality or mask, another grid, or an unknown label.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    Errors: ProtocolError for an impossible setting, CohortError where no case is found or none can be used.
    """
    unknown = [name for name in modalities if name not in NEW_NAMES]
    if unknown or not modalities:
        raise ProtocolError(f"cohort.modalities has {unknown}; choose from {', '.join(NEW_NAMES)}")
    if coding not in ("auto", *CODINGS):
        raise ProtocolError(f"cohort.coding is {coding!r}; choose auto, {' or '.join(CODINGS)}")
    entries = list(_entries(Path(path), modalities, coding))
    if not entries:
        raise CohortError(f"{path} holds no BraTS case; give the folder that holds the case folders.")
    layout = Layout("brats", Path(path), "segmentation", CLASSES, tuple(modalities), REGIONS)
    return make_cohort(layout, entries, on_problem, nonfinite)


def patient_of(case: str) -> str:
    """The patient behind a case id: ids of 2023 on end in a time point, those of 2017–2019 in a scan number.

    >>> patient_of("BraTS-GLI-00012-001"), patient_of("Brats18_CBICA_AAB_1"), patient_of("BraTS2021_00006")
    ('BraTS-GLI-00012', 'Brats18_CBICA_AAB', 'BraTS2021_00006')
    """
    if found := _NEW_ID.fullmatch(case):
        return found[1]
    return case.rpartition("_")[0] if _DATED_ID.fullmatch(case) else case


def _entries(folder: Path, modalities: Sequence[str], coding: str) -> Iterator[CaseFiles]:
    found: dict[tuple[str, str, Path], dict[str, Path]] = {}
    for file in sorted(folder.rglob("*.nii*")):
        if named := _SEGMENTATION.fullmatch(file.name):
            found.setdefault((named["id"], named["joint"], file.parent), {})[named["kind"]] = file
    for (case, joint, parent), files in sorted(found.items()):
        is_new = joint == "-"
        names = [NEW_NAMES[name] if is_new else name for name in modalities]
        missing = "{}{}{}.nii.gz".format
        site = _DATED_ID.fullmatch(case)
        yield CaseFiles(
            id=case,
            patient=patient_of(case),
            images=tuple(files.get(name, parent / missing(case, joint, name)) for name in names),
            mask=files.get("seg", parent / missing(case, joint, "seg")),
            attributes={"naming": "2023" if is_new else "2017-2021"} | ({"site": site[1]} if site else {}),
            codes=CODINGS[("2023" if is_new else "2017-2021") if coding == "auto" else coding],
        )
