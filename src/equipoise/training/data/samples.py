"""Store prepared cases as arrays on disk, so that many jobs share one copy through memory maps.

The arrays are written first, then the index with the SHA-256 of each array and of itself: a folder whose index or
arrays are damaged counts as absent and is made anew.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import draft_beside, left_beside, sync, write_json
from equipoise.evaluation.detection import Findings
from equipoise.preprocessing.pipeline import Pipeline, Record
from equipoise.runfolder.paths import SAMPLE_INDEX

Indices = NDArray[np.int64]


class Ragged:
    """Arrays of one dtype and number of axes but different shapes, stored one after another in one flat array."""

    def __init__(self, flat: NDArray[Any], shapes: Sequence[Sequence[int]]) -> None:
        self.flat = flat
        self.shapes = tuple(tuple(map(int, shape)) for shape in shapes)
        self._starts = np.concatenate([[0], np.cumsum([np.prod(shape, dtype=np.int64) for shape in self.shapes])])

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self.flat[self._starts[index] : self._starts[index + 1]].reshape(self.shapes[index])

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Any]]) -> Self:
        """Copy the arrays into one flat array."""
        return cls(np.concatenate([array.ravel() for array in arrays]), [array.shape for array in arrays])


Arrays = NDArray[Any] | Ragged


def shapes_of(arrays: Arrays) -> list[tuple[int, ...]]:
    """Return the shape of each case's array."""
    return list(arrays.shapes) if isinstance(arrays, Ragged) else [arrays.shape[1:]] * len(arrays)


