"""From files to answers on the files' own grids; the network marks voxels above 0.5 and 1.5, so answers are known."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from deploy_bundles import contract_for, make_bundle
from PIL import Image as Picture

import equipoise
from equipoise import cli
from equipoise.cohorts.cohort import Image
from equipoise.deploy.contract import Contract, Window
from equipoise.deploy.outputs import label_values
from equipoise.deploy.predict import predict
from equipoise.deploy.predictor import Bundle
from equipoise.errors import EquipoiseError
from equipoise.preprocessing import Pipeline

SIDES = (8, 9, 6)  # x, y, z


def volume(seed=0, sides=SIDES):
    """Values 0 to 2, so that all three labels occur; and the label of each voxel."""
    values = np.random.default_rng(seed).uniform(0, 2, sides).astype(np.float32)
    return values, (values > 0.5).astype(np.uint8) + (values > 1.5)


def affine(order=(0, 1, 2), signs=(1, 1, 1), turn=0.0):
    """Voxels of 0.5 × 1 × 2 mm along permuted, mirrored and turned axes."""
    axes = np.zeros((3, 3))
    axes[list(order), range(3)] = np.array(signs) * (0.5, 1.0, 2.0)
    cosine, sine = np.cos(turn), np.sin(turn)
    result = np.eye(4)
    result[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ axes
    result[:3, 3] = (-5.0, 3.0, 11.0)
    return result


def save(path, values, place, **codes):
    """Write a NIfTI file."""
    image = nib.Nifti1Image(values, place)
    image.set_sform(place, codes.get("sform", 2))
    image.set_qform(place, codes.get("qform", 1))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def rows(out):
    """The rows of predictions.csv by case."""
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


@pytest.mark.long
def test_a_mask_lies_on_the_voxels_of_its_file_in_all_orientations(tmp_path):
    bundle, files, expected = make_bundle(tmp_path / "bundle", sides=(6, 6, 6)), [], {}
    kinds = itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    for number, (order, signs) in enumerate(kinds):
        values, labels = volume(number)
        files.append(save(tmp_path / f"v{number}.nii.gz", values, affine(order, signs, 0.2 * (number % 3))))
        expected[f"v{number}"] = labels
    summary = predict(bundle, files, tmp_path / "out")
    assert (summary.answered, summary.failed) == (48, 0)
    for file in files:
        name = file.name.removesuffix(".nii.gz")
        mask, source = nib.load(tmp_path / "out" / name / "mask.nii.gz"), nib.load(file)
        assert np.array_equal(np.asarray(mask.dataobj), expected[name]), name
        assert mask.get_data_dtype() == np.uint8
        assert np.array_equal(mask.affine, source.affine)
        for key in ("sform_code", "qform_code", "pixdim", "srow_x", "srow_y", "srow_z", "qoffset_x", "xyzt_units"):
            assert np.array_equal(mask.header[key], source.header[key]), key
    row = rows(tmp_path / "out")["v0"]
    assert float(row["lesion_ml"]) == pytest.approx((expected["v0"] == 2).sum() * 0.001)


@pytest.mark.parametrize(
    "suffix", [".nii", *(pytest.param(other, marks=pytest.mark.long) for other in (".nrrd", ".mha"))]
)
def test_a_mask_of_another_format_lies_where_its_image_lies(tmp_path, suffix):
    values, labels = volume(5)
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetSpacing((0.5, 1.0, 2.0))
    image.SetDirection((0, -1, 0, -1, 0, 0, 0, 0, 1))
    image.SetOrigin((4.0, -2.0, 9.0))
    sitk.WriteImage(image, str(tmp_path / f"v{suffix}"))
    predict(make_bundle(tmp_path / "bundle", sides=(6, 8, 8)), [tmp_path / f"v{suffix}"], tmp_path / "out")
    mask = sitk.ReadImage(str(tmp_path / "out" / "v" / "mask.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask), labels.transpose(2, 1, 0))
    for index in ((0, 0, 0), (7, 2, 5), (3, 8, 1)):
        there, here = (one.TransformIndexToPhysicalPoint(index) for one in (image, mask))
        assert np.allclose(there, here, atol=1e-4)


@pytest.mark.long
def test_preparation_is_undone_as_the_trial_undoes_it(tmp_path):
    pipeline = Pipeline.from_settings({"scale": "none", "resample": [3.0, 1.5, 0.5], "size": [5, 7, 8]})
    contract = replace(contract_for(), pipeline=pipeline, window=Window(side=(4, 4, 4)))
    bundle = Bundle(make_bundle(tmp_path / "bundle", contract))
    values, _ = volume(3)
    image = Image(values.transpose(2, 1, 0)[None], (2.0, 1.0, 0.5), None, np.diag([0.5, 1.0, 2.0, 1.0]))
    answer = bundle.predict(image)
    prepared = pipeline.apply(image)
    labels = np.digitize(prepared.image[0], (0.5, 1.5), right=True)
    for name, value in (("organ", 1), ("lesion", 2)):
        back = pipeline.undo((labels == value).astype(np.uint8), prepared.record).astype(bool)
        assert np.array_equal(answer.masks[name], back)
    assert not (answer.masks["organ"] & answer.masks["lesion"]).any()


@pytest.mark.long
def test_overlapping_regions_are_files_of_their_own(tmp_path):
    contract = replace(contract_for(), regions={"all": (1, 2), "lesion": (2,)})
    values, labels = volume(1)
    predict(make_bundle(tmp_path / "b", contract), [save(tmp_path / "v.nii", values, affine())], tmp_path / "out")
    for name, members in (("all", (1, 2)), ("lesion", (2,))):
        mask = nib.load(tmp_path / "out" / "v" / f"mask-{name}.nii.gz")
        assert np.array_equal(np.asarray(mask.dataobj), np.isin(labels, members))


@pytest.mark.long
def test_failures_are_rows_and_the_same_command_resumes(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    images = tmp_path / "images"
    images.mkdir()
    good = save(images / "good.nii.gz", volume(0)[0], affine())
    (images / "broken.nii.gz").write_bytes(good.read_bytes()[:200])
    np.save(images / "placeless.npy", np.ones((6, 9, 8), np.float32))
    np.savez(images / "colour.npz", image=np.ones((3, 6, 9, 8), np.float32))
    save(images / "far.nii.gz", volume(0)[0] * 50, affine() @ np.diag([10, 10, 10, 1]))
    out = tmp_path / "out"
    arguments = ["predict", str(bundle), str(images), "--out", str(out), "--quiet"]
    assert cli.main(arguments) == cli.REFUSED
    table = rows(out)
    assert {case: row["status"] for case, row in table.items()} == {
        "broken": "failed", "colour": "failed", "far": "answered", "good": "answered", "placeless": "failed",
    }  # fmt: skip
    assert "no position in space" in table["placeless"]["reason"]
    assert "save numbers as (channel, z, y, x)" in table["colour"]["reason"]
    assert "spacing along z is 20 mm, in training 2 to 2" in table["far"]["warnings"]
    assert "99th percentile of image" in table["far"]["warnings"]
    assert not table["good"]["warnings"]
    assert json.loads((out / "done.json").read_text())["failed"] == 3
    before = (out / "good" / "mask.nii.gz").stat().st_mtime_ns
    (images / "broken.nii.gz").write_bytes(good.read_bytes())
    again = predict(bundle, [images], out)
    assert (again.answered, again.failed, again.resumed) == (3, 2, 2)
    assert (out / "good" / "mask.nii.gz").stat().st_mtime_ns == before
    (out / "good" / "mask.nii.gz").write_bytes(b"edited")
    save(images / "far.nii.gz", volume(4)[0], affine())
    assert predict(bundle, [images], out).resumed == 1
    assert np.array_equal(np.asarray(nib.load(out / "good" / "mask.nii.gz").dataobj), volume(0)[1])
    assert np.array_equal(np.asarray(nib.load(out / "far" / "mask.nii.gz").dataobj), volume(4)[1])
    strict = predict(bundle, [save(tmp_path / "b.nii", volume(0)[0] * 50, affine())], tmp_path / "strict", strict=True)
    assert "outside what the network was trained on" in strict.first_failure


@pytest.mark.long
def test_the_table_says_in_which_folder_an_answer_lies(tmp_path):
    values, _ = volume(0)
    files = [save(tmp_path / f"{name}.nii.gz", values, affine((0, 1, 2), (1, 1, 1))) for name in ("plain", "MRN 7 ä")]
    (tmp_path / "broken.nii.gz").write_bytes(b"none")
    predict(make_bundle(tmp_path / "bundle", sides=(6, 6, 6)), [*files, tmp_path / "broken.nii.gz"], tmp_path / "out")
    folders = {case: row["folder"] for case, row in rows(tmp_path / "out").items()}
    assert folders.pop("broken") == ""
    assert folders["plain"] == "plain"
    for case, folder in folders.items():
        assert (tmp_path / "out" / folder / "mask.nii.gz").is_file(), case


def test_no_name_of_a_file_is_a_formula_in_the_table(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("=HYPERLINK(1)", "@SUM(1)", "-2+3", "plain"):
        save(images / f"{name}.nii.gz", volume(0)[0], affine())
    predict(make_bundle(tmp_path / "bundle"), [images], tmp_path / "out")
    assert set(rows(tmp_path / "out")) == {"'=HYPERLINK(1)", "'@SUM(1)", "'-2+3", "plain"}


@pytest.mark.long
def test_a_case_whose_folder_is_a_link_is_written_nowhere(tmp_path):
    bundle, out = make_bundle(tmp_path / "bundle"), tmp_path / "out"
    image = save(tmp_path / "a.nii.gz", volume(0)[0], affine())
    predict(bundle, [image], out)
    shutil.rmtree(out / "a")
    (tmp_path / "home").mkdir()
    (out / "a").symlink_to(tmp_path / "home")
    assert "a is a link to another folder" in predict(bundle, [image], out).first_failure
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.long
def test_folders_that_are_not_ours_stay_as_they_are(tmp_path):
    bundle, image = make_bundle(tmp_path / "bundle"), save(tmp_path / "v.nii", volume()[0], affine())
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(EquipoiseError, match="not empty and holds no predictions"):
        predict(bundle, [image], other)
    predict(bundle, [image], tmp_path / "out")
    second = make_bundle(tmp_path / "second", replace(contract_for(), threshold=0.2))
    with pytest.raises(EquipoiseError, match="another bundle"):
        predict(second, [image], tmp_path / "out")
    with pytest.raises(EquipoiseError, match="lies inside the input"):
        predict(bundle, [tmp_path], tmp_path / "deeper" / "out")
    for inputs, text in (
        ([tmp_path / "none"], "does not exist"),
        ([other], "no image among"),
        ([image] * 2, "case name 'v'"),
    ):
        with pytest.raises(EquipoiseError, match=text):
            predict(bundle, inputs, tmp_path / "out2")
    with pytest.raises(EquipoiseError, match="nearest|did you mean 'nifti'"):
        predict(bundle, [image], tmp_path / "out3", formats="nift")


@pytest.mark.long
def test_a_limit_of_memory_is_a_row(tmp_path):
    image = save(tmp_path / "v.nii", volume()[0], affine())
    summary = predict(make_bundle(tmp_path / "bundle"), [image], tmp_path / "out", most_gb=1e-6)
    assert "--max-memory allows" in summary.first_failure


@pytest.mark.long
def test_channels_come_by_name_or_from_a_table(tmp_path):
    contract = replace(contract_for(), channels=("t1", "flair"))
    bundle, images = make_bundle(tmp_path / "bundle", contract), tmp_path / "images"
    images.mkdir()
    for case, seed in (("p1", 0), ("p2", 1)):
        save(images / f"{case}_flair.nii.gz", volume(seed + 10)[0], affine())
        save(images / f"{case}_t1.nii.gz", volume(seed)[0], affine())
    (images / "p2_flair.nii.gz").rename(images / "p3_flair.nii.gz")
    predict(bundle, [images], tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [row["status"] for row in table.values()] == ["answered", "failed", "failed"]
    assert "for flair" in table["p2"]["reason"]
    assert np.array_equal(np.asarray(nib.load(tmp_path / "out" / "p1" / "mask.nii.gz").dataobj), volume(0)[1])
    text = "case,image_flair,image_t1\na,p1_flair.nii.gz,p1_t1.nii.gz\nb,p3_flair.nii.gz,none.nii.gz\n"
    (images / "cases.csv").write_text(text)
    predict(bundle, [images / "cases.csv"], tmp_path / "out2")
    table = rows(tmp_path / "out2")
    assert (table["a"]["status"], table["b"]["status"]) == ("answered", "failed")
    assert "none.nii.gz, which does not exist" in table["b"]["reason"]
    assert np.array_equal(np.asarray(nib.load(tmp_path / "out2" / "a" / "mask.nii.gz").dataobj), volume(0)[1])


@pytest.mark.long
def test_a_folder_hides_nothing(tmp_path):
    bundle, images = make_bundle(tmp_path / "bundle"), tmp_path / "images"
    images.mkdir()
    save(images / "v.nii", volume()[0], affine())
    (images / "scan.dat").write_text("raw")
    (images / ".DS_Store").write_text("left behind")
    summary = predict(bundle, [images], tmp_path / "out")
    assert summary.left_out == ("scan.dat",)
    assert "1 file in a folder is no image of a known form: scan.dat" in summary.text()
    assert json.loads((tmp_path / "out" / "done.json").read_text())["left_out"] == ["scan.dat"]
    (images / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(EquipoiseError, match=r"holds DICOM \(IM0001\) and other images \(v.nii\)"):
        predict(bundle, [images], tmp_path / "out")


@pytest.mark.long
def test_pictures_get_a_picture_and_grey_stored_as_colour_is_grey(tmp_path):
    contract = replace(contract_for(oriented=False), spatial_dims=2)
    bundle = make_bundle(tmp_path / "bundle", contract, sides=(9, 8), spacing=(1.0, 1.0))
    grey = (np.arange(72).reshape(9, 8) % 3).astype(np.uint8)
    Picture.fromarray(grey).save(tmp_path / "grey.png")
    Picture.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / "equal.tif")
    Picture.fromarray(np.stack([grey, grey + 1, grey], -1)).save(tmp_path / "colour.png")
    predict(bundle, [tmp_path / name for name in ("grey.png", "equal.tif", "colour.png")], tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [row["status"] for row in table.values()] == ["answered", "answered", "failed"]
    assert "three colours are equal" in table["equal"]["warnings"]
    assert "it has 3 channels and the network takes 1" in table["colour"]["reason"]
    for name in ("grey", "equal"):
        with Picture.open(tmp_path / "out" / name / "mask.png") as mask:
            assert np.array_equal(np.asarray(mask), grey)


def plain_pictures(**changed):
    """A contract of pictures that state no spacing."""
    return replace(contract_for(oriented=False), spatial_dims=2, spacing_stated=False, **changed)


def test_without_a_stated_spacing_sizes_count_pixels_and_masks_hold_the_cohorts_values(tmp_path):
    contract = plain_pictures(classes=("background", "organ"), regions={"organ": (1,)}, values=(0, 255))
    made = make_bundle(tmp_path / "bundle", contract, sides=(9, 8), spacing=(1.0, 1.0))
    grey = (np.arange(72).reshape(9, 8) % 2).astype(np.uint8)
    # A resolution that the file states, 2 pixels per mm, is not that of the trial, which knew none.
    Picture.fromarray(grey).save(tmp_path / "grey.tif", dpi=(50.8, 50.8))
    Picture.fromarray(grey * 0).save(tmp_path / "empty.png")
    files = [tmp_path / "grey.tif", tmp_path / "empty.png"]
    summary = predict(made, files, tmp_path / "out", formats=("nifti", "page"))
    table = rows(tmp_path / "out")
    assert not [name for name in table["grey"] if "mm2" in name]
    assert (float(table["grey"]["organ_pixels"]), table["grey"]["spacing_mm"]) == (grey.sum(), "")
    assert (table["grey"]["empty_regions"], table["empty"]["empty_regions"], summary.empty) == ("", "organ", 1)
    assert "spacing" not in table["grey"]["warnings"]
    assert "1 with an empty mask" in summary.text()
    with Picture.open(tmp_path / "out" / "grey" / "mask.png") as mask:
        assert np.array_equal(np.asarray(mask), grey * 255)
    page = (tmp_path / "out" / "grey" / "page.html").read_text(encoding="utf-8")
    assert ("36 pixels" in page, "<h2>Image</h2>" in page, "mm²" in page) == (True, True, False)
    assert "empty: no voxel was assigned to it" in (tmp_path / "out" / "empty" / "page.html").read_text("utf-8")


def test_values_of_masks_travel_with_the_contract():
    contract = plain_pictures(values=(0, 128, 255))
    assert Contract.from_json(contract.to_json()) == contract
    # Bundles from before these fields keep the text under which their golden images were answered.
    assert not {"values", "spacing_stated"} & set(contract_for().to_json())
    assert label_values(contract) == {"organ": 128, "lesion": 255}
    for values in ((0, 1), (0, 1, 1), (0, 1, 256)):
        with pytest.raises(EquipoiseError, match="values"):
            Contract.from_json(replace(contract, values=values).to_json())


@pytest.mark.long
def test_classes_and_candidates_are_columns(tmp_path):
    label = make_bundle(tmp_path / "label", contract_for("label"))
    arrays = np.stack([np.full((6, 9, 8), value, np.float32) for value in (0.1, 1.9)])[:, None]
    np.savez(tmp_path / "two.npz", images=arrays)
    predict(label, [tmp_path / "two.npz"], tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [table[f"two-{k}"]["class"] for k in (0, 1)] == ["well", "ill"]
    assert float(table["two-1"]["p_ill"]) == pytest.approx(1 / (1 + np.exp(0.5 - 1.9)), abs=1e-6)
    spots = make_bundle(tmp_path / "spots", contract_for("findings", threshold=0.5))
    values = np.zeros(SIDES, np.float32)
    values[2, 3, 4] = 5
    predict(spots, [save(tmp_path / "v.nii", values, affine(signs=(-1, 1, 1)))], tmp_path / "out2")
    assert rows(tmp_path / "out2")["v"]["candidates"] == "1"
    (candidate,) = json.loads((tmp_path / "out2" / "v" / "answer.json").read_text())["candidates"]
    assert np.allclose(candidate["world_ras_mm"], (affine(signs=(-1, 1, 1)) @ (2, 3, 4, 1))[:3], atol=1e-3)


def test_images_from_python(tmp_path, pristine_bundle):
    bundle = equipoise.Bundle(pristine_bundle)
    values, labels = volume()
    path = save(tmp_path / "v.nii.gz", values, affine())
    answer = bundle.predict(path)
    assert np.array_equal(answer.masks["lesion"], (labels == 2).transpose(2, 1, 0))
    assert answer.sizes["lesion"] == pytest.approx((labels == 2).sum() * 0.001)
    for image, text in (
        (Image(values[None], (1.0,) * 3), "no position in space"),
        (Image(values[None, 0], (1.0,) * 2), "2 spatial axes"),
        (Image(np.stack([values] * 2), (1.0,) * 3, None, np.eye(4)), "2 channels"),
        (Image(values[None] * np.nan, (1.0,) * 3, None, np.eye(4)), "not finite"),
        (Image(values[None], (1.0, 0.0, 1.0), None, np.eye(4)), "not possible"),
    ):
        with pytest.raises(EquipoiseError, match=text):
            bundle.predict(image)


@pytest.mark.long
def test_it_answers_where_torch_is_not_installed(tmp_path):
    bundle, image = make_bundle(tmp_path / "bundle"), save(tmp_path / "v.nii.gz", volume()[0], affine())
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'safetensors'): sys.modules[name] = None\n"
        "from equipoise.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "predict",
        str(bundle),
        str(image),
        "--out",
        str(tmp_path / "out"),
        "--quiet",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(np.asarray(nib.load(tmp_path / "out" / "v" / "mask.nii.gz").dataobj), volume()[1])
    refused = subprocess.run([*command, "--runtime", "torch"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "needs torch" in refused.stderr
    assert "Traceback" not in refused.stderr
