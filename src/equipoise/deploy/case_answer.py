"""One case answered: its files read, its answer written, and its row; the one way of `predict` and of the server."""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from equipoise.atomic_write import json_bytes, write_json
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.deploy.answer_files import write_answer
from equipoise.deploy.inputs import CaseInput, SourceImage, read_input
from equipoise.deploy.outputs import label_values, sha256_of
from equipoise.deploy.predictor import RESEARCH_ONLY, Answer, Bundle, memory_refusal

ANSWER = "answer.json"
RESUMED_BY = ("key", "parts", "seal")
"""Fields of answer.json by which `predict` knows an answer again; they mean nothing elsewhere."""
ANSWERED, FAILED = "answered", "failed"


@dataclass(frozen=True)
class Settings:
    """How inputs are answered; answers under other settings are not resumed."""

    formats: tuple[str, ...]
    strict: bool
    most_gb: float | None
    runtime: str


def answer_case(
    case: CaseInput, bundle: Bundle, folder: Path, settings: Settings, key: str, limits: Limits = DEFAULT
) -> dict[str, Any]:
    """Answer a case, write its files to a folder and return its row.

    key: kept in answer.json, by which `predict` knows that an answer is still that of these files. limits: of its
    files. Raises EquipoiseError for a case that cannot be answered, OSError where nothing can be written.
    """
    source = read_input(case, bundle.contract, limits)
    bundle.refuse_unplaced(source)
    refusal = memory_refusal(bundle.expected_bytes(source.image), settings.most_gb)
    if refusal is not None:
        raise refusal
    source = replace(source, image=bundle.on_own_grid(source.image))
    answer = bundle.answer(source.image, strict=settings.strict, remarks=(*source.remarks, *bundle.about_files))
    written = write_answer(folder, case, bundle, source, answer, settings.formats)
    row = _row(case, bundle, source, answer) | written.columns
    row["warnings"] += written.warnings
    details = {
        "key": key,
        "parts": [dict(files) for files in source.parts],
        "note": RESEARCH_ONLY,
        "row": row,
        "labels": label_values(bundle.contract) if answer.masks and not bundle.contract.overlapping else {},
        "candidates": _candidates(answer, source),
        "sources": dict(source.sha256),
        "stored_axes": source.scan.stored_axes,
        "slices": source.scan.header.get("slices"),
        "slices_from_to_mm": source.scan.header.get("slices_from_to_mm"),
        "files": {name: sha256_of(folder / name) for name in written.names},
    }
    details["seal"] = seal_of(details)
    write_json(folder / ANSWER, details, public=True)  # last: it marks the case as answered
    return row


def seal_of(details: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all fields of answer.json but its seal, by which a row that was edited is noticed.

    No proof against whoever makes the seal anew: everything that is needed for it lies in the file and the code.
    """
    return hashlib.sha256(json_bytes({name: value for name, value in details.items() if name != "seal"})).hexdigest()


def _row(case: CaseInput, bundle: Bundle, source: SourceImage, answer: Answer) -> dict[str, Any]:
    unit = bundle.contract.size_unit
    row: dict[str, Any] = {"case": case.id, "status": ANSWERED, "reason": ""}
    if answer.probabilities:
        row |= {"class": answer.label} | {f"p_{name}": share for name, share in answer.probabilities.items()}
    row |= {f"{name}_{unit}": size for name, size in answer.sizes.items()}
    if answer.masks:
        row["empty_regions"] = list(answer.empty)
    if answer.candidates is not None:
        scores = answer.candidates.score
        row |= {"candidates": len(scores), "highest_score": float(scores.max()) if len(scores) else None}
    joined = hashlib.sha256("|".join(sorted(source.sha256.values())).encode()).hexdigest()
    one = next(iter(source.sha256.values())) if len(source.sha256) == 1 else joined
    return row | {
        "warnings": list(answer.warnings),
        "sides": list(source.image.array.shape[1:]),
        "spacing_mm": [round(value, 6) for value in answer.spacing_mm] if answer.spacing_stated else [],
        "input_sha256": one,
        "bundle": bundle.sha256,
    }


def _candidates(answer: Answer, source: SourceImage) -> list[dict[str, Any]]:
    """Return a detector's candidates: score, place in mm from the first voxel, and in the world (RAS+) if known."""
    if answer.candidates is None:
        return []
    affine = source.image.affine
    known = affine is not None and len(answer.spacing_mm) == 3
    places = answer.places_ras_mm(affine).round(3).tolist() if affine is not None and known else itertools.repeat(None)
    return [
        {"score": float(score), "centre_mm": centre.round(3).tolist(), "world_ras_mm": place}
        for centre, score, place in zip(answer.candidates.centre_mm, answer.candidates.score, places, strict=False)
    ]
