"""What names of files and folders say: that it is an image, a mask, or an official part."""

import re
from collections.abc import Iterator
from pathlib import Path

from equipoise.cohorts.formats.dicom import has_preamble
from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.formats.pictures import SUFFIXES
from equipoise.cohorts.formats.reading import DICOM, VOLUMES

PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
IMAGES = (*sorted(SUFFIXES), *sorted(VOLUMES.keys() - {".hdr", ".hdr.gz"}), *sorted(DICOM))
"""How the names of images end; of a .hdr and .img pair, the .img is the image."""
MANUAL = "manual"
"""Says that someone drew it: DRIVE's 1st_manual, HRF's manual1."""
_MASK_PARTS = ("mask", "segment", "groundtruth", "annotation", "delineation", "labelmap")
"""Say mask wherever they stand in a word."""
# Short words count as whole words alone: "label" is part of "labelled", which says nothing of masks.
_MASK_WORDS = frozenset({
    "seg", "segs", "segm", "label", "labels", "labelstr", "labelsts", "gt", "gts", "gtv", "truth", "msk", "msks", "roi",
    "rois", "annot", "annots", "contour", "contours", "lbl",
    "lbls",
    MANUAL,
})  # fmt: skip
_IMAGE_WORDS = frozenset({
    "image", "images", "img", "imgs", "imaging", "imagestr", "imagests", "volume", "volumes", "vol", "original",
    "originals", "scan", "scans", "raw", "input", "inputs", "picture", "pictures", "ct", "data", "photo", "photos",
})  # fmt: skip
_MODALITIES = frozenset({
    "t1", "t2", "t1w", "t2w", "t1c", "t1n", "t2f", "t1ce", "t1gd", "pd", "flair", "dwi", "adc", "swi", "ct",
    "pet", "pt", "mr", "mri",
    "image", "imaging", "img", "scan", "volume", "bold", "asl", "dce", "cbct", "lge", "cine",
})  # fmt: skip
_WORD = re.compile(r"[a-z]+|\d+")


def is_image_name(name: str) -> bool:
    """Return whether a name ends as those of images do.

    >>> is_image_name("a.NII.gz"), is_image_name("a.txt")
    (True, False)
    """
    return name.lower().endswith(IMAGES)


def stem_and_ending(name: str) -> tuple[str, str]:
    """Return a file's name without its ending, `.nii.gz` being one, and the ending.

    >>> stem_and_ending("a.b.nii.gz"), stem_and_ending("IM0001")
    (('a.b', '.nii.gz'), ('IM0001', ''))
    """
    ending = next((known for known in (".nii.gz", *IMAGES) if name.lower().endswith(known)), "")
    return name[: len(name) - len(ending)], name[len(name) - len(ending) :]


def words(name: str) -> list[str]:
    """Return the words and numbers of a name, in small letters; a change from small to capital letters begins a word.

    >>> words("GroundTruth/sub-01_T1w")
    ['ground', 'truth', 'sub', '01', 't', '1', 'w']
    """
    return _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def says_mask(name: str) -> bool:
    """Return whether a name says that masks are meant.

    >>> [says_mask(name) for name in ("GT", "BratsMasks", "benign (1)_mask", "Segm", "image", "labelled", "margin")]
    [True, True, True, True, False, False, False]
    """
    joined = "".join(words(name))
    return any(part in joined for part in _MASK_PARTS) or not _MASK_WORDS.isdisjoint(words(name))


def says_image(name: str) -> bool:
    """Return whether a name says no more than that images are meant."""
    return not _IMAGE_WORDS.isdisjoint(words(name)) and not says_mask(name)


def says_modality(name: str) -> bool:
    """Return whether a name has the word for a kind of image, such as a sequence of MRI.

    >>> says_modality("sub-01_T1w"), says_modality("PET"), says_modality("overlay")
    (True, True, False)
    """
    # `words` would divide t1w into t, 1 and w, so the names are only cut at their signs here.
    return not _MODALITIES.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def without_roles(path: str) -> tuple[str, ...]:
    """Return the words of a path that are neither mask nor image: what an image and its mask have in common.

    >>> without_roles("Images/case_1") == without_roles("GT/case_1_mask") == ("case", "1")
    True
    """
    # "GroundTruth" is two words, of which "ground" alone is neither mask nor image.
    kept = [word for word in words(path) if word not in _MASK_WORDS and word not in _IMAGE_WORDS and word != "ground"]
    return tuple(word for word in kept if not any(part in word for part in _MASK_PARTS))


def image_files(root: Path) -> Iterator[Path]:
    """Return the image files below a folder, by their names, or by the mark of DICOM where a name has no ending."""
    # Exports of hospitals have no endings, and VinDr-CXR has .dicom: what is DICOM is told by its mark.
    return (file for file in data_files(root) if is_image_name(file.name) or has_preamble(file))
