"""Prepared volumes kept on disk by the hash of what goes in: their pixels, their mask and the pipeline.

Arms, seeds, folds and trials share the entries. Only costly work is kept: large images that are resampled or whose
labels are smoothed; anything else is faster to do again than to read.
"""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.store import load, save
from equipoise.preprocessing.pipeline import Pipeline, Prepared, Record

VERSION = 2  # raise when the pipeline's results change, so that old entries are not used
WORTH_KEEPING_VALUES = 2**18


def apply_cached(image: Image, pipeline: Pipeline, classes: int | None = None) -> Prepared:
    """`pipeline.apply(image, classes)`, from the cache where that is faster; the cache never changes a bit of it."""
    costly = pipeline.resample_mm is not None or pipeline.smoothing is not None
    if not costly or image.array.size < WORTH_KEEPING_VALUES:
        return pipeline.apply(image, classes)
    key = prepared_key(image, pipeline, classes)
    if (entry := load(key)) is not None:
        return Prepared(entry["image"], entry.get("target"), Record.from_json(str(entry["record"])))
    prepared = pipeline.apply(image, classes)
    entry = {"image": prepared.image, "record": np.array(prepared.record.to_json())}
    if prepared.target is not None:
        entry["target"] = prepared.target
    save(key, entry, compress=False)  # a cache that cannot be written costs time, not truth
    return prepared


def prepared_key(image: Image, pipeline: Pipeline, classes: int | None) -> str:
    """SHA-256 (hex) over everything the result depends on."""
    rest = [VERSION, pipeline.to_json(), classes, image.spacing_mm]
    digest = hashlib.sha256(json.dumps(rest).encode())
    for array in (image.array, image.mask, image.affine):
        digest.update(_content(array))
    return digest.hexdigest()


def _content(array: NDArray[Any] | None) -> bytes:
    """A digest of an array's type, shape and values."""
    if array is None:
        return b"none"
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).digest()
