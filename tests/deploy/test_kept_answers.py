"""Resuming: an answer stays only where nothing that it was made of, and nothing that was written, has changed."""

import gzip
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from deploy_bundles import contract_for
from dicom_series import write_volume
from test_predict import affine, rows, save, volume

from equipoise.deploy.answer_files import possible_names
from equipoise.deploy.case_answer import Settings
from equipoise.deploy.inputs import CaseInput
from equipoise.deploy.kept_answers import answer_key
from equipoise.deploy.outputs import mask_files, mask_names
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


def listed(folder):
    """The names in a folder, in their order."""
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.long
def test_a_case_that_fails_keeps_no_answer_of_before(tmp_path, pristine_bundle):
    image, out = save(tmp_path / "a.nii.gz", volume(0)[0], affine()), tmp_path / "out"
    predict(pristine_bundle, [image], out)
    (out / "a" / "notes.txt").write_text("the user's own")
    (tmp_path / "mine.html").write_text("the user's own")
    (out / "a" / "page.html").symlink_to(tmp_path / "mine.html")
    image.write_bytes(b"damaged")
    assert predict(pristine_bundle, [image], out).failed == 1
    assert listed(out / "a") == ["notes.txt", "page.html"]
    assert (tmp_path / "mine.html").read_text() == "the user's own"
    save(image, volume(0)[0] * 50, affine())
    assert predict(pristine_bundle, [image], out).answered == 1
    assert predict(pristine_bundle, [image], out, strict=True).failed == 1
    assert listed(out / "a") == ["notes.txt", "page.html"]


@pytest.mark.long
def test_fewer_formats_leave_no_file_of_the_old_image(tmp_path, pristine_bundle):
    write_volume(tmp_path / "s", (volume(0)[0] * 10).astype(np.int16).transpose(2, 1, 0), affine())
    out = tmp_path / "out"
    every = ("nifti", "json", "seg", "labelmap", "sr", "rtstruct", "page")
    predict(pristine_bundle, [tmp_path / "s"], out, formats=every)
    written = ["labelmap.dcm", "mask.nii.gz", "page.html", "rtstruct.dcm", "seg.dcm", "sr.dcm"]
    assert listed(out / "s") == ["answer.json", *written]
    # Whatever an answer may hold is known, so that nothing stays behind.
    assert sorted(possible_names(contract_for())) == written
    assert (out / "index.html").is_file()
    predict(pristine_bundle, [tmp_path / "s"], out)
    assert listed(out / "s") == ["answer.json", "mask.nii.gz"]
    assert not (out / "index.html").exists()


def test_masks_of_overlapping_regions_and_pictures_are_known_by_name():
    overlapping = replace(contract_for(), regions={"all": (1, 2), "lesion": (2,)})
    assert mask_names(overlapping) == ["mask-all.nii.gz", "mask-lesion.nii.gz"]
    flat = np.zeros((2, 2), bool)
    for contract in (overlapping, contract_for(), replace(contract_for(oriented=False), spatial_dims=2)):
        files = mask_files(dict.fromkeys(contract.regions, flat), contract)
        assert [name.split(".")[0] for name in mask_names(contract)] == list(files)


@pytest.mark.long
@pytest.mark.parametrize(
    "edit",
    [
        lambda kept: kept["row"].update(lesion_ml=9.99),
        lambda kept: kept["row"].update(warnings=[]),
        lambda kept: kept.update(candidates=[{"score": 1.0}]),
        lambda kept: kept.update(row=[], seal=None),
        lambda kept: kept.update(files={}),
    ],
)
def test_an_answer_that_was_edited_is_made_again(tmp_path, pristine_bundle, edit):
    image, out = save(tmp_path / "a.nii.gz", volume(0)[0] * 50, affine()), tmp_path / "out"
    predict(pristine_bundle, [image], out)
    table, record = (out / "predictions.csv").read_bytes(), out / "a" / "answer.json"
    whole = record.read_bytes()
    assert predict(pristine_bundle, [image], out).resumed == 1
    kept = json.loads(whole)
    edit(kept)
    record.write_text(json.dumps(kept))
    assert predict(pristine_bundle, [image], out).resumed == 0
    assert (record.read_bytes(), (out / "predictions.csv").read_bytes()) == (whole, table)
