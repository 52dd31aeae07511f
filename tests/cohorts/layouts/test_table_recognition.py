"""Tables as people and public sets have them: read where certain, else a sentence about this table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.layouts.manifest import manifest, posix
from equipoise.errors import CohortError, ProtocolError


def table(root: Path, name: str, *lines: str, encoding: str = "utf-8") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return root / name


def pictures(root: Path, write, *names: str, rgb: bool = False) -> None:
    for name in names:
        write.picture(root / name, rgb=rgb)


def test_a_table_of_a_spreadsheet_abroad(tmp_path: Path, write, started: Callable) -> None:
    pictures(tmp_path, write, *(f"Bilder/n{n}.png" for n in range(6)))
    lines = [f"Bilder\\n{n}.png;{'bös' if n % 2 else 'gut'};{n},5;P{n}" for n in range(6)]
    table(tmp_path, "Liste.csv", "Image;Diagnosis;Größe;Patient ID", *lines, encoding="cp1252")
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.source == "manifest"
    assert cohort.class_counts() == {"bös": 3, "gut": 3}
    assert cohort.cases[3].attributes["Größe"] == 3.5
    assert cohort.patients_known
    assert np.array_equal(cohort.cases[3].read().array[0], np.asarray(Image.open(tmp_path / "Bilder" / "n3.png")))


def test_paths_of_windows() -> None:
    assert [posix(text) for text in (r".\a\b.png", r"a\b", "a/b", "C:\\x\\y.png")] == [
        "a/b.png",
        "a/b",
        "a/b",
        "C:/x/y.png",
    ]


@pytest.mark.long
def test_images_named_without_ending_in_a_folder_beside(tmp_path: Path, write, started: Callable) -> None:
    """As a challenge hands them out: ids, a folder of images, a test table without labels, a sample to submit."""
    pictures(tmp_path, write, *(f"train_images/{n:06x}.png" for n in range(9)), rgb=True)
    pictures(tmp_path, write, *(f"test_images/{n:06x}.png" for n in range(9, 12)), rgb=True)
    table(tmp_path, "train.csv", "id_code,diagnosis", *(f"{n:06x},{n % 3}" for n in range(9)))
    table(tmp_path, "test.csv", "id_code", *(f"{n:06x}" for n in range(9, 12)))
    table(tmp_path, "sample_submission.csv", "id_code,diagnosis", *(f"{n:06x},0" for n in range(9, 12)))
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings == {"files": "train_images/{image}.png"}
    assert cohort.class_counts() == {"0": 3, "1": 3, "2": 3}
    assert cohort.problems == ()


@pytest.mark.long
def test_lesions_in_two_folders(tmp_path: Path, write, started: Callable) -> None:
    pictures(tmp_path, write, *(f"HAM10000_images_part_{1 + n % 2}/ISIC_{n:07d}.jpg" for n in range(8)), rgb=True)
    lines = [f"HAM_{n // 2},ISIC_{n:07d},{['mel', 'nv'][n // 2 % 2]},{'' if n == 3 else 45.0}" for n in range(8)]
    table(tmp_path, "HAM10000_metadata.csv", "lesion_id,image_id,dx,age", *lines)
    _, cohort = started(tmp_path)
    assert cohort.class_counts() == {"mel": 4, "nv": 4}
    assert len(set(cohort.patients)) == 4, "images of one lesion stay together"
    assert "states lesions and no patients" in cohort.notes[0]
    write.picture(tmp_path / "HAM10000_images_part_2" / "ISIC_0000000.jpg", rgb=True)
    assert manifest(tmp_path / "HAM10000_metadata.csv", files="*/{image}.jpg").problems[0].problem == "it is missing"


@pytest.mark.long
def test_one_column_for_each_class(tmp_path: Path, write, started: Callable) -> None:
    pictures(tmp_path, write, *(f"Input/I{n}.jpg" for n in range(6)), rgb=True)
    hot = ["1.0,0.0,0.0", "0.0,1.0,0.0", "0.0,0.0,1.0"]
    file = table(tmp_path, "GroundTruth.csv", "image,MEL,NV,BCC", *(f"I{n},{hot[n % 3]}" for n in range(6)))
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings["columns"] == {"label": ["MEL", "NV", "BCC"]}
    assert cohort.labels.tolist() == [0, 1, 2, 0, 1, 2]
    table(tmp_path, "GroundTruth.csv", "image,MEL,NV,BCC", *(f"I{n},{hot[n % 3]}" for n in range(5)), "I5,1.0,1.0,0.0")
    cohort = manifest(file, files="Input/{image}.jpg", columns={"label": ["MEL", "NV", "BCC"]})
    assert [problem.problem for problem in cohort.problems] == ["2 of its 3 columns of classes hold 1"]


@pytest.mark.long
def test_many_findings_are_asked_and_uncertain_ones_stay_apart(tmp_path: Path, write, started: Callable) -> None:
    root = tmp_path / "CheXpert-v1.0-small"
    names = [f"train/patient{n:05d}/study1/view1_frontal.jpg" for n in range(12)]
    pictures(root, write, *names)
    lines = [
        f"{root.name}/{name},Female,{['1.0', '0.0', '-1.0', ''][n % 4]},{float(n % 2)}" for n, name in enumerate(names)
    ]
    table(root, "train.csv", "Path,Sex,Cardiomegaly,Edema", *lines)
    with pytest.raises(
        CohortError,
        match="has the columns Path, Sex, Cardiomegaly, Edema, and none is recognised .* --set columns.label=",
    ):
        started(root)
    protocol, cohort = started(root, columns={"label": "Cardiomegaly"})
    assert protocol.cohort.settings["files"] == "../{image}"
    assert cohort.class_counts() == {"-1.0": 3, "0.0": 3, "1.0": 3}
    assert len(cohort.problems) == 3, "those without a label"
    assert cohort.cases[0].patient == "patient00000"
    _, two = started(root, columns={"label": "Cardiomegaly"}, classes=["0", "1"])
    assert {problem.problem for problem in two.problems} == {
        "it has the label '-1.0'; the classes are 0, 1",
        "it has no label",
    }


@pytest.mark.parametrize("nothing", ["", "NA", "NaN", "None", "?"])
def test_a_row_without_a_label_is_a_problem_that_may_be_left_out(tmp_path: Path, write, nothing: str) -> None:
    pictures(tmp_path, write, *(f"{n}.png" for n in range(6)))
    labels = ["a", "b", nothing, "a", "b", "a"]
    file = table(tmp_path, "m.csv", "case,image,label", *(f"c{n},{n}.png,{label}" for n, label in enumerate(labels)))
    cohort = manifest(file)
    assert cohort.classes == ("a", "b")
    assert [problem.case for problem in cohort.problems] == ["c2"]
    without = manifest(file, on_problem="exclude")
    assert (len(without), [row.case for row in without.excluded]) == (5, ["c2"])
    if nothing:
        assert manifest(file, classes=["a", "b", nothing]).class_counts() == {"a": 3, "b": 2, nothing: 1}


def test_zero_is_zero_and_one_image_has_one_truth(tmp_path: Path, write) -> None:
    pictures(tmp_path, write, *(f"{n}.png" for n in range(6)))
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    rows = ["0.png,0", "1.png,0.0", "2.png,1", "3.png,1.0", "4.png,0", "5.png,1", "copy.png,1"]
    cohort = manifest(table(tmp_path, "m.csv", "image,label", *rows))
    assert cohort.class_counts() == {"0": 2, "1": 3}
    assert {(problem.case, problem.problem.split(",")[0]) for problem in cohort.problems} == {
        ("0.png", "its image is also that of case copy.png"),
        ("copy.png", "its image is also that of case 0.png"),
    }
    rows[-1] = "copy.png,0.0"
    assert manifest(table(tmp_path, "m.csv", "image,label", *rows)).problems == ()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ["id;bild;art", "1;a.png;x", "2;b.png;y"],
            "has the columns id, bild, art, and none is recognised as the one that holds the images",
        ),
        (
            ["image,kind", "a.png,x", "b.png,y"],
            "none is recognised as the one that is the class, or holds the masks' files; rename it to 'label'",
        ),
        (
            ["filepath,label", "x/a.png,1", "x/b.png,0"],
            "names images that do not exist, first 'x/a.png', .* --set files=",
        ),
        (["image,path,label", "C:\\a.png,x,1", "C:\\b.png,y,0"], "names images that do not exist, first 'C:/a.png'"),
        (["image,class,target", "a.png,x,1", "b.png,y,0"], "2 columns that could be the label .*class, target"),
        (["image,label", "a.png,1", "b.png,0,5"], "row 3 has 3 values for 2 columns"),
    ],
)
def test_a_manifest_that_exists_is_never_answered_with_writing_one(
    tmp_path: Path, write, started: Callable, lines: list[str], reason: str
) -> None:
    pictures(tmp_path, write, "a.png", "b.png")
    table(tmp_path, "manifest.csv", *lines)
    with pytest.raises((CohortError, ProtocolError), match=reason) as refusal:
        started(tmp_path)
    assert "write a manifest" not in str(refusal.value)
