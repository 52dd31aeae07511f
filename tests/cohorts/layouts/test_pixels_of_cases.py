"""Grey among colours, masks however they are stored, turned photographs: what people have, given as it is meant."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.first_look import mask_classes
from equipoise.cohorts.layouts.folders import folders
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.mask_values import whole_values
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.errors import CohortError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (16, 20), dtype=np.uint8)


def grey_palette(indices, greys=range(256)):
    picture = Image.fromarray(np.asarray(indices, np.uint8)).convert("L").convert("P")
    picture = Image.frombytes("P", picture.size, np.asarray(indices, np.uint8).tobytes())
    picture.putpalette([value for grey in greys for value in (grey,) * 3])
    return picture


STORED = {
    "L": lambda: Image.fromarray(GREY),
    "RGB": lambda: Image.fromarray(np.dstack([GREY] * 3)),
    "RGBA": lambda: Image.fromarray(np.dstack([GREY] * 3 + [np.full_like(GREY, 255)])),
    "LA": lambda: Image.fromarray(np.dstack([GREY, np.full_like(GREY, 255)]), "LA"),
    "P": lambda: grey_palette(GREY),
}
COLOURED = RNG.integers(0, 256, (16, 20, 3), dtype=np.uint8)


def class_folders(root, pictures):
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name)
    return root


@pytest.mark.filterwarnings("ignore:'mode' parameter")
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_stored_in_every_way_is_grey_beside_grey(tmp_path, suffix):
    kinds = [kind for kind in STORED if suffix == "png" or kind in ("L", "RGB", "P")]
    pictures = {f"a/{kind}.{suffix}": STORED[kind]() for kind in kinds} | {f"b/x.{suffix}": STORED["L"]()}
    pictures[f"b/x.{suffix}"] = Image.fromarray(255 - GREY)
    cohort = folders(class_folders(tmp_path, pictures))
    assert cohort.channels == ("image",)
    assert not cohort.problems
    for case in cohort.cases:
        truth = 255 - GREY if case.id.startswith("b") else GREY
        assert np.array_equal(case.read().array, truth[None]), case.id
    said = next(remark for remark in cohort.remarks if "read as grey" in remark.text)
    # a BMP with the palette of all greys is grey to Pillow
    as_colours = {"png": {"RGB", "RGBA", "P"}, "tif": {"RGB", "P"}, "bmp": {"RGB"}}
    assert said.files == len(as_colours[suffix])


def test_grey_among_true_colours_gets_three_equal_channels(tmp_path):
    pictures = {"a/0.png": Image.fromarray(COLOURED), "a/1.png": STORED["L"](), "b/0.png": STORED["RGB"]()}
    pictures |= {f"b/{k}.png": Image.fromarray(np.roll(COLOURED, k, 0)) for k in (1, 2)}
    cohort = folders(class_folders(tmp_path, pictures))
    assert cohort.channels == ("red", "green", "blue")
    arrays = {case.id: case.read().array for case in cohort.cases}
    assert np.array_equal(arrays["a/0.png"], COLOURED.transpose(2, 0, 1))
    assert np.array_equal(arrays["a/1.png"], np.stack([GREY] * 3))
    assert np.array_equal(arrays["b/0.png"], np.stack([GREY] * 3))
    assert [remark.files for remark in cohort.remarks] == [1]


def test_a_lone_coloured_picture_among_grey_ones_is_named(tmp_path):
    pictures = {"a/0.png": Image.fromarray(COLOURED), "a/1.png": STORED["L"](), "b/0.png": STORED["RGB"]()}
    cohort = folders(class_folders(tmp_path, pictures))
    assert cohort.channels == ("image",)
    assert [problem.case for problem in cohort.problems] == ["a/0.png"]


def test_grey_stored_as_colours_everywhere_stays_as_it_is(tmp_path):
    pictures = {f"{name}/0.png": Image.fromarray(np.dstack([values] * 3)) for name, values in
                (("a", GREY), ("b", 255 - GREY))}  # fmt: skip
    cohort = folders(class_folders(tmp_path, pictures))
    assert cohort.channels == ("red", "green", "blue")
    assert cohort.remarks == ()


def test_modalities_are_never_taken_for_colours(tmp_path):
    for name, channels in (("a", 3), ("b", 1)):
        (tmp_path / name).mkdir()
        data = np.stack([GREY.T[..., None]] * channels, -1) if channels > 1 else 255 - GREY.T[..., None]
        nib.save(nib.Nifti1Image(data.astype(np.int16), np.eye(4)), tmp_path / name / "0.nii")
    cohort = folders(tmp_path)
    assert [problem.case for problem in cohort.problems] == ["b/0.nii"]


def segmentation(root, masks, values=None, classes=("background", "lesion")):
    lines = ["case,patient,image,mask"]
    for index, (name, save) in enumerate(masks.items()):
        Image.fromarray(np.roll(GREY, index, 0)).save(root / f"i{index}.png")
        save(root / name)
        lines.append(f"c{index},p{index},i{index}.png,{name}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return manifest(root / "manifest.csv", task="segmentation", classes=list(classes), values=values)


INSIDE = (GREY > 128).astype(np.uint8)


def saver(picture):
    return lambda path: picture.save(path)


def test_masks_stored_in_every_way_are_one_class_map(tmp_path):
    white = INSIDE * 255
    masks = {
        "grey.png": saver(Image.fromarray(white)),
        "rgb.png": saver(Image.fromarray(np.dstack([white] * 3))),
        "rgba.png": saver(Image.fromarray(np.dstack([white] * 3 + [np.full_like(white, 255)]))),
        "palette.png": saver(grey_palette(INSIDE, [0, 255])),
        "page.bmp": saver(Image.fromarray(white)),
        "float.tif": lambda path: tifffile.imwrite(path, white.astype(np.float32) * np.float32(0.9999999)),
        "deep.tif": lambda path: tifffile.imwrite(path, white.astype(np.uint16)),
        "bits.png": saver(Image.fromarray(white)),
    }
    cohort = segmentation(tmp_path, masks, values=[0, 255])
    assert not cohort.problems
    for case in cohort.cases:
        assert np.array_equal(case.read().mask, INSIDE), case.id
    said = " ".join(map(str, cohort.remarks))
    for words in ("equal and were read as one value", "alpha channel", "its palette is grey", "were rounded"):
        assert words in said


def test_init_finds_the_values_of_palettes_among_grey_masks(tmp_path):
    masks = {"a.png": saver(Image.fromarray(INSIDE * 255)), "b.png": saver(grey_palette(INSIDE, [0, 255]))}
    segmentation(tmp_path, masks, values=[0, 255])
    assert mask_classes(recognise(tmp_path))["values"] == [0, 255]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.stack([INSIDE, INSIDE * 2, INSIDE]), "which are colours"),
        (np.array([[[0.5, 1.0]]]), "the mask holds 0.5"),
        (np.array([[[0.9980, 1.0]]]), "the mask holds 0.998"),
        (np.array([[[np.nan, 1.0]]]), "the mask holds nan"),
    ],
)
def test_masks_that_leave_a_doubt_are_refused(tmp_path, array, reason):
    scan = Scan(array, (1.0, 1.0), None, {}, header={"colour": array.shape[0] == 3})
    with pytest.raises(RefusedFile, match=reason):
        whole_values(scan, tmp_path / "m")


def test_palettes_whose_indices_and_greys_are_both_labels_are_refused(tmp_path):
    masks = {"a.png": saver(Image.fromarray(INSIDE)), "b.png": saver(grey_palette(INSIDE, [0, 2]))}
    cohort = segmentation(tmp_path, masks, classes=("background", "one", "two"))
    assert [problem.case for problem in cohort.problems] == ["c1"]
    assert "both are labels" in cohort.problems[0].problem


@pytest.mark.parametrize("slope", [0.9999999998, 1.0000002, 1 / 3 * 3.0000004])
def test_scaled_label_maps_are_whole_again(tmp_path, slope):
    stored = RNG.integers(0, 4, (6, 5, 4)).astype(np.int32)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "m.nii")
    nib.save(nib.Nifti1Image(stored * 7, np.eye(4)), tmp_path / "i.nii")
    (tmp_path / "manifest.csv").write_text("case,patient,image,mask\na,p,i.nii,m.nii\n")
    assert mask_classes(recognise(tmp_path))["classes"] == ["background", "label 1", "label 2", "label 3"]
    classes = ["background", "a", "b", "c"]
    mask = manifest(tmp_path / "manifest.csv", task="segmentation", classes=classes).cases[0].read().mask
    assert np.array_equal(mask, np.rint(nib.load(tmp_path / "m.nii").get_fdata()).T)


def test_minus_one_is_asked_about_and_can_be_stated(tmp_path):
    stored = RNG.integers(-1, 2, (6, 5, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "m.nii")
    nib.save(nib.Nifti1Image(stored * 7, np.eye(4)), tmp_path / "i.nii")
    (tmp_path / "manifest.csv").write_text("case,patient,image,mask\na,p,i.nii,m.nii\n")
    with pytest.raises(
        CohortError, match=r"hold -1, which may mean .*equipoise init DATA .*--set values='\[-1, 0, 1\]'"
    ):
        mask_classes(Recognised("manifest", "segmentation", masks=(tmp_path / "m.nii",)))
    stated = manifest(tmp_path / "manifest.csv", task="segmentation", classes=["x", "y", "z"], values=[-1, 0, 1])
    assert np.array_equal(stated.cases[0].read().mask, (stored + 1).T)
    with pytest.raises(CohortError, match="holds the label -1"):
        manifest(tmp_path / "manifest.csv", task="segmentation", classes=["background", "y"])


def photograph(path, values, orientation=1, **settings):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path, exif=exif, **settings)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_as_pillow_turns_it(tmp_path, suffix, orientation):
    from PIL import ImageOps

    from equipoise.cohorts.formats.pictures import read_picture

    if suffix == "tif":
        tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(274, 3, 1, orientation, True)])
    else:
        photograph(tmp_path / f"a.{suffix}", GREY, orientation)
    scan = read_picture(tmp_path / f"a.{suffix}")
    if suffix == "tif":  # Pillow turns a TIFF when it is loaded, and then once more
        photograph(tmp_path / "a.png", GREY, orientation)
    oracle = tmp_path / ("a.png" if suffix == "tif" else f"a.{suffix}")
    truth = np.asarray(ImageOps.exif_transpose(Image.open(oracle)))
    assert np.array_equal(scan.array[0], truth)
    assert bool(scan.remarks) == (orientation != 1)


@pytest.mark.parametrize(
    ("orientation", "square", "turned_mask", "answer"),
    [
        (6, False, True, None), (8, False, True, None),
        (6, False, False, "only without the EXIF orientation"), (6, True, True, "do not tell"),
        (3, False, True, "do not tell"), (2, True, True, "do not tell"),
    ],
)  # fmt: skip
def test_a_mask_beside_a_turned_photograph(tmp_path, orientation, square, turned_mask, answer):
    values = GREY[:, :16] if square else GREY
    photograph(tmp_path / "i.jpg", values, orientation, quality=95)
    mask = (values > 128).astype(np.uint8)
    upright = {6: np.rot90(mask, -1), 8: np.rot90(mask), 3: mask[::-1, ::-1], 2: mask[:, ::-1]}[orientation]
    Image.fromarray(np.ascontiguousarray(upright if turned_mask else mask)).save(tmp_path / "m.png")
    (tmp_path / "m.csv").write_text("case,patient,image,mask\na,p,i.jpg,m.png\n")
    settings = {"task": "segmentation", "classes": ["background", "lesion"]}
    if answer is None:
        cohort = manifest(tmp_path / "m.csv", **settings)
        assert np.array_equal(cohort.cases[0].read().mask, upright)
        assert "EXIF" in cohort.remarks[0].text
        return
    with pytest.raises(CohortError, match=f"{answer}.* EXIF orientation"):
        manifest(tmp_path / "m.csv", **settings)


def test_both_turned_alike_need_no_question(tmp_path):
    photograph(tmp_path / "i.png", GREY, 3)
    photograph(tmp_path / "m.png", (GREY > 128).astype(np.uint8), 3)
    (tmp_path / "m.csv").write_text("case,patient,image,mask\na,p,i.png,m.png\n")
    image = manifest(tmp_path / "m.csv", task="segmentation", classes=["background", "lesion"]).cases[0].read()
    assert np.array_equal(image.mask, image.array[0] > 128)


def test_a_plain_mask_beside_a_stack_with_lengths(tmp_path):
    stack = RNG.integers(0, 99, (3, 16, 20), dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "i.tif", stack, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 3, "unit": "um"}
    )
    tifffile.imwrite(tmp_path / "m.tif", (stack > 50).astype(np.uint8), photometric="minisblack")
    (tmp_path / "m.csv").write_text("case,patient,image,mask\na,p,i.tif,m.tif\n")
    image = manifest(tmp_path / "m.csv", task="segmentation", classes=["background", "x"]).cases[0].read()
    assert image.spacing_mm == pytest.approx((0.003, 0.0005, 0.0005))
    assert np.array_equal(image.mask, image.array[0] > 50)
