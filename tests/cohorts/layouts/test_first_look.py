"""A first look at images tells their sizes, spacings and mask values, whatever kind of files they are."""

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.cohorts.layouts.first_look import first_look, mask_classes
from equipoise.cohorts.layouts.recognition import Recognised
from equipoise.errors import CohortError


def scan(path, shape, spacing):
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape[::-1], np.int16), np.diag([*spacing[::-1], 1.0])), path)
    return path


def test_volumes_of_several_spacings(tmp_path):
    files = tuple(scan(tmp_path / f"{k}.nii.gz", (10 + k, 20, 30), (2.0 + k, 1.0, 0.5)) for k in range(3))
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"x")
    look = first_look(tmp_path, Recognised("nnunet", "segmentation", images=(*files, broken)))
    assert look.dims == 3
    assert look.shapes.tolist() == [[10, 20, 30], [11, 20, 30], [12, 20, 30]]
    assert look.spacing_mm.tolist() == [3.0, 1.0, 0.5]
    assert not look.one_size
    assert not look.one_spacing
    assert look.size.tolist() == [11.0, 20.0, 30.0]


def test_pictures_and_arrays(tmp_path):
    Picture.new("L", (30, 20)).save(tmp_path / "a.png")
    look = first_look(tmp_path, Recognised("folders", "classification", images=(tmp_path / "a.png",)))
    assert (look.dims, look.shapes.tolist(), look.one_size, look.one_spacing) == (2, [[20, 30]], True, True)
    for shape, axes, size in (
        ((5, 8, 9), None, [8, 9]),
        ((5, 8, 9, 3), None, [8, 9]),
        ((5, 7, 8, 9), "nzyx", [7, 8, 9]),
    ):
        np.savez(tmp_path / "a.npz", images=np.zeros(shape, np.uint8))
        look = first_look(tmp_path / "a.npz", Recognised("arrays", "classification"))
        assert (look.shapes[0].tolist(), look.axes) == (size, axes)


def test_sources_without_images_to_look_at_are_taken_for_cubes(tmp_path):
    assert first_look(tmp_path, Recognised("lidc", "classification")).dims == 3


def masks(tmp_path, *values):
    files = []
    for number, value in enumerate(values):
        Picture.fromarray(np.array([[0, value]], np.uint8)).save(tmp_path / f"{number}.png")
        files.append(tmp_path / f"{number}.png")
    return Recognised("manifest", "segmentation", masks=tuple(files))


def test_values_of_masks_become_classes(tmp_path):
    assert mask_classes(masks(tmp_path, 1, 2)) == {"classes": ["background", "label 1", "label 2"]}
    assert mask_classes(masks(tmp_path, 255)) == {"classes": ["background", "foreground"], "values": [0, 255]}
    assert mask_classes(Recognised("brats", "segmentation")) == {}
    with pytest.raises(CohortError, match="hold 41 values, which are not classes"):
        mask_classes(masks(tmp_path, *range(1, 41)))


def test_a_value_of_hardly_any_mask_is_asked_about(tmp_path):
    """One mask of twelve stores 128 for 255."""
    with pytest.raises(CohortError, match=r"hold 0, 128, 255, .*: 128 in 1 of 12 masks.*values='\[0, 255\]'"):
        mask_classes(masks(tmp_path, 128, *[255] * 11))
    stated = {"classes": ["background", "tumour"], "values": [0, 255]}
    assert mask_classes(masks(tmp_path, 128, *[255] * 11), stated) == {}


def test_values_of_many_masks_and_rare_counted_classes_are_classes(tmp_path):
    """Benign as 128 and malignant as 255 in halves of the masks; and 0, 1, 2 with a class in one mask."""
    assert mask_classes(masks(tmp_path, *[128] * 6, *[255] * 6))["values"] == [0, 128, 255]
    assert mask_classes(masks(tmp_path, *[1] * 11, 2))["classes"] == ["background", "label 1", "label 2"]
