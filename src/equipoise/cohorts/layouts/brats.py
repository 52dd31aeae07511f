"""BraTS as it is distributed: the namings of 2012 to 2021 and of 2023 on, every group's coding, patients."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.brats_codings import BY_JOINT, CODINGS, EARLY, Coding, certain_coding, what_values_mean
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.volumes import Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError

CLASSES = CODINGS["2023"].classes
REGIONS = CODINGS["2023"].regions
NEW_NAMES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
# Ids of 2023 on end in a time point. The patient is what stands before it, or a split by ids would deal two scans of
# one person to training and test.
_NEW_ID = re.compile(r"((?i:BraTS)-(?P<group>[A-Za-z]+(?:-[A-Za-z]+)?)-\d+)(?:-\d+)?")
_DATED_ID = re.compile(r"(?i:brats)1[789]_([^_]+)_[^_]+_\d+")
_FILE = re.compile(
    r"(?P<id>.+)(?P<joint>[-_])(?P<kind>seg|gtv|t1|t1ce|t2|flair|t1n|t1c|t2w|t2f)\.nii(\.gz)?", re.IGNORECASE
)
# VSD.Brain.XX.O.MR_T1c.54515.mha, and VSD.Brain_3more.XX.O.OT.54517.mha for the truth: 2013 to 2016.
_VSD_FILE = re.compile(
    r"VSD\.Brain(_\dmore)?(\.XX)?\.(XX|O)(\.MR_(?P<kind>T1c?|T2|Flair)|(?P<truth>\.OT))(\.\d+)?\.mha"
)
_FILE_2012 = re.compile(r"(?P<id>(Sim)?BRATS_[HL]G\d+)_(?P<kind>T1|T1C|T2|FLAIR|truth)\.mha")
_MHA_KINDS = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair", "truth": "seg"}
_TIMED_ID = re.compile(r"(?P<patient>brats_(2013|tcia)_pat\d+)_\d+")
_GRADES = {"hgg": "HGG", "hg": "HGG", "lgg": "LGG", "lg": "LGG"}
_STRAY_MASK = re.compile(r"(?i).*segm?\.nii(\.gz)?")
"""Such as the one of BraTS20_Training_355, W39_1998.09.19_Segm.nii."""


@dataclass
class ScanFiles:
    """The files of one case by what they are (t1, t1c …, seg), before anything is opened.

    joint: what stands between the id and the kind: "_" to 2021, "-" from 2023 on, "." for the names of 2013 to 2016,
        "/" for those of 2012.
    """

    id: str
    folder: Path
    joint: str
    by_kind: dict[str, Path] = field(default_factory=dict)

    @property
    def group(self) -> str | None:
        """GLI, PED …, None for the naming of 2017–2021."""
        match = _NEW_ID.fullmatch(self.id)
        return match["group"] if match else None

    @property
    def mask(self) -> Path | None:
        """The segmentation, under its own name or as the only file of its folder that is called one."""
        # With two stray masks nothing says which one is meant, so the case stays without a mask and is named.
        own = self.by_kind.get("seg") or self.by_kind.get("gtv")
        stray = [] if own else [file for file in self.folder.glob("*.nii*") if _STRAY_MASK.fullmatch(file.name)]
        return own or (stray[0] if len(stray) == 1 else None)


def brats(
    path: str | Path,
    *,
    modalities: Sequence[str] = ("t1", "t1ce", "t2", "flair"),
    coding: str = "auto",
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Make a segmentation cohort of all cases found below a folder, in the order of their ids.

    modalities: the channels, in this order, by their names of 2021 (t1, t1ce, t2, flair), whatever the files' naming.
    coding: what the mask values mean, a name of `brats_codings.CODINGS` for all cases; "auto" takes the one coding that
        a case's naming and group leave no doubt about, and asks where there are several (PED).
    on_problem: "stop" or "exclude" for cases with a missing modality or mask, another grid, or an unknown label.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    Errors: ProtocolError for an impossible setting, CohortError where no case is found, none can be used, or the coding
    must be stated.
    """
    unknown = [name for name in modalities if name not in NEW_NAMES]
    if unknown or not modalities:
        raise ProtocolError(f"cohort.modalities has {unknown}; choose from {', '.join(NEW_NAMES)}")
    if coding not in ("auto", *CODINGS):
        raise ProtocolError(f"cohort.coding is {coding!r}; choose auto, {' or '.join(CODINGS)}")
    scans = brats_scans(Path(path))
    if not scans:
        raise CohortError(f"{path} holds no BraTS case; give the folder that holds the case folders.")
    codings = [scan_coding(scan, coding, Path(path)) for scan in scans]
    # Data to 2021 and of 2023 on may mix: the stored numbers differ, but they become the same classes.
    meanings = {(CODINGS[name].classes, tuple(CODINGS[name].regions)) for name in codings}
    if len(meanings) > 1:
        groups = sorted({scan.group or EARLY for scan in scans})
        raise CohortError(
            f"{path} holds the groups {', '.join(groups)}, whose masks use different tissues; give one folder for "
            "each group, or state one cohort.coding that holds for all."
        )
    first = CODINGS[codings[0]]
    entries = [_entry(scan, name, modalities) for scan, name in zip(scans, codings, strict=True)]
    layout = Layout("brats", Path(path), "segmentation", first.classes, tuple(modalities), first.regions)
    return make_cohort(layout, entries, on_problem, nonfinite)


