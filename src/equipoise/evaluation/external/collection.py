"""Files and folders of predictions made elsewhere → one prediction table, with what was read and what was assumed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external import masks, medmnist, monai, nnunet
from equipoise.evaluation.external.arm_names import arm_names, fold_in
from equipoise.evaluation.external.audit_options import Stated, read_column
from equipoise.evaluation.external.formats import Kind, kind_of
from equipoise.evaluation.external.join import Part, join
from equipoise.evaluation.external.mask_file import is_mask
from equipoise.evaluation.external.mask_pairs import MaskPair, has_pairs, is_truth_folder, pairs_among, pairs_with
from equipoise.evaluation.external.reading import Reading
from equipoise.evaluation.external.tables import columns_of, table_columns
from equipoise.evaluation.predictions import Predictions
from equipoise.progress import Watch, silent


@dataclass(frozen=True)
class Input:
    """A file or folder as the caller gave it, or as a folder was opened into.

    arm: as the caller or the folder says; None where nobody does. files: the masks of a folder.
    """

    arm: str | None
    path: Path
    kind: Kind
    files: tuple[Path, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class Source:
    """What was read from one path: its kind in words, the arms and the number of cases in it, SHA-256."""

    path: str
    kind: str
    arms: tuple[str, ...]
    cases: int
    sha256: str


@dataclass(frozen=True)
class Collected:
    """The table of all sources; `unpredicted` are cases of the truth that no source holds.

    attributes: subgroup → case → value. notes: sentences about what was assumed.
    """

    predictions: Predictions
    sources: tuple[Source, ...]
    notes: tuple[str, ...]
    unpredicted: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def collect(given: Sequence[tuple[str | None, Path]], stated: Stated, watch: Watch = silent) -> Collected:
    """Read every path by its kind; PredictionError or RefusedFile, one sentence, for what cannot be read."""
    if not given:
        raise PredictionError("no prediction file was given; name at least one")
    inputs: list[Input] = []
    several = sum(path.is_dir() for _, path in given) > 1
    for arm, path in given:
        opened, inner = _opened(arm, path, stated, several)
        inputs += opened
        stated = stated if inner is None else replace(stated, truth=inner)
    truth = _truth(stated)
    named = _named(inputs, stated.truth)
    masked = [one for one in named if one.kind is Kind.MASK]
    mask_parts, notes, lost = _masks(masked, stated, watch) if masked else ([], [], [])
    parts = [_part(one, stated, truth is not None) for one in named if one.kind is not Kind.MASK]
    parts = [*parts, *mask_parts]
    notes += [note for part in parts for note in part.reading.notes]
    return _collected(parts, stated, truth, notes, lost)


def collect_table(table: Any, stated: Stated) -> Collected:
    """A table in memory: a pyarrow.Table, a dictionary of columns or a data frame."""
    said = "the table"
    part = Part("", Reading(said, "table in memory", columns_of(table, said)))
    return _collected([part], stated, _truth(stated), [], [])


def _collected(
    parts: list[Part], stated: Stated, truth: dict[str, str] | None, notes: list[str], lost: list[str]
) -> Collected:
    joined = join(parts, stated, truth)
    lost += sorted(set(truth or ()) - set(joined.predictions.case.tolist()))
    said = tuple(dict.fromkeys([*notes, *joined.notes]))
    return Collected(joined.predictions, tuple(_source(part) for part in parts), said, tuple(lost), joined.attributes)


def _truth(stated: Stated) -> dict[str, str] | None:
    """Case → class of a truth given as CSV; None for a truth of another kind."""
    if stated.truth is None or stated.truth.suffix.lower() != ".csv":
        return None
    return read_column(stated.truth, "case", ("truth", "label"), "truth")


def _opened(arm: str | None, path: Path, stated: Stated, is_arm: bool) -> tuple[list[Input], Path | None]:
    """What a path holds, folders opened, and the folder of true masks found inside.

    is_arm: a folder of tables is one arm, its files the training runs; else each of its files is an arm.
    """
    kind = kind_of(path)
    if kind is not Kind.FOLDER:
        return [Input(arm, path, kind, (path,), arm is not None)], None
    files = sorted(child for child in path.iterdir() if child.is_file() and child != stated.truth)
    mask_files = tuple(file for file in files if is_mask(file))
    if mask_files and (stated.truth is not None or has_pairs(mask_files)):
        return [Input(arm, path, Kind.MASK, mask_files, arm is not None)], None
    own = arm or arm_names([path])[0]
    summaries = [path / "summary.json"] if (path / "summary.json").is_file() else _folds(path)
    if summaries:
        return [Input(own, one, kind_of(one)) for one in summaries], None
    tables = [file for file in files if file.suffix.lower() in (".csv", ".parquet")]
    raw = [file for file in tables if file.stem.endswith("_raw")]
    if raw:
        return [Input(own, file, kind_of(file)) for file in raw], None
    if tables:
        whole = is_arm or (len(tables) > 1 and all(_only_numbered(file) for file in tables))
        return [Input(own if whole else arm, file, kind_of(file)) for file in tables], None
    return _subfolders(arm, path, stated, bool(mask_files))


def _folds(path: Path) -> list[Path]:
    return sorted(path.glob("fold_*/validation/summary.json"))


def _subfolders(arm: str | None, path: Path, stated: Stated, has_masks: bool) -> tuple[list[Input], Path | None]:
    folders = [child for child in sorted(path.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    truths = [child for child in folders if is_truth_folder(child)]
    arms = [child for child in folders if child not in truths and child != stated.truth]
    if has_masks:
        raise PredictionError(f"{path} holds masks without a truth; name the folder of true masks (truth)")
    if not arms or len(truths) > 1:
        raise PredictionError(
            f"{path} holds nothing that can be audited, or two folders of truth; give tables, a summary.json, or a "
            "folder of masks for each arm"
        )
    if arm is not None and len(arms) > 1:
        raise PredictionError(f"{path} holds {len(arms)} folders, each an arm; name the folder of {arm!r} alone")
    inner = replace(stated, truth=truths[0]) if truths and stated.truth is None else stated
    found = [_opened(arm or child.name, child, inner, True)[0] for child in arms]
    return [one for group in found for one in group], truths[0] if truths and stated.truth is None else None


def _named(inputs: list[Input], truth: Path | None) -> list[Input]:
    """Every input with an arm; masks of one folder given one by one are one input, unless they share one truth."""
    singles = [one for one in inputs if one.kind is Kind.MASK and one.files == (one.path,)]
    if truth is None or truth.is_dir():
        inputs = [one for one in inputs if one not in singles]
        for arm, folder in dict.fromkeys((one.arm, one.path.parent) for one in singles):
            own = tuple(one.path for one in singles if (one.arm, one.path.parent) == (arm, folder))
            inputs.append(Input(arm, folder, Kind.MASK, own, arm is not None))
    bare = [one.path for one in inputs if one.arm is None]
    names = dict(zip(bare, arm_names(bare) if bare else [], strict=True))
    return [replace(one, arm=_run_name(one.path) or names[one.path]) if one.arm is None else one for one in inputs]


def _run_name(path: Path) -> str | None:
    """The name that a MedMNIST result file gives its run, where it is more than a number."""
    name = medmnist.file_name(path)
    return name.run if name is not None and name.run and not _only_numbered(path) else None


def _only_numbered(path: Path) -> bool:
    name = medmnist.file_name(path)
    return name is not None and name.run.replace(".", "").isdigit()


def _part(one: Input, stated: Stated, has_truth: bool) -> Part:
    path, arm = one.path, str(one.arm)
    if one.kind is Kind.NNUNET:
        return Part(arm, nnunet.read_summary(path, stated.regions), fold_in(path))
    if one.kind is Kind.MONAI_METRICS:
        return Part(arm, monai.read_metrics(path, stated.regions, stated.metric))
    if one.kind is Kind.MONAI_VALUES:
        return Part(arm, monai.read_values(path, stated, has_truth))
    if one.kind is Kind.MEDMNIST:
        return Part(arm, medmnist.read_scores(path, stated))
    columns, digest = table_columns(path)
    return Part(arm, Reading(str(path), one.kind.value, columns, (), digest))


def _masks(inputs: list[Input], stated: Stated, watch: Watch) -> tuple[list[Part], list[str], list[str]]:
    """The inputs that are masks, measured together so that every arm has the same structures."""
    found: list[tuple[int, MaskPair]] = []
    notes: list[str] = []
    lost: set[str] | None = None
    for index, one in enumerate(inputs):
        pairs, more, missing = _pairs(one, stated)
        found += [(index, pair) for pair in pairs]
        notes += more
        lost = set(missing) if lost is None else lost & set(missing)
    found.sort(key=lambda entry: (str(entry[1].truth), entry[0]))
    measured = masks.measure([pair for _, pair in found], stated.regions, watch)
    owner = np.array([index for index, _ in found])
    arms = np.array([pair.arm for _, pair in found])
    parts = []
    for index, one in enumerate(inputs):
        rows = np.flatnonzero(owner == index)
        columns = {name: values[rows] for name, values in measured.columns.items()}
        if arms[rows].all():
            columns["arm"] = arms[rows]
        digest = hashlib.sha256("\n".join(sorted(measured.digests[row] for row in rows)).encode()).hexdigest()
        parts.append(Part(str(one.arm), Reading(str(one.path), masks.KIND, columns, (), digest)))
    return parts, [*notes, *measured.notes], sorted(lost or ())


def _pairs(one: Input, stated: Stated) -> tuple[list[MaskPair], list[str], list[str]]:
    """Pairs of one input, notes, and true masks without a prediction."""
    if stated.truth is not None:
        pairs, missing = pairs_with(one.files, stated.truth)
        return pairs, [], missing
    pairs, notes = pairs_among(one.files, one_arm=one.named)
    return pairs, notes, []


def _source(part: Part) -> Source:
    columns = part.reading.columns
    arms = dict.fromkeys(columns["arm"].astype(str).tolist()) if "arm" in columns else {part.arm: None}
    cases = len(set(columns["case"].tolist())) if "case" in columns else 0
    return Source(part.reading.path, part.reading.kind, tuple(arms), cases, part.reading.sha256)
