"""Cache of prepared volumes on disk, keyed by the hash of all inputs: pixels, mask and pipeline.

Arms, seeds, folds and trials share the entries. Only expensive results are cached, of large images that are resampled
or whose labels are smoothed; everything else is faster to compute again than to read.
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
    """Return `pipeline.apply(image, classes)`, from the cache where that is faster, with the same bits."""
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
    # The outcome of `save` is ignored: without a writable cache the next run only takes longer. Not compressed,
    # because noisy float32 volumes hardly shrink and an entry is kept to be read back fast.
    save(key, entry, compress=False)
    return prepared


def prepared_key(image: Image, pipeline: Pipeline, classes: int | None) -> str:
    """Return the SHA-256 (hex) of everything that the result depends on."""
    # Content, never paths or times of files: a copied or touched data set hits, an edited mask misses.
    settings = [VERSION, pipeline.to_json(), classes, image.spacing_mm]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for array in (image.array, image.mask, image.affine):
        digest.update(_content(array))
    return digest.hexdigest()


def _content(array: NDArray[Any] | None) -> bytes:
    """Return a digest of an array's type, shape and values."""
    if array is None:
        return b"none"
    # Type and shape belong to the digest: the same bytes of another shape are another image.
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).digest()
