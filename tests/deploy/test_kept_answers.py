"""Resuming: an answer stays only where nothing that it was made of, and nothing that was written, has changed."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from test_predict import affine, rows, volume

from equipoise.deploy.case_answer import Settings
from equipoise.deploy.inputs import CaseInput
from equipoise.deploy.kept_answers import answer_key
from equipoise.deploy.predict import predict


def write_pair(folder, values, place=None, *, packed=False):
    """A pair scan.hdr and scan.img, perhaps packed."""
    nib.save(nib.Nifti1Pair(values, affine() if place is None else place), folder / "scan.img")
    for half in ("hdr", "img") if packed else ():
        (folder / f"scan.{half}.gz").write_bytes(gzip.compress((folder / f"scan.{half}").read_bytes(), mtime=0))
        (folder / f"scan.{half}").unlink()


def write_metaimage(folder, values, name="m[1].mhd", raw="pix.raw"):
    """A MetaImage header, the same for all values, and its voxels in a file of another stem."""
    (folder / raw).write_bytes(values.transpose(2, 1, 0).astype("<f4").tobytes())
    (folder / name).write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 0.5 1 2\n"
        f"DimSize = {' '.join(map(str, values.shape))}\nElementType = MET_FLOAT\nElementDataFile = {raw}\n"
    )


def write_nrrd(folder, values, name="v.nhdr", raw="voxels.raw"):
    """An NRRD header, the same for all values, and its voxels in a file of another stem."""
    (folder / raw).write_bytes(values.transpose(2, 1, 0).astype("<f4").tobytes())
    (folder / name).write_text(
        "NRRD0004\ntype: float\ndimension: 3\nspace: right-anterior-superior\n"
        f"sizes: {' '.join(map(str, values.shape))}\nspace directions: (0.5,0,0) (0,1,0) (0,0,2)\n"
        f"kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\ndata file: {raw}\n\n"
    )


@pytest.mark.parametrize(
    ("write", "given"),
    [
        (write_pair, "scan.img"),
        (write_pair, "scan.hdr"),
        (lambda folder, values: write_pair(folder, values, packed=True), "scan.hdr.gz"),
        (write_metaimage, "m[1].mhd"),
        (lambda folder, values: write_metaimage(folder, values, raw="m[1].raw"), "m[1].mhd"),
        (write_nrrd, "v.nhdr"),
    ],
)
@pytest.mark.long
def test_voxels_that_changed_beside_their_header_are_answered_again(tmp_path, pristine_bundle, write, given):
    image, out = tmp_path / given, tmp_path / "out"
    write(tmp_path, volume(0)[0])
    predict(pristine_bundle, [image], out)
    assert predict(pristine_bundle, [image], out).resumed == 1
    write(tmp_path, volume(0)[0] * 0 + 2)
    again = predict(pristine_bundle, [image], out)
    assert (again.answered, again.resumed) == (1, 0)
    (row,) = rows(out).values()
    # All 432 voxels are lesion now, each of 1 mm³.
    assert float(row["lesion_ml"]) == pytest.approx(0.432)


@pytest.mark.long
def test_a_header_that_changed_beside_its_voxels_is_answered_again(tmp_path, pristine_bundle):
    write_pair(tmp_path, volume(0)[0])
    predict(pristine_bundle, [tmp_path / "scan.img"], tmp_path / "out")
    write_pair(tmp_path, volume(0)[0], affine() @ np.diag([2, 1, 1, 1]))
    assert predict(pristine_bundle, [tmp_path / "scan.img"], tmp_path / "out").resumed == 0
    assert rows(tmp_path / "out")["scan"]["spacing_mm"] == "2.0; 1.0; 1.0"


def test_a_key_covers_which_halves_of_a_pair_are_there(tmp_path):
    write_pair(tmp_path, volume(0)[0], packed=True)
    case, settings = CaseInput("scan", (tmp_path / "scan.img.gz",)), Settings(("json",), False, None, "onnx")
    before = answer_key(case, "b", settings)
    assert answer_key(case, "b", settings) == before
    assert answer_key(case, "c", settings) != before
    (tmp_path / "scan.hdr").write_bytes(b"another header, which is read first")
    assert answer_key(case, "b", settings) != before
