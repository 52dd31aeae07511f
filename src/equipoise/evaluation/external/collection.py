"""Collect files and folders of other tools in one prediction table, with the sources read and assumptions made."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external import detections, masks, medmnist, monai, nnunet
from equipoise.evaluation.external.arm_names import arm_names, fold_in
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.formats import Kind, kind_of
from equipoise.evaluation.external.join import Part, join
from equipoise.evaluation.external.listed_patients import with_listed_patients
from equipoise.evaluation.external.lists import FINDINGS, MASKS, MEDMNIST, REFERENCE, ListFile, read_list, whole_file
from equipoise.evaluation.external.mask_file import is_mask
from equipoise.evaluation.external.mask_pairs import MaskPair, has_pairs, is_truth_folder, pairs_among, pairs_with
from equipoise.evaluation.external.part_columns import refuse_other_part
from equipoise.evaluation.external.reading import Reading, Repeated
from equipoise.evaluation.external.scopes import options_of_arm, refuse_unknown_scopes
from equipoise.evaluation.external.structures import description
from equipoise.evaluation.external.table_file import SUFFIXES, TableFile, columns_of, table_file
from equipoise.evaluation.external.table_reading import reading_of
from equipoise.evaluation.external.unused import refuse_unused
from equipoise.evaluation.predictions import Predictions
from equipoise.progress import Watch, silent


@dataclass(frozen=True)
class Input:
    """A file or folder that the caller gave, or that was inside a given folder.

    arm: its name, from the caller or the folder; None without one. files: the masks of a folder.
    named: whether the caller gave the arm's name.
    """

    arm: str | None
    path: Path
    kind: Kind
    files: tuple[Path, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class Source:
    """A path that was read: its kind in words, arms, number of cases and SHA-256, and the column of every role."""

    path: str
    kind: str
    arms: tuple[str, ...]
    cases: int
    sha256: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Collected:
    """The table of all sources; `unpredicted` are cases of the truth that are in no source.

    attributes: subgroup → case → value. notes: sentences on assumptions that may mislead; readings: on how columns were
    read. masks: (arm, case) → the true and the predicted mask of the first run. structures: those that tables
    themselves name, or that tools' files judge. lists: the files beside the predictions.
    """

    predictions: Predictions
    sources: tuple[Source, ...]
    notes: tuple[str, ...]
    unpredicted: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    masks: Mapping[tuple[str, str], tuple[Path, Path]] = field(default_factory=dict)
    structures: frozenset[str] = frozenset()
    readings: tuple[str, ...] = ()
    lists: tuple[ListFile, ...] = ()

    @property
    def repeated_rows(self) -> int:
        """How many rows of all files repeat another one and were left out."""
        return sum(one.rows for one in self.readings if isinstance(one, Repeated))


def collect(given: Sequence[tuple[str | None, Path]], options: AuditOptions, watch: Watch = silent) -> Collected:
    """Read every path by its kind; PredictionError or RefusedFile, in one sentence, where one cannot be read."""
    if not given:
        raise PredictionError("no prediction file was given; name at least one")
    inputs: list[Input] = []
    given_options = options
    folders = sum(path.is_dir() for _, path in given) > 1
    # A folder of truth inside one path serves the paths after it, too.
    for arm, path in given:
        opened, inner = _opened(arm, path, options, folders)
        inputs += opened
        options = options if inner is None else replace(options, truth=inner)
    reference = _reference(options)
    truth = _values(reference)
    options = options if reference is None else replace(options, lists=(*options.lists, reference))
    named = _named(inputs, options.truth)
    refuse_unknown_scopes(options, [str(source.arm) for source in named])
    options, notes_on_structures = _structures(named, options)
    masked = [source for source in named if source.kind is Kind.MASK]
    paired: dict[tuple[str, str], tuple[Path, Path]] = {}
    true_masks: dict[Path, str] = {}
    mask_parts, notes, lost = _masks(masked, options, watch, paired, true_masks) if masked else ([], [], [])
    several = len({source.arm for source in named}) > 1
    parts = [_part(source, options, truth, several=several) for source in named if source.kind is not Kind.MASK]
    parts, notes_on_detectors = _detected(parts, options)
    notes += notes_on_detectors
    parts = with_listed_patients([*parts, *mask_parts], options)
    refuse_unused(parts, replace(given_options, lists=options.lists), truth)
    notes += [*notes_on_structures, *(note for part in parts for note in part.reading.notes)]
    if options.truth is not None and options.truth.is_dir() and true_masks:
        digest = hashlib.sha256("\n".join(sorted(true_masks.values())).encode()).hexdigest()
        beside = ListFile(str(options.truth), MASKS, len(true_masks), digest)
        options = replace(options, lists=(*options.lists, beside))
    return replace(_collected(parts, options, truth, notes, lost), masks=paired)


def _structures(inputs: Sequence[Input], options: AuditOptions) -> tuple[AuditOptions, list[str]]:
    """Take the structures of a dataset.json beside masks or summaries, where the caller states none."""
    labelled = [source.path for source in inputs if source.kind in (Kind.MASK, Kind.NNUNET)]
    if options.ignore and not any(source.kind is Kind.MASK for source in inputs):
        raise PredictionError(
            "--ignore needs masks, because values that were computed elsewhere cannot be computed again; give the masks"
        )
    if len({source.kind in (Kind.MASK, Kind.NNUNET) for source in inputs}) > 1 and any(
        source.kind is Kind.MONAI_METRICS for source in inputs
    ):
        if not options.regions:
            raise PredictionError(
                "MONAI's files number classes and the others have labels, so it is not clear which structures are the "
                "same; name them in order for all files (--regions NAME,NAME)"
            )
        return options, []
    if options.regions or not labelled:
        return options, []
    beside = [options.truth] if options.truth is not None else []
    described = description([*beside, *labelled])
    if described is None:
        return options, []
    ignore = tuple(dict.fromkeys((*options.ignore, *described.ignore)))
    return replace(options, regions=described.regions, ignore=ignore), [described.note()]


def collect_table(table: Any, options: AuditOptions) -> Collected:
    """Collect a table in memory: a pyarrow.Table, a dictionary of columns or a data frame."""
    name = "the table"
    reference = _reference(options)
    truth = _values(reference)
    options = options if reference is None else replace(options, lists=(*options.lists, reference))
    refuse_unknown_scopes(options, [])
    columns = columns_of(table, name)
    rows = np.arange(len(next(iter(columns.values()), ()))) + 1
    part = Part(
        "", reading_of(TableFile(columns, "", rows), name, "table in memory", options_of_arm(options, ""), truth)
    )
    parts, notes = _detected(with_listed_patients([part], options), options)
    refuse_unused(parts, options, truth)
    notes += [note for one in parts for note in one.reading.notes]
    return _collected(parts, options, truth, notes, [])


def _collected(
    parts: list[Part], options: AuditOptions, truth: Mapping[str, str] | None, notes: list[str], lost: list[str]
) -> Collected:
    without = [part.reading.columns for part in parts if "split" not in part.reading.columns]
    for one in options.lists:
        tested = (str(case) for columns in without for case in columns.get("case", ()))
        refuse_other_part(f"the {one.kind} {one.path}", *one.others, tested)
    joined = join(parts, options, truth)
    lost += sorted(set(truth or ()) - set(joined.predictions.case.tolist()))
    assumptions = tuple(dict.fromkeys([*notes, *joined.notes]))
    readings = [one for part in parts for one in part.reading.readings] + [
        one for file in options.lists for one in file.notes
    ]
    return Collected(
        joined.predictions, tuple(_source(part) for part in parts), assumptions, tuple(lost), joined.attributes,
        structures=frozenset(one for part in parts for one in part.reading.structures),
        readings=tuple(dict.fromkeys(readings)), lists=options.lists,
    )  # fmt: skip


def _reference(options: AuditOptions) -> ListFile | None:
    """Read or describe the truth that the caller gives as a file; None without one, and for a folder of masks."""
    path = options.truth
    if path is None or path.is_dir():
        return None
    if path.suffix.lower() not in SUFFIXES:
        return whole_file(path, MEDMNIST, 0) if path.suffix.lower() == ".npz" and path.is_file() else None
    findings = detections.true_findings(path)
    if findings is not None:
        return whole_file(path, FINDINGS, len(findings))
    return read_list(path, "case", "truth", REFERENCE, options.columns, without_empty=options.common_cases)


def _values(reference: ListFile | None) -> dict[str, str] | None:
    """Return case → class of a reference that is a table of them; None of another kind."""
    return dict(reference.values) if reference is not None and reference.kind == REFERENCE else None


def _opened(arm: str | None, path: Path, options: AuditOptions, is_arm: bool) -> tuple[list[Input], Path | None]:
    """List the inputs of a path, folders opened, and the folder of true masks inside it, if any.

    is_arm: a folder of tables is one arm and its files are training runs; otherwise each of its files is an arm.
    """
    # A summary comes before tables, and raw tables before others: nnU-Net's folder also holds masks, and MONAI's also
    # holds means over all cases, from which nothing can be compared.
    kind = kind_of(path)
    if kind is not Kind.FOLDER:
        return [Input(arm, path, kind, (path,), arm is not None)], None
    files = sorted(child for child in path.iterdir() if child.is_file() and child != options.truth)
    mask_files = tuple(file for file in files if is_mask(file))
    if mask_files and (options.truth is not None or has_pairs(mask_files)):
        return [Input(arm, path, Kind.MASK, mask_files, arm is not None)], None
    own = arm or arm_names([path])[0]
    summaries = [path / "summary.json"] if (path / "summary.json").is_file() else _folds(path)
    if summaries:
        return [Input(own, summary, kind_of(summary)) for summary in summaries], None
    folds = [child for child in sorted(path.iterdir()) if child.is_dir() and fold_in(Path(child.name)) is not None]
    if folds:
        inner = [child / "validation" if (child / "validation").is_dir() else child for child in folds]
        return [source for child in inner for source in _opened(own, child, options, True)[0]], None
    tables = [file for file in files if file.suffix.lower() in SUFFIXES]
    raw = [file for file in tables if file.stem.endswith("_raw")]
    if raw:
        return [Input(own, file, kind_of(file)) for file in raw], None
    if tables:
        whole = is_arm or (len(tables) > 1 and all(_only_numbered(file) for file in tables))
        return [Input(own if whole else arm, file, kind_of(file)) for file in tables], None
    return _subfolders(arm, path, options, bool(mask_files))


def _folds(path: Path) -> list[Path]:
    return sorted(path.glob("fold_*/validation/summary.json"))


def _subfolders(arm: str | None, path: Path, options: AuditOptions, has_masks: bool) -> tuple[list[Input], Path | None]:
    folders = [child for child in sorted(path.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    truths = [child for child in folders if is_truth_folder(child)]
    arms = [child for child in folders if child not in truths and child != options.truth]
    if has_masks:
        raise PredictionError(f"{path} holds masks without a truth; name the folder of true masks (truth)")
    if any((child / "segmentations").is_dir() for child in arms):
        raise PredictionError(
            f"{path} holds a folder per case with a mask per structure, as TotalSegmentator writes; give one "
            "file of labels per case (TotalSegmentator's multilabel output), named by it"
        )
    if not arms or len(truths) > 1:
        raise PredictionError(
            f"{path} holds nothing that can be audited, or two folders of truth; give tables, a summary.json, or a "
            "folder of masks for each arm"
        )
    if arm is not None and len(arms) > 1:
        raise PredictionError(f"{path} holds {len(arms)} folders, each an arm; name only the folder of {arm!r}")
    inner = replace(options, truth=truths[0]) if truths and options.truth is None else options
    opened = [_opened(arm or child.name, child, inner, True)[0] for child in arms]
    return [source for group in opened for source in group], truths[0] if truths and options.truth is None else None


def _named(inputs: list[Input], truth: Path | None) -> list[Input]:
    """Give every input an arm; single masks of one folder become one input, unless they share one truth."""
    singles = [source for source in inputs if source.kind is Kind.MASK and source.files == (source.path,)]
    if truth is None or truth.is_dir():
        inputs = [source for source in inputs if source not in singles]
        for arm, folder in dict.fromkeys((source.arm, source.path.parent) for source in singles):
            own = tuple(source.path for source in singles if (source.arm, source.path.parent) == (arm, folder))
            inputs.append(Input(arm, folder, Kind.MASK, own, arm is not None))
    bare = [source.path for source in inputs if source.arm is None]
    names = dict(zip(bare, arm_names(bare) if bare else [], strict=True))
    return [
        replace(source, arm=_run_name(source.path) or names[source.path]) if source.arm is None else source
        for source in inputs
    ]


def _run_name(path: Path) -> str | None:
    """Return the run in the name of a MedMNIST result file, None where it is only a number."""
    name = medmnist.file_name(path)
    return name.run if name is not None and name.run and not _only_numbered(path) else None


def _only_numbered(path: Path) -> bool:
    name = medmnist.file_name(path)
    return name is not None and name.run.replace(".", "").isdigit()


def _part(source: Input, options: AuditOptions, truth: Mapping[str, str] | None, *, several: bool) -> Part:
    """Read one file; several: whether the inputs are those of several arms."""
    path, arm = source.path, str(source.arm)
    if source.kind is Kind.NNUNET:
        return Part(arm, nnunet.read_summary(path, options.regions), fold_in(path))
    if source.kind is Kind.MONAI_METRICS:
        return Part(arm, monai.read_metrics(path, options.regions, options.metric))
    if source.kind is Kind.MONAI_VALUES:
        return Part(arm, monai.read_values(path, options, truth is not None))
    if source.kind is Kind.MEDMNIST:
        return Part(arm, medmnist.read_scores(path, options))
    options = replace(options_of_arm(options, arm), arm_stated=source.named and several)
    table = table_file(path, next(iter(options.columns.get("sheet", ())), None))
    return Part(arm, reading_of(table, str(path), source.kind.value, options, truth), fold_in(path))


def _detected(parts: list[Part], options: AuditOptions) -> tuple[list[Part], list[str]]:
    """Match candidates of detectors with the true findings; other parts stay as they are."""
    detectors = [part for part in parts if part.reading.kind == detections.KIND]
    if not detectors:
        return parts, []
    if len(detectors) < len(parts):
        other = next(part for part in parts if part not in detectors)
        raise PredictionError(f"{other.reading.path} holds no candidates, unlike the other files; audit it separately")
    split = [
        Part(arm or part.arm, reading, part.fold)
        for part in detectors
        for arm, reading in detections.by_arm(part.reading)
    ]
    findings = detections.true_findings(options.truth)
    readings, notes = detections.matched([part.reading for part in split], findings, options.patients)
    return [replace(part, reading=reading) for part, reading in zip(split, readings, strict=True)], notes


def _masks(
    inputs: list[Input],
    options: AuditOptions,
    watch: Watch,
    paired: dict[tuple[str, str], tuple[Path, Path]],
    true_masks: dict[Path, str],
) -> tuple[list[Part], list[str], list[str]]:
    """Measure the inputs that are masks, all together so that every arm has the same structures.

    paired: is filled with the masks of every arm and case; true_masks: with the SHA-256 of every true mask.
    """
    owned_pairs: list[tuple[int, MaskPair]] = []
    notes: list[str] = []
    lost: set[str] | None = None
    for index, source in enumerate(inputs):
        pairs, more, missing = _pairs(source, options)
        owned_pairs += [(index, pair) for pair in pairs]
        for pair in pairs:
            paired.setdefault((pair.arm or str(source.arm), pair.case), (pair.truth, pair.prediction))
        notes += more
        lost = set(missing) if lost is None else lost & set(missing)
    # In the order of the truths, so that each true mask is read once for all arms and only one is in memory.
    owned_pairs.sort(key=lambda entry: (str(entry[1].truth), entry[0]))
    measured = masks.measure(
        [pair for _, pair in owned_pairs], options.regions, watch, options.own, options.ignore,
        [pair.arm or str(inputs[index].arm) for index, pair in owned_pairs], options.below_chance,
    )  # fmt: skip
    true_masks |= measured.truths
    owner = np.array([index for index, _ in owned_pairs])
    arms = np.array([pair.arm for _, pair in owned_pairs])
    parts = []
    for index, source in enumerate(inputs):
        rows = np.flatnonzero(owner == index)
        columns = {name: values[rows] for name, values in measured.columns.items()}
        if arms[rows].all():
            columns["arm"] = arms[rows]
        digest = hashlib.sha256("\n".join(sorted(measured.digests[row] for row in rows)).encode()).hexdigest()
        reading = Reading(str(source.path), masks.KIND, columns, (), digest)
        parts.append(Part(str(source.arm), reading, fold_in(source.path)))
    return parts, [*notes, *measured.notes], sorted(lost or ())


def _pairs(source: Input, options: AuditOptions) -> tuple[list[MaskPair], list[str], list[str]]:
    """Return the pairs of one input, notes, and true masks without a prediction."""
    if options.truth is not None:
        pairs, missing = pairs_with(source.files, options.truth)
        return pairs, [], missing
    pairs, notes = pairs_among(source.files, one_arm=source.named)
    return pairs, notes, []


def _source(part: Part) -> Source:
    columns = part.reading.columns
    arms = dict.fromkeys(columns["arm"].astype(str).tolist()) if "arm" in columns else {part.arm: None}
    cases = len(set(columns["case"].tolist())) if "case" in columns else 0
    return Source(
        part.reading.path, part.reading.kind, tuple(arms), cases, part.reading.sha256, dict(part.reading.used)
    )
