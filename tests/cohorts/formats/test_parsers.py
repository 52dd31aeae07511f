"""The parsers that run in the sandbox's child process, called in this one and held against other libraries."""

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.sandbox_child import answer


def test_a_png_is_what_pillow_reads(tmp_path):
    pixels = np.arange(30, dtype=np.uint8).reshape(5, 6)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    facts, arrays = answer("picture", str(tmp_path / "p.png"), Limits(), {})
    assert "refused" not in facts
    assert np.array_equal(np.squeeze(arrays[0]), pixels)


def test_a_tiff_keeps_its_sixteen_bits(tmp_path):
    pixels = (np.arange(30, dtype=np.uint16) * 2000).reshape(5, 6)
    tifffile.imwrite(tmp_path / "p.tif", pixels)
    facts, arrays = answer("picture", str(tmp_path / "p.tif"), Limits(), {})
    assert "refused" not in facts
    assert np.array_equal(np.squeeze(arrays[0]), pixels)


def test_a_ct_slice_is_what_pydicom_reads():
    path = get_testdata_file("CT_small.dcm")
    dataset = pydicom.dcmread(path)
    header, _ = answer("dicom_header", path, Limits(), {})
    facts, arrays = answer("dicom_pixels", path, Limits(), {})
    assert "refused" not in header | facts
    assert (header["rows"], header["columns"]) == dataset.pixel_array.shape
    assert np.array_equal(np.squeeze(arrays[0]), dataset.pixel_array)


@pytest.mark.parametrize("task", ["picture", "dicom_pixels"])
def test_what_is_neither_is_refused(tmp_path, task):
    (tmp_path / "p.bin").write_bytes(b"neither a picture nor DICOM")
    facts, arrays = answer(task, str(tmp_path / "p.bin"), Limits(), {})
    assert facts["refused"]["reason"]
    assert arrays == []
