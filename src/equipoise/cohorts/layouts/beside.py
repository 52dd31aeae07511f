"""Masks among images: x.png and x_mask.png, images/x.png and masks/x.png, volume-0.nii and segmentation-0.nii."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from equipoise.cohorts.layouts.image_names import says_mask, stem_and_ending, without_roles


# BUSI keeps benign (1)_mask.png beside benign (1).png, in its folders of classes. Read as images of the class, such
# masks doubled the cohort (48 cases of 24 images), and every check passed.
def masks_beside(files: Sequence[Path], root: Path) -> list[Path]:
    """Return the masks among files below a folder that have their image there too.

    A mask is named so, itself or its folder, and without the words for masks and images its path is that of an image;
    `x_mask_1` is a mask of x as well.
    """
    images: defaultdict[tuple[str, ...], list[Path]] = defaultdict(list)
    masks = []
    for file in files:
        path = stem_and_ending(file.relative_to(root).as_posix())[0]
        if says_mask(path):
            masks.append((without_roles(path), file))
        else:
            images[without_roles(path)].append(file)
    return [file for key, file in masks if _has_image(key, images)]


def _has_image(key: tuple[str, ...], images: defaultdict[tuple[str, ...], list[Path]]) -> bool:
    # BUSI gives an image with several lesions a mask for each of them, numbered at the end.
    return key in images or bool(key and key[-1].isdigit() and key[:-1] in images)