@dataclass(frozen=True)
class Grid:
    """The mapping of a case from its own grid to the prepared one.

    record: the pipeline's steps (see preprocessing.Record.to_json); spacing_mm: of the case's own grid.
    """

    record: str
    spacing_mm: tuple[float, ...]

    def back(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Map a mask from the prepared grid to the case's own; regions that preparation cut away are False."""
        undone = Pipeline().undo(mask.astype(np.uint8), Record.from_json(self.record))
        return undone.astype(bool)

    def places_back(self, centre_mm: NDArray[np.float64], prepared: tuple[int, ...]) -> NDArray[np.float64]:
        """Map places (n, axes) from mm on the prepared grid, of shape `prepared`, to mm on the case's own grid."""
        record = Record.from_json(self.record)
        voxels = record.places_back(centre_mm / np.array(record.spacing_mm), prepared)
        return np.asarray(voxels * np.array(self.spacing_mm))

    def places_forward(self, centre_mm: NDArray[np.float64], prepared: tuple[int, ...]) -> NDArray[np.float64]:
        """Map places (n, axes) from mm on the case's own grid to voxels of the prepared one, of shape `prepared`."""
        return Record.from_json(self.record).places_forward(centre_mm / np.array(self.spacing_mm), prepared)

    @property
    def prepared_spacing_mm(self) -> tuple[float, ...]:
        """Spacing of the prepared grid in mm."""
        return Record.from_json(self.record).spacing_mm


@dataclass(frozen=True)
class PreparedCase:
    """One case ready for a model.

    arrays: `images` (channel, *spatial), `targets`, and with masks `truths`; see `Samples`. All cases of a part have
    the same names, each with the same number of axes.
    """

    case: str
    patient: str
    arrays: dict[str, NDArray[Any]]
    grid: Grid | None = None
    findings: Findings | None = None


@dataclass(frozen=True)
class Samples:
    """Cases of one part, ready for a model.

    images: float32 (n, channel, *spatial); Ragged where cases differ in shape.
    targets: class indices (n,), masks (n, *spatial), or soft targets (n, classes, *spatial) that sum to one; numbers of
        any kind (n,) in a task of the user's own.
    grids, truths: for masks, each case's mapping to its own grid and its mask there; empty and None otherwise.
    findings: in detection, the findings of each case on its own grid; the masks are then left out.
    """

    images: Arrays
    targets: Arrays
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    grids: tuple[Grid, ...] = ()
    truths: Arrays | None = None
    findings: tuple[Findings, ...] = ()

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def uniform(self) -> bool:
        """Whether all cases have one shape, so that whole cases make a batch."""
        return not isinstance(self.images, Ragged)

    def head(self, n: int) -> "Samples":
        """Return the first n cases, all where there are fewer."""

        def first(arrays: Arrays) -> Arrays:
            """Return the arrays of the first n cases."""
            return (
                Ragged.of([arrays[i] for i in range(min(n, len(arrays)))]) if isinstance(arrays, Ragged) else arrays[:n]
            )

        truths = None if self.truths is None else first(self.truths)
        return Samples(
            first(self.images),
            first(self.targets),
            self.cases[:n],
            self.patients[:n],
            self.grids[:n],
            truths,
            self.findings[:n],
        )

    def chosen(self, indices: Sequence[int]) -> "Samples":
        """Copy the cases at `indices` of a classification cohort."""
        at = np.array(indices, dtype=np.int64)
        cases, patients = (tuple(every[index] for index in indices) for every in (self.cases, self.patients))
        return Samples(stack_cases(self.images, at), stack_cases(self.targets, at), cases, patients)

    @classmethod
    def of(cls, cases: Iterable["PreparedCase"]) -> Self:
        """Collect the cases in memory; arrays of one shape are stacked."""
        every = list(cases)
        arrays = {name: _joined([case.arrays[name] for case in every]) for name in every[0].arrays}
        return cls(
            arrays["images"],
            arrays["targets"],
            tuple(case.case for case in every),
            tuple(case.patient for case in every),
            tuple(case.grid for case in every if case.grid is not None),
            arrays.get("truths"),
            tuple(case.findings for case in every if case.findings is not None),
        )

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder; the index comes last and marks them complete."""
        with SampleWriter(folder) as writer:
            for index, (case, patient) in enumerate(zip(self.cases, self.patients, strict=True)):
                arrays = {"images": self.images[index], "targets": np.asarray(self.targets[index])}
                if self.truths is not None:
                    arrays["truths"] = self.truths[index]
                grid = self.grids[index] if self.grids else None
                writer.add(PreparedCase(case, patient, arrays, grid, self.findings[index] if self.findings else None))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the arrays of a folder into memory, read-only; `staged` checks whether they are undamaged."""
        index = json.loads((folder / SAMPLE_INDEX).read_text(encoding="utf-8"))
        arrays = {name: _mapped(_array_file(folder, name), one) for name, one in index["arrays"].items()}
        grids = tuple(Grid(grid["record"], tuple(grid["spacing_mm"])) for grid in index["grids"])
        return cls(
            arrays["images"],
            arrays["targets"],
            tuple(index["cases"]),
            tuple(index["patients"]),
            grids,
            arrays.get("truths"),
            tuple(
                _findings(stored, len(grid.spacing_mm)) for stored, grid in zip(index["findings"], grids, strict=False)
            ),
        )


def _joined(arrays: Sequence[NDArray[Any]]) -> Arrays:
    # Stacked where possible, so that a batch is one indexing operation.
    return np.stack(arrays) if len({array.shape for array in arrays}) == 1 else Ragged.of(arrays)


def _findings(stored: dict[str, Any], axes: int) -> Findings:
    """Restore the findings of one case as SampleWriter stored them."""
    centre = np.array(stored["centre_mm"], np.float64).reshape(-1, axes)
    return Findings(centre, np.array(stored["diameter_mm"], np.float64), np.array(stored["relevant"], bool))


def staged(folder: Path, cases: Sequence[str] | None = None) -> bool:
    """Check whether a folder holds samples exactly as they were written (of `cases`, if given).

    Reads every byte. False for an index that is missing, empty, truncated or of version 0.1, which had no hashes.
    """
    try:
        index = json.loads((folder / SAMPLE_INDEX).read_text(encoding="utf-8"))
        if index.pop("sha256") != _digest(index) or (cases is not None and index["cases"] != list(cases)):
            return False
        return all(_sha256(_array_file(folder, name)) == one["sha256"] for name, one in index["arrays"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _array_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


def _digest(index: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _mapped(file: Path, stored: dict[str, Any]) -> Arrays:
    dtype, shapes = stored["dtype"], stored["shapes"]
    # An empty file cannot be mapped.
    flat = np.memmap(file, dtype=dtype, mode="r") if file.stat().st_size else np.empty(0, dtype)
    if len({tuple(shape) for shape in shapes}) == 1:
        return flat.reshape(len(shapes), *shapes[0])
    return Ragged(flat, shapes)


class SampleWriter:
    """Write cases one by one inside a `with` block, so that a part larger than memory can be staged.

    Arrays get their final names, and the index is written, only when the block ends without an error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Any] = {}
        self._drafts: dict[str, Path] = {}
        self._digests: dict[str, Any] = {}
        self._arrays: dict[str, dict[str, Any]] = {}
        self._cases: list[str] = []
        self._patients: list[str] = []
        self._grids: list[dict[str, Any]] = []
        self._findings: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / SAMPLE_INDEX).unlink(missing_ok=True)  # the old index must not describe the new arrays
        return self

    def add(self, case: PreparedCase) -> None:
        """Append one case."""
        for name, array in case.arrays.items():
            if name not in self._files:
                file = _array_file(self.folder, name)
                for left in left_beside(file):
                    left.unlink()
                self._drafts[name] = draft_beside(file)
                self._files[name] = self._drafts[name].open("xb")
                self._digests[name] = hashlib.sha256()
                self._arrays[name] = {"dtype": array.dtype.str, "shapes": []}
            content = np.ascontiguousarray(array).tobytes()
            self._files[name].write(content)
            self._digests[name].update(content)
            self._arrays[name]["shapes"].append(array.shape)
        self._cases.append(case.case)
        self._patients.append(case.patient)
        if case.grid is not None:
            self._grids.append(vars(case.grid))
        if case.findings is not None:
            self._findings.append({name: values.tolist() for name, values in vars(case.findings).items()})

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for name, file in self._files.items():
                with contextlib.suppress(OSError):  # a full disk fails again here; the first error is the cause
                    file.close()
                self._drafts[name].unlink(missing_ok=True)

    def _finish(self) -> None:
        """Flush the arrays to disk, give them their names, then write the index that marks them complete."""
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._drafts[name].replace(_array_file(self.folder, name))
            self._arrays[name]["sha256"] = self._digests[name].hexdigest()
        sync(self.folder)
        index = {"cases": self._cases, "patients": self._patients, "arrays": self._arrays}
        # Through JSON once, so that the digest is computed from exactly what a reader will parse.
        index = json.loads(json.dumps(index | {"grids": self._grids, "findings": self._findings}))
        write_json(self.folder / SAMPLE_INDEX, index | {"sha256": _digest(index)})


def stack_cases(arrays: Arrays, indices: Iterable[int]) -> NDArray[Any]:
    """Stack cases of one shape into one array (k, …)."""
    chosen = np.fromiter(indices, dtype=np.int64)
    if isinstance(arrays, Ragged):
        return np.stack([arrays[index] for index in chosen])
    return np.ascontiguousarray(arrays[chosen])
