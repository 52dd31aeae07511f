"""One bad file of many: it is a row with its reason, and the cases after it are answered."""

import os
import shutil

import numpy as np
import pytest
from test_predict import affine, rows, save, volume

from equipoise.deploy import predict as predicting
from equipoise.deploy.predict import predict

IMAGE, PLACE = np.ones((6, 9, 8), np.float32), affine()
NAN, TEXT = np.full((4, 4), np.nan), np.full((4, 4), "x")
LAST = np.vstack([PLACE[:3], [5, 5, 5, 7]])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        pytest.param({"image": IMAGE[:0], "affine": PLACE}, "has no voxels", marks=pytest.mark.long),
        pytest.param({"images": np.array(3)}, "holds no images", marks=pytest.mark.long),
        pytest.param({"images": IMAGE[None][:0]}, "holds no images", marks=pytest.mark.long),
        pytest.param({}, "holds no array|not a .npy", marks=pytest.mark.long),
        pytest.param({"image": IMAGE, "affine": TEXT}, "affine holds str", marks=pytest.mark.long),
        pytest.param({"image": IMAGE, "affine": PLACE.astype(complex)}, "holds complex", marks=pytest.mark.long),
        pytest.param({"image": IMAGE, "affine": NAN}, "of finite numbers", marks=pytest.mark.long),
        pytest.param({"image": IMAGE, "affine": np.where(PLACE == 2, np.inf, PLACE)}, "of finite numbers",
                     marks=pytest.mark.long),
        pytest.param({"image": IMAGE, "affine": LAST}, "last row is 0 0 0 1", marks=pytest.mark.long),
        ({"image": IMAGE, "affine": PLACE, "spacing_mm": np.array(["1", "1", "one"])}, "spacing_mm holds str"),
    ],
)  # fmt: skip
def test_a_bad_archive_is_a_row_and_the_next_case_is_answered(tmp_path, pristine_bundle, arrays, reason):
    np.savez(tmp_path / "m.npz", **arrays)
    files = [tmp_path / "m.npz", save(tmp_path / "z.nii.gz", volume(0)[0], affine())]
    summary = predict(pristine_bundle, files, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert {case: row["status"] for case, row in table.items()} == {"m": "failed", "z": "answered"}
    assert any(text in table["m"]["reason"] for text in reason.split("|")), table["m"]["reason"]
    assert summary.failed == 1


@pytest.mark.parametrize("error", [ValueError("of a\nlibrary"), RecursionError("deep"), OSError("no number")])
def test_any_error_of_one_case_is_a_row_that_names_its_kind(tmp_path, pristine_bundle, monkeypatch, error):
    files = [save(tmp_path / f"{name}.nii.gz", volume(0)[0], affine()) for name in "abc"]
    answer_case = predicting.answer_case

    def breaking(case, *rest):
        if case.id == "b":
            raise error
        return answer_case(case, *rest)

    monkeypatch.setattr(predicting, "answer_case", breaking)
    predict(pristine_bundle, files, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [row["status"] for row in table.values()] == ["answered", "failed", "answered"]
    assert str(error).replace("\n", " ") in table["b"]["reason"]
    assert isinstance(error, OSError) or type(error).__name__ in table["b"]["reason"]


def test_a_full_disk_ends_the_batch(tmp_path, pristine_bundle, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predicting, "answer_case", full)
    image = save(tmp_path / "a.nii.gz", volume(0)[0], affine())
    with pytest.raises(predicting.EquipoiseError, match="free disk space"):
        predict(pristine_bundle, [image], tmp_path / "out")


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_names_of_files_that_are_no_utf_8_are_answered(tmp_path, pristine_bundle):
    images = tmp_path / "images"
    images.mkdir()
    for name in (b"a", b"m\xfcller", b"z"):
        made = save(tmp_path / "made.nii.gz", volume(0)[0], affine())
        try:
            shutil.copy(made, os.fsencode(images) + b"/" + name + b".nii.gz")
        except OSError:
            pytest.skip("this file system takes no such names")
    (images / os.fsdecode(b"\xfc.nii")).write_bytes(b"damaged")
    (images / os.fsdecode(b"\xfc.txt")).write_bytes(b"no image")
    summary = predict(pristine_bundle, [images], tmp_path / "out", formats=("nifti", "json", "page"))
    statuses = {case: row["status"] for case, row in rows(tmp_path / "out").items()}
    assert statuses == {"a": "answered", r"m\udcfcller": "answered", "z": "answered", r"\udcfc": "failed"}
    assert summary.text().encode()
    assert predict(pristine_bundle, [images], tmp_path / "out", formats=("nifti", "json", "page")).resumed == 3
