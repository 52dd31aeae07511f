"""Prepare many cases of a cohort as one array of images and one of targets.

Cases of one grid pass the pipeline as a batch; others pass it one by one, large ones through the cache.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Cohort, Image
from equipoise.errors import CohortError, ProtocolError
from equipoise.preprocessing.cache import apply_cached
from equipoise.preprocessing.pipeline import Pipeline

CHUNK_VALUES = 2**22  # values read and prepared together: bounds the memory beside the result

Arrays = tuple[NDArray[np.float32], NDArray[Any] | None]


def prepare(cohort: Cohort, indices: Iterable[int], pipeline: Pipeline) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return images float32 (n, channel, *spatial) and targets, in the order of `indices`.

    targets: masks (n, *spatial), or soft targets float32 (n, classes, *spatial) where labels are smoothed; int64 class
    indices (n,) where the task has no masks.
    Errors: as in `prepare_in_chunks`.
    """
    chosen = np.fromiter(indices, dtype=np.int64)
    images: NDArray[np.float32] = np.empty(0, np.float32)
    targets: NDArray[Any] | None = None
    done = 0
    # Allocated from the first batch's shape and filled in place: a list of batches joined at the end would hold all
    # images twice.
    for pixels, masks in prepare_in_chunks(cohort, chosen, pipeline):
        if not done:
            images = np.empty((len(chosen), *pixels.shape[1:]), np.float32)
            targets = None if masks is None else np.empty((len(chosen), *masks.shape[1:]), masks.dtype)
        images[done : done + len(pixels)] = pixels
        if targets is not None:
            targets[done : done + len(pixels)] = masks
        done += len(pixels)
    return images, cohort.labels[chosen] if targets is None else targets


def prepare_in_chunks(cohort: Cohort, chosen: NDArray[np.int64], pipeline: Pipeline) -> Iterator[Arrays]:
    """Images float32 (k, channel, *spatial) with their masks (None in a task without), some cases at a time, in order.

    Errors: CohortError for a case without its mask or of another shape than the first; ProtocolError for label
    smoothing where there are no masks.
    """
    if not len(chosen):
        raise CohortError(f"no case of cohort {cohort.name} is in this part; check the split")
    task = cohort.task_record
    if pipeline.smoothing is not None and not task.has_masks:
        raise ProtocolError(
            f"preprocessing.smooth_labels works on masks, and this is a {task.name} cohort; remove the key"
        )
    done, shape = 0, None
    for pixels, masks in _batches(cohort, chosen, pipeline):
        shape = pixels.shape[1:] if shape is None else shape
        if pixels.shape[1:] != shape:
            raise CohortError(
                f"after preprocessing, case {cohort.cases[chosen[done]].id} of cohort {cohort.name} has shape "
                f"{pixels.shape[1:]} and case {cohort.cases[chosen[0]].id} {shape}; set preprocessing.size"
            )
        yield pixels, masks
        done += len(pixels)


def _batches(cohort: Cohort, chosen: NDArray[np.int64], pipeline: Pipeline) -> Iterator[Arrays]:
    """Yield prepared cases in order, (n, …) at a time: many where they share a grid, else one by one."""
    done, classes = 0, len(cohort.classes)
    while done < len(chosen):
        images = [_read(cohort, chosen[done])]
        batch_size = max(1, CHUNK_VALUES // images[0].array.size)
        images += [_read(cohort, index) for index in chosen[done + 1 : done + batch_size]]
        if len(images) > 1 and pipeline.serves_together(images):
            prepared = pipeline.apply_together(images, classes)
            yield prepared.image, prepared.target
        else:
            for image in images:
                prepared = apply_cached(image, pipeline, classes)
                yield prepared.image[None], None if prepared.target is None else prepared.target[None]
        done += len(images)


def _read(cohort: Cohort, index: int) -> Image:
    """Read one case's image; its mask is required where the task has masks, and left out where it has none."""
    case = cohort.cases[index]
    image = case.read()
    if not cohort.task_record.has_masks:
        return image if image.mask is None else Image(image.array, image.spacing_mm, None, image.affine)
    if image.mask is None:
        raise CohortError(f"case {case.id} of cohort {cohort.name} has no mask; exclude it, or give its mask")
    return image