def scan_coding(scan: ScanFiles, coding: str, path: Path) -> str:
    """Return the name of the coding of one case; CohortError where none is stated and several are possible."""
    # PED of 2024 was once read as glioma: enhancing tumour became necrotic core and cyst became enhancing tumour,
    # without an error wherever a case had no oedema. So a group whose codings contradict each other is asked about.
    if coding != "auto":
        return coding
    certain = certain_coding(scan.group) if scan.group else BY_JOINT.get(scan.joint)
    if certain is None:
        raise CohortError(
            f"{path} holds {scan.id} of the group {scan.group or '?'}, whose masks were published in several "
            f"codings or none that is "
            f"known here; state cohort.coding (`equipoise init {quote(str(path))} --set coding=NAME`): "
            f"{what_values_mean(scan.group)}."
        )
    return certain


def patient_of(case: str) -> str:
    """Return the patient behind a case id: ids of 2023 on end in a time point, those of 2017–2019 in a scan number.

    >>> patient_of("BraTS-GLI-00012-001"), patient_of("Brats18_CBICA_AAB_1"), patient_of("BraTS2021_00006")
    ('BraTS-GLI-00012', 'Brats18_CBICA_AAB', 'BraTS2021_00006')
    """
    if match := _NEW_ID.fullmatch(case):
        return match[1]
    if match := _TIMED_ID.fullmatch(case):
        return match["patient"]
    return case.rpartition("_")[0] if _DATED_ID.fullmatch(case) else case


def brats_scans(folder: Path) -> list[ScanFiles]:
    """Return all cases below a folder, in the order of their ids; nothing is opened."""
    scans: dict[tuple[str, str, Path], ScanFiles] = {}
    for file in data_files(folder):
        if match := _FILE.fullmatch(file.name):
            # The folder is part of the key: one id in two folders stays two scans, which the cohort refuses by name,
            # instead of one scan with files of both.
            key = (match["id"], match["joint"], file.parent)
            scans.setdefault(key, ScanFiles(id=match["id"], folder=file.parent, joint=match["joint"]))
            scans[key].by_kind[match["kind"].lower()] = file
        elif named := _mha(file):
            case, joint, kind, folder = named
            scan = scans.setdefault((case, joint, folder), ScanFiles(id=case, folder=folder, joint=joint))
            if kind in scan.by_kind:
                raise CohortError(f"{folder} holds two files of {kind} ({file.name} and another); leave one there.")
            scan.by_kind[kind] = file
    return [scan for _, scan in sorted(scans.items())]


def _mha(file: Path) -> tuple[str, str, str, Path] | None:
    """Return case, joint, kind and case folder of a MetaImage file of 2012 to 2016; None for other names."""
    if match := _FILE_2012.fullmatch(file.name):
        return match["id"], "/", _MHA_KINDS[match["kind"].lower()], file.parent
    match = _VSD_FILE.fullmatch(file.name)
    if match is None:
        return None
    # Each file may lie in a folder of its own name.
    folder = file.parent.parent if file.parent.name.startswith("VSD.Brain") else file.parent
    # The cases of 2013 are numbers, which recur among high and low grades.
    case = f"{folder.parent.name}-{folder.name}" if folder.name.isdecimal() else folder.name
    return case, ".", "seg" if match["truth"] else _MHA_KINDS[match["kind"].lower()], folder


def _grade(scan: ScanFiles) -> dict[str, str]:
    """Return the grade that a folder above the case, or the id of 2012, tells."""
    names = [folder.name.lower() for folder in scan.folder.parents[:2]] if scan.joint == "." else []
    names += re.findall(r"_([hl]g)\d", scan.id.lower()) if scan.joint == "/" else []
    return next(({"grade": _GRADES[name]} for name in names if name in _GRADES), {})


def values_by_group(scans: Sequence[ScanFiles]) -> Mapping[str | None, list[Path]]:
    """Return the masks of each group."""
    masks: defaultdict[str | None, list[Path]] = defaultdict(list)
    for scan in scans:
        if scan.mask is not None:
            masks[scan.group].append(scan.mask)
    return masks


def _entry(scan: ScanFiles, coding: str, modalities: Sequence[str]) -> CaseFiles:
    is_new = scan.joint == "-" or scan.group is not None
    names = [NEW_NAMES[name] if is_new else name for name in modalities]
    # A file that is missing gets the name that it should have, so that the problem tells what to fetch.
    missing = f"{scan.id}{scan.joint}{{}}.nii.gz".format
    site = _DATED_ID.fullmatch(scan.id)
    return CaseFiles(
        id=scan.id,
        patient=patient_of(scan.id),
        images=tuple(scan.by_kind.get(name, scan.folder / missing(name)) for name in names),
        mask=scan.mask or scan.folder / missing("seg"),
        attributes={"naming": "2023" if is_new else BY_JOINT.get(scan.joint, EARLY)}
        | _grade(scan)
        | ({"site": site[1]} if site else {}),
        codes=CODINGS[coding].codes,
        hint=_hint(CODINGS[coding], coding),
    )


def _hint(coding: Coding, name: str) -> str:
    """What to do about a value that the coding does not know."""
    others = "; ".join(f'"{other}" {CODINGS[other].tissues()}' for other in CODINGS if other != name)
    remedy = f"correct the labels, or state the cohort.coding that holds ({others})"
    return f'the coding "{name}" reads {coding.tissues()}; {remedy}'
