"""Images and their masks, however they lie: init writes patterns, and check reads every case with its own mask."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.identities import with_pseudonyms
from equipoise.cohorts.layouts.generalise import mask_patterns
from equipoise.cohorts.layouts.pairs import pairs
from equipoise.cohorts.layouts.templates import Template
from equipoise.errors import CohortError, ProtocolError


def ids(cohort) -> list[str]:
    return [case.id for case in cohort.cases]


def is_same(image, picture: Path, mask: Path, values: tuple[int, ...]) -> bool:
    """Whether a case has the voxels of two files as nibabel or Pillow read them; `values` are those of the mask."""
    if picture.name.endswith((".nii", ".nii.gz")):
        pixels, stored = (np.asarray(nib.as_closest_canonical(nib.load(file)).dataobj).T for file in (picture, mask))
    else:
        pixels, stored = np.asarray(Image.open(picture)), np.asarray(Image.open(mask))
    return np.array_equal(image.array[0], pixels) and np.array_equal(np.array(values)[image.mask], stored)


@pytest.mark.long
def test_a_folder_for_each_case_as_kits(tmp_path: Path, write, started: Callable) -> None:
    for n in range(6):
        write.volume(tmp_path / f"case_{n:05d}" / "imaging.nii.gz")
        if n < 4:
            write.volume(tmp_path / f"case_{n:05d}" / "segmentation.nii.gz", (0, 1, 2))
        write.volume(tmp_path / f"case_{n:05d}" / "instances" / "kidney_instance-1_annotation-1.nii.gz", (0, 1))
    protocol, cohort = started(tmp_path)
    assert (protocol.cohort.source, protocol.split.patients, protocol.training.loss) == (
        "pairs",
        "stated",
        "dice-cross-entropy",
    )
    assert ids(cohort) == [f"case_{n:05d}" for n in range(4)]
    assert cohort.patients.tolist() == ids(cohort)
    assert cohort.classes == ("background", "label 1", "label 2")
    folder = tmp_path / "case_00002"
    assert is_same(cohort.cases[2].read(), folder / "imaging.nii.gz", folder / "segmentation.nii.gz", (0, 1, 2))
    assert [exclusion.reason for exclusion in cohort.excluded] == ["it has no mask"] * 2
    assert cohort.problems == ()


@pytest.mark.long
@pytest.mark.parametrize("second", [9, 12])
def test_frames_of_a_patient_as_acdc(tmp_path: Path, write, started: Callable, second: int) -> None:
    """The second frame differs between patients, or not: a frame is a case and never a structure."""
    for part, numbers in (("training", range(1, 5)), ("testing", range(101, 103))):
        for n in numbers:
            name = f"patient{n:03d}"
            write.volume(tmp_path / part / name / f"{name}_4d.nii.gz", shape=(6, 5, 3, 2))
            for frame in (1, second if n % 2 else 12):
                write.volume(tmp_path / part / name / f"{name}_frame{frame:02d}.nii.gz")
                write.volume(tmp_path / part / name / f"{name}_frame{frame:02d}_gt.nii.gz", (0, 1, 2, 3))
    protocol, cohort = started(tmp_path)
    assert protocol.split.scheme == "given"
    assert len(cohort) == 12
    assert set(cohort.patients) == {"patient001", "patient002", "patient003", "patient004", "patient101", "patient102"}
    assert [case.part for case in cohort.cases].count("test") == 4
    assert {len(image.mask.shape) for image in (case.read() for case in cohort.cases)} == {3}
    assert all("4d" in exclusion.case for exclusion in cohort.excluded)


@pytest.mark.long
def test_channels_of_one_mask_as_ucsf_and_not_the_other_masks(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        folder, name = tmp_path / f"UCSF-PDGM-{n:04d}_nifti", f"UCSF-PDGM-{n:04d}"
        for kind in ("T1", "T1_bias", "FLAIR"):
            write.volume(folder / f"{name}_{kind}.nii.gz")
        write.volume(folder / f"{name}_tumor_segmentation.nii.gz", (0, 1, 2, 4))
    protocol, cohort = started(tmp_path)
    assert cohort.channels == ("FLAIR", "T1", "T1_bias")
    assert cohort.patients.tolist() == [f"UCSF-PDGM-{n:04d}" for n in range(4)]
    assert protocol.cohort.settings["values"] == [0, 1, 2, 4]
    flair = write.stored(tmp_path / "UCSF-PDGM-0003_nifti" / "UCSF-PDGM-0003_FLAIR.nii.gz")
    assert np.array_equal(cohort.cases[3].read().array[0], flair)
    for n in range(4):
        write.volume(tmp_path / f"UCSF-PDGM-{n:04d}_nifti" / f"UCSF-PDGM-{n:04d}_brain_segmentation.nii.gz", (0, 1))
    with pytest.raises(CohortError, match="holds several kinds of masks .*; say which one is meant: .* --set mask="):
        started(tmp_path)
    _, chosen = started(tmp_path, mask="{patient}_nifti/{patient}_tumor_segmentation.nii.gz")
    assert chosen.channels == ("FLAIR", "T1", "T1_bias"), "the other mask is no image"
    assert chosen.fingerprint() == cohort.fingerprint()


@pytest.mark.long
def test_bids_with_derivatives_and_sessions(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        for session in ("ses-1", "ses-2"):
            name = f"sub-{n:02d}_{session}"
            write.volume(tmp_path / f"sub-{n:02d}" / session / "anat" / f"{name}_FLAIR.nii.gz")
            folder = tmp_path / "derivatives" / "manual_masks" / f"sub-{n:02d}" / session / "anat"
            write.volume(folder / f"{name}_label-lesion_mask.nii.gz", (0, 1))
    lines = ["participant_id\tage\tsex", *(f"sub-{n:02d}\t{40 + n}\tF" for n in range(4))]
    (tmp_path / "participants.tsv").write_text("\n".join(lines) + "\n")
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings["table"] == "participants.tsv"
    assert len(cohort) == 8
    assert sorted(set(cohort.patients)) == [f"sub-{n:02d}" for n in range(4)]
    assert dict(cohort.cases[3].attributes) == {"age": 41.0, "sex": "F", "session": "ses-2"}
    masks = tmp_path / "derivatives" / "manual_masks" / "sub-01" / "ses-2" / "anat"
    image = tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_FLAIR.nii.gz"
    assert is_same(cohort.cases[3].read(), image, masks / "sub-01_ses-2_label-lesion_mask.nii.gz", (0, 1))


@pytest.mark.long
def test_a_mask_named_after_one_image_belongs_to_that_one(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        for kind in ("T1w", "T2w"):
            write.volume(
                tmp_path / f"sub-{n}" / "anat" / f"sub-{n}_{kind}.nii.gz",
                shape=(6, 5, 4) if kind == "T1w" else (9, 9, 3),
            )
        write.volume(tmp_path / "derivatives" / "labels" / f"sub-{n}" / "anat" / f"sub-{n}_T1w_seg.nii.gz", (0, 1))
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings["images"] == ["{patient}/anat/{patient}_T1w.nii.gz"]
    assert "# left out: {patient}/anat/{patient}_T2w.nii.gz, which 4 of 4 have" in protocol.text
    assert (len(cohort), cohort.problems) == (4, ())


def structures(
    root: Path, write, names: dict[str, int], cases: int = 4, image: str = "ct.nii.gz"
) -> dict[str, np.ndarray]:
    """A case folder with a file for each structure; the truth by case as one array of numbers, (z, y, x)."""
    truth = {}
    for n in range(cases):
        folder = root / f"s{n:04d}"
        write.volume(folder / image)
        whole = write.stored(write.volume(folder / "whole.nii.gz", (0, *names.values())))
        (folder / "whole.nii.gz").unlink()
        (folder / "segmentations").mkdir()
        for name, value in names.items():
            stored = nib.Nifti1Image((whole == value).astype(np.uint8).T[::-1, ::-1], np.diag([-1.0, -1.0, 2.0, 1.0]))
            nib.save(stored, folder / "segmentations" / f"{name}.nii.gz")
        truth[f"s{n:04d}"] = whole
    return truth


@pytest.mark.long
def test_a_file_for_each_structure_as_totalsegmentator(tmp_path: Path, write, started: Callable) -> None:
    truth = structures(tmp_path, write, {"aorta": 1, "liver": 2, "spleen": 3})
    (tmp_path / "meta.csv").write_text("image_id;age;split\n" + "".join(f"s{n:04d};{50 + n};train\n" for n in range(4)))
    _, cohort = started(tmp_path)
    assert cohort.classes == ("background", "aorta", "liver", "spleen")
    for case in cohort.cases:
        assert np.array_equal(case.read().mask, truth[case.id])
        assert len(case.sha256) == 4
    assert cohort.cases[1].attributes["age"] == 51.0
    assert cohort.cases[1].part == "train"
    (tmp_path / "s0001" / "segmentations" / "liver.nii.gz").unlink()
    _, cohort = started(tmp_path)
    assert "1 cases lack the file of a structure" in cohort.notes[-1]
    assert 2 not in cohort.cases[1].read().mask


@pytest.mark.long
def test_structures_that_overlap_are_named_and_may_be_left_out(tmp_path: Path, write, started: Callable) -> None:
    truth = structures(tmp_path, write, {"liver": 1, "spleen": 2}, image="mri.nii.gz")
    for n in range(4):
        folder = tmp_path / f"s{n:04d}" / "segmentations"
        stored = nib.load(folder / "liver.nii.gz")
        nib.save(stored, folder / "liver_lobe.nii.gz")
    with pytest.raises(
        CohortError,
        match="of its voxels belong to another structure as well; leave one of the two out with cohort.classes",
    ):
        started(tmp_path)
    _, cohort = started(tmp_path, classes=["background", "liver", "spleen"])
    assert np.array_equal(cohort.cases[0].read().mask, truth["s0000"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/case_{}.png", "GT/case_{}.png"),
        ("Images/{}.png", "Masks/{}.png"),
        ("img/x{}.png", "Ground Truth/x{}_label.png"),
        ("img/img{:04d}.png", "label/label{:04d}.png"),
        ("JPEGImages/2007_{}.png", "SegmentationClass/2007_{}.png"),
        ("frames/{}.png", "frames/{}mask.png"),
        ("dwi/p{}_dwi.png", "lesion/p{}_msk.png"),
        ("ISIC_Task1-2_Training_Input/ISIC_{}.png", "ISIC_Task1_Training_GroundTruth/ISIC_{}_segmentation.png"),
        ("lesion-{}.png", "lesion-{}_mask.png"),
        ("volume-{}.png", "segmentation-{}.png"),
        ("scans/{}_img.png", "scans/{}_seg.png"),
        ("png/{}.png", "annotations/trimaps/{}.png"),
    ],
)
def test_pictures_with_masks_in_folders_or_beside(
    tmp_path: Path, write, started: Callable, image: str, mask: str
) -> None:
    for n in range(1, 13):  # 1 and 11 must not be mixed up
        write.picture(tmp_path / image.format(n))
        write.picture(tmp_path / mask.format(n), (0, 255))
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.task == "segmentation"
    assert (len(cohort), cohort.excluded, cohort.problems) == (12, (), ())
    assert (cohort.mask_values, cohort.spacing_stated) == ((0, 255), False)
    assert not cohort.patients_known
    assert protocol.split.patients == "guessed"
    for case in cohort.cases:
        n = next(n for n in range(1, 13) if image.format(n) in case.sha256)
        assert set(case.sha256) == {image.format(n), mask.format(n)}
        assert is_same(case.read(), tmp_path / image.format(n), tmp_path / mask.format(n), (0, 255))


@pytest.mark.long
def test_official_parts_and_endings_that_differ(tmp_path: Path, write, started: Callable) -> None:
    for part in ("train", "val", "test"):
        for n in range(3):
            write.picture(tmp_path / part / "images" / f"{n}.{'jpg' if n else 'png'}", rgb=True)
            write.picture(tmp_path / part / "masks" / f"{n}.png", (0, 1))
    protocol, cohort = started(tmp_path)
    assert protocol.split.scheme == "given"
    assert sorted({case.part for case in cohort.cases}) == ["test", "train", "validation"]
    assert len(cohort) == 9
    assert cohort.channels == ("red", "green", "blue")


@pytest.mark.long
def test_two_modalities_beside_one_mask_are_two_channels(tmp_path: Path, write, started: Callable) -> None:
    for n in range(5):
        for kind in ("CT", "PT"):
            write.volume(tmp_path / "imagesTr" / f"CHUM-{n:03d}__{kind}.nii.gz")
        write.volume(tmp_path / "labelsTr" / f"CHUM-{n:03d}.nii.gz", (0, 1, 2))
    _, cohort = started(tmp_path)
    assert cohort.channels == ("CT", "PT")
    assert np.array_equal(cohort.cases[1].read().array[1], write.stored(tmp_path / "imagesTr" / "CHUM-001__PT.nii.gz"))


@pytest.mark.long
def test_pictures_drawn_from_the_masks_are_no_channels(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        for folder in ("images", "overlays"):
            write.picture(tmp_path / folder / f"{n}.png")
        write.picture(tmp_path / "masks" / f"{n}.png", (0, 1))
    protocol, _ = started(tmp_path)
    assert protocol.cohort.settings["images"] == ["images/{case}.png"]
    assert "# left out: overlays/{case}.png, which 4 of 4 have" in protocol.text
    (tmp_path / "images").rename(tmp_path / "frames")
    with pytest.raises(
        CohortError, match=r"could be frames/\{case\}.png, overlays/\{case\}.png; say which are meant: --set images"
    ):
        started(tmp_path)
    _, cohort = started(tmp_path, images=["frames/{case}.png"])
    assert cohort.channels == ("image",)


@pytest.mark.long
def test_modalities_in_folders_of_their_own_are_channels(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        for folder in ("T1", "FLAIR"):
            write.volume(tmp_path / folder / f"p{n}.nii.gz")
        write.volume(tmp_path / "labels" / f"p{n}.nii.gz", (0, 1))
    _, cohort = started(tmp_path)
    assert np.array_equal(cohort.cases[2].read().array[1], write.stored(tmp_path / "T1" / "p2.nii.gz"))


@pytest.mark.long
def test_several_masks_of_one_image_are_one_structure(tmp_path: Path, write, started: Callable) -> None:
    for group in ("benign", "malignant"):
        for n in range(1, 6):
            write.picture(tmp_path / group / f"{group} ({n}).png")
            write.picture(tmp_path / group / f"{group} ({n})_mask.png", (0, 255))
    write.picture(tmp_path / "benign" / "benign (2)_mask_1.png", (0, 255))
    _, cohort = started(tmp_path, task="segmentation")
    assert len(cohort) == 10
    case = next(case for case in cohort.cases if len(case.sha256) == 3)
    both = [np.asarray(Image.open(tmp_path / "benign" / f"benign (2)_mask{end}.png")) for end in ("", "_1")]
    assert np.array_equal(case.read().mask, (both[0] | both[1]) > 0)
    assert case.attributes["group"] == "benign"


def test_a_pattern_is_searched_in_the_field_of_patients(tmp_path: Path, write) -> None:
    for side in "LR":
        write.picture(tmp_path / "images" / f"P1-{side}.png")
        write.picture(tmp_path / "masks" / f"P1-{side}.png", [0, 1])
    settings = {"images": "images/{patient}.png", "mask": "masks/{patient}.png", "classes": ["nothing", "spot"]}
    assert pairs(tmp_path, **settings).patients.tolist() == ["P1-L", "P1-R"]
    assert pairs(tmp_path, **settings, patient_pattern="(.+)-").patients.tolist() == ["P1", "P1"]


def test_patterns() -> None:
    template = Template("{patient}/{patient}_{case}_gt.nii.gz")
    assert template.match("p1/p1_a_gt.nii.gz") == {"patient": "p1", "case": "a"}
    assert template.match("p1/p2_a_gt.nii.gz") is None
    assert Template("x/*/{case}.png").match("x/y/1.png") == {"case": "1"}
    assert Template("x/*/{case}.png").match("x/y/z/1.png") is None
    assert Template("a/{case}.*").fill({"case": "1"}, ["a/1.png", "a/11.png"]) == "a/1.png"
    assert Template("a/{case}.*").fill({"case": "1"}, ["a/1.png", "a/1.jpg"]) == "a/1.*", "not one"
    for wrong in ("", "/etc/{case}", "../{case}", "{case", "a}b"):
        with pytest.raises(ProtocolError, match="write a path below cohort.path with fields"):
            Template(wrong)


def test_what_recurs_in_every_folder_is_told_from_what_differs() -> None:
    masks = [f"p{n}/{kind}_mask.nii" for n in range(3) for kind in ("brain", "tumor")]
    assert [pattern.text for pattern in mask_patterns(masks, ["p0/t1.nii"])] == [
        "{patient}/brain_mask.nii", "{patient}/tumor_mask.nii",
    ]  # fmt: skip
    images = [f"p{n}/{kind}.nii" for n in range(3) for kind in ("brain", "tumor")]
    assert [pattern.text for pattern in mask_patterns(masks, images)] == ["{patient}/{case}_mask.nii"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"classes": None}, "cohort.classes is missing"),
        ({"values": [0]}, "give each class its own value"),
        ({"images": ["{other}.png"]}, "has the field {other}, which cohort.mask lacks"),
        ({"mask": "{case}_nothing.png"}, "holds no file that fits cohort.mask"),
        ({"task": "classification"}, 'set cohort.task = "segmentation"'),
        ({"table": "t.csv"}, "has no column of the patients or cases"),
    ],
)
def test_wrong_settings_say_what_to_do(tmp_path: Path, write, settings: dict, reason: str) -> None:
    write.picture(tmp_path / "a.png")
    write.picture(tmp_path / "a_mask.png", (0, 1))
    (tmp_path / "t.csv").write_text("name,age\nz,1\n")
    with pytest.raises((CohortError, ProtocolError), match=reason):
        pairs(
            tmp_path, **{"images": ["{case}.png"], "mask": "{case}_mask.png", "classes": ["background", "x"]} | settings
        )


def saved(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels.astype(np.uint8), np.eye(4)), path)


def structure_files(folder: Path, names: dict[str, list[str]]) -> None:
    """One case for each patient with a box for each structure, one below the other."""
    for patient, structures in names.items():
        saved(folder / patient / "ct.nii.gz", np.random.default_rng(len(patient)).integers(0, 99, (6, 6, 4)))
        for row, structure in enumerate(structures):
            mask = np.zeros((6, 6, 4))
            mask[row] = 1
            saved(folder / patient / f"seg/{structure}.nii.gz", mask)


@pytest.mark.parametrize("other", ["Kidney_left", "kidney-left", "kidneyleft"])
def test_a_file_in_another_spelling_is_no_absent_structure(tmp_path: Path, other: str) -> None:
    structure_files(tmp_path, {"p1": ["liver", "kidney_left"], "patient": ["liver", other]})
    settings = {"images": "{patient}/ct.nii.gz", "mask": "{patient}/seg/{structure}.nii.gz"}
    cohort = pairs(tmp_path, **settings, classes=["background", "liver", "kidney_left"])
    (problem,) = cohort.problems
    assert problem.problem == f"it is called {other!r}, and the case lacks the structure 'kidney_left'"
    with pytest.raises(ProtocolError, match=r"leave cohort\.values out"):
        pairs(tmp_path, **settings, classes=["background", "liver", "kidney_left"], values=[0, 2, 1])


def test_a_structure_of_which_no_case_has_a_file_is_asked(tmp_path: Path) -> None:
    structure_files(tmp_path, {"p1": ["liver", "kidney"]})
    with pytest.raises(CohortError, match="no file of the structure 'kidneys' in any case"):
        pairs(
            tmp_path,
            images="{patient}/ct.nii.gz",
            mask="{patient}/seg/{structure}.nii.gz",
            classes=["background", "liver", "kidneys"],
        )


@pytest.mark.parametrize("name", ["MNR0046_s06", "MRN0064_s06", "mrn0046_s06", "MRN0046_s6", "MRN0046_s07"])
def test_a_mask_with_nearly_the_name_of_an_image_names_it(tmp_path: Path, name: str) -> None:
    """Of names with other digits nothing is said: they are other images."""
    for stem in ("MRN0001_s01", "MRN0002_s01", "MRN0005_s03", "MRN0046_s06"):
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            picture = np.zeros((4, 4), np.uint8)
            picture[0, : len(list((tmp_path / part).iterdir()))] = 1
            Image.fromarray(picture).save(tmp_path / part / f"{stem}.png")
    (tmp_path / "masks" / "MRN0005_s03.png").unlink()
    (tmp_path / "masks" / "MRN0046_s06.png").rename(tmp_path / "masks" / f"{name}.png")
    cohort = pairs(tmp_path, images="images/{case}.png", mask="masks/{case}.png", classes=["background", "tumour"])
    (problem,) = cohort.problems
    reasons = {one.case: one.reason for one in cohort.excluded}
    assert reasons["images/MRN0005_s03.png"] == "it has no mask"
    if name == "MRN0046_s07":
        assert (problem.problem, reasons["images/MRN0046_s06.png"]) == ("it is missing", "it has no mask")
        return
    near = "'images/MRN0046_s06.png', which has no mask, has nearly its name"
    assert (problem.problem, problem.remedy) == (
        f"it is missing, and {near}",
        "rename one of the two, or exclude the case",
    )
    assert reasons["images/MRN0046_s06.png"] == f"it has no mask, and there is one of '{name}.png', nearly its name"
    told = with_pseudonyms(cohort, bytes(32))
    assert "MRN" not in repr((told.excluded, told.problems))
