"""Names of what a cohort or an audit leaves out or joins: damaged files, missing masks, rows of tables, spellings."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trials.planted_names import CANARY, UID, names_in, spoken

from equipoise.cohorts import Cohort
from equipoise.cohorts.identities import user_key, with_pseudonyms
from equipoise.cohorts.sources import load
from equipoise.protocol import CohortSection, Protocol
from equipoise.trials.lock import cases_table, describe_cohort
from equipoise.trials.names import names_of
from equipoise.trials.plan import plan

pytestmark = pytest.mark.usefixtures("jobs_here")
COLUMNS = ("case", "patient", "image", "label", "sex", "age", "egk", "share", "pin", "note", "ward")
PROTOCOL = """
[cohort]
source = "manifest"
path = "KANARI root/cohort/KANARI-list.csv"
on_problem = "exclude"
[split]
fractions = [0.5, 0.2, 0.3]
allow_leaks = true
[training]
epochs = 1
batch_size = 8
seeds = [0, 1]
[[arms]]
name = "tiny"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "sgd"
model = {name = "unet", preset = "tiny"}
optimizer = {name = "sgd", lr = 0.01}
"""
NAMES = [[f"{CANARY}-p{number}"] * 2 for number in range(22)]


def _row(number: int, patient: str) -> list[object]:
    """Return one row whose last columns name its patient by numbers of many kinds."""
    return [
        f"{CANARY} file {number:02d}", patient, f"{CANARY} file {number:02d}.png", "sick" if number % 2 else "well",
        "fm"[number // 2 % 2], 40 + number, f"{UID}{number:012d}", f".{UID}{number}", 1000 + 7 * number,
        f"{UID}{number:02d}", CANARY,
    ]  # fmt: skip


def pictures(folder: Path) -> None:
    """Write 44 pictures and their table: damaged files, a missing one, two spellings of a patient, equal pictures."""
    rng = np.random.default_rng(0)
    data = folder / "KANARI root" / "cohort"
    data.mkdir(parents=True)
    patients = [name for pair in NAMES for name in pair]
    patients[4:6] = ["KANARI-Schmidt P 05", "kanari-schmidt p5"]
    rows = [_row(number, patient) for number, patient in enumerate(patients)]
    for number, row in enumerate(rows):
        pixels = rng.integers(0, 120, (32, 32)).astype(np.uint8)
        pixels[8:24, 8:24] += np.uint8(100 * (number % 2))
        Image.fromarray(pixels).save(data / str(row[2]))
    whole = (data / str(rows[8][2])).read_bytes()
    (data / str(rows[8][2])).write_bytes(whole[: len(whole) // 2])
    (data / str(rows[11][2])).write_bytes(b"")
    (data / str(rows[14][2])).write_bytes(f"{CANARY} is no PNG".encode())
    for number in range(20, 40, 4):  # equal pictures of patients who are not one
        shutil.copy(data / str(rows[number][2]), data / str(rows[number + 2][2]))
    with (data / "KANARI-list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    (folder / "protocol.toml").write_text(PROTOCOL)


def written(cohort: Cohort) -> str:
    """Return everything of a cohort that a lock, a table of cases or a page can show."""
    shown = (cohort.notes, cohort.remarks, cohort.excluded, cohort.problems, cohort.joined)
    ids = [(case.id, case.patient, dict(case.attributes)) for case in cohort.cases]
    return json.dumps(describe_cohort(cohort)) + cases_table(cohort, ()) + repr(shown) + repr(ids)


@pytest.mark.long
def test_a_manifest_with_damage_names_nobody(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "KANARI root" / "cohort" / "KANARI file 17.png").unlink()
    for key in ("exclude", "stop"):
        (tmp_path / "protocol.toml").write_text(PROTOCOL.replace('"exclude"', f'"{key}"'))
        protocol = Protocol.load(tmp_path / "protocol.toml")
        cohort = plan(protocol, load(protocol.cohort, protocol.cohort_path, protocol.folder), "unused").cohort
        assert len(cohort) == 40
        assert CANARY in written(cohort)
        text = written(with_pseudonyms(cohort, bytes(32)))
        assert CANARY.lower() not in text.lower()
        assert UID not in text
        assert str(tmp_path) not in text
        assert "sex,age\n" in text
        assert "the columns egk, share, pin, note, ward of the table" in text


@pytest.mark.long
def test_ids_resolves_what_is_left_out_and_other_spellings(tmp_path: Path) -> None:
    """Every x-… that `check` shows leads back to the file in the data, and an original name to what outputs call it."""
    pictures(tmp_path)
    protocol = Protocol.load(tmp_path / "protocol.toml")
    cohort = plan(protocol, load(protocol.cohort, protocol.cohort_path, protocol.folder), "unused").cohort
    shown = with_pseudonyms(cohort, user_key())
    for number, old, new in zip((8, 11, 14), cohort.excluded, shown.excluded, strict=True):
        (row,) = names_of(protocol, None, [new.case])
        assert (row.shown, row.case) == (new.case, old.case)
        assert row.file.endswith(f"{CANARY} file {number:02d}.png")
        assert Path(row.file).is_file()
    old, new = cohort.cases[3], shown.cases[3]
    (row,) = names_of(protocol, None, [new.id])
    assert (row.case, Path(row.file).name) == (old.id, f"{old.id}.png")
    assert Path(row.file).is_file()
    assert all(row.file for row in names_of(protocol) if row.case)
    pseudonym = next(part for note in shown.notes for part in note.split("'") if part.startswith("x-"))
    assert [row.patient for row in names_of(protocol, None, [pseudonym])] == ["kanari-schmidt p5"]
    assert len(names_of(protocol)) == 41 + 3 + 1


@pytest.mark.long
@pytest.mark.parametrize("lacking", ["mask", "image"])
def test_missing_masks_and_masks_without_an_image_name_nobody(lacking: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(8):
        place = tmp_path / f"{CANARY}-Doe {number}"
        place.mkdir()
        for name in ("image", "mask"):
            if number < 6 or name != lacking:
                pixels = rng.integers(0, 255, (16, 16)).astype(np.uint8)
                pixels = pixels if name == "image" else np.where(pixels > 99, 255, 0).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{CANARY} {number} {name}.png")
    section = {"source": "pairs", "path": str(tmp_path), "task": "segmentation", "classes": ["background", "organ"],
               "values": [0, 255], "images": "{patient}/{case} image.png", "mask": "{patient}/{case} mask.png",
               "on_problem": "exclude"}  # fmt: skip
    cohort = load(CohortSection.model_validate(section), tmp_path)
    assert len(cohort) == 6
    assert CANARY in written(cohort)
    assert CANARY not in written(with_pseudonyms(cohort, bytes(32)))


def dicom_series(folder: Path, number: int, series: int) -> None:
    """Write one slice of a series whose header and file names name a patient."""
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{UID}.{number}.{series}.3"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.{UID}.{number}.1", f"1.2.{UID}.{number}.{series}.2"
    data.PatientName, data.PatientID, data.AccessionNumber = f"{CANARY}^Ann", f"{CANARY}-{number}", f"{CANARY}{number}"
    data.SeriesDescription = data.StudyDescription = data.InstitutionName = f"{CANARY} clinic"
    data.Modality, data.SeriesNumber, data.InstanceNumber = "OT", series, 1
    data.PhotometricInterpretation, data.SamplesPerPixel, data.Rows, data.Columns = "MONOCHROME2", 1, 8, 8
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = bytes(range(64))
    folder.mkdir(parents=True, exist_ok=True)
    data.save_as(folder / f"{CANARY}-{series}.dcm", enforce_file_format=True)


@pytest.mark.long
def test_headers_of_dicom_files_that_are_left_out_name_nobody(tmp_path: Path) -> None:
    rows = ["case,patient,image,label"]
    for number in range(8):
        place = f"{CANARY}-Doe {number}"
        for series in range(1 + (number > 5)):  # two series in one folder are a question
            dicom_series(tmp_path / place, number, series)
        rows.append(f"{CANARY}-c{number},{CANARY}-p{number % 2},{place},{'ab'[number % 2]}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    section = {"source": "manifest", "path": str(tmp_path / "list.csv"), "on_problem": "exclude"}
    cohort = load(CohortSection.model_validate(section), tmp_path / "list.csv")
    assert (len(cohort), len(cohort.excluded)) == (6, 2)
    assert f"{CANARY} clinic" in written(cohort)
    text = written(with_pseudonyms(cohort, bytes(32)))
    assert "it holds 2 series: … (OT, '…', 1 files); … (OT, '…', 1 files)" in text
    assert CANARY not in text
    assert UID not in text


@pytest.mark.trial
def test_a_trial_names_nothing_that_it_leaves_out_or_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, run, out = tmp_path / "hospital", tmp_path / "outputs" / "run", tmp_path / "outputs" / "out"
    out.mkdir(parents=True)
    pictures(place)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "outputs" / "cache"))
    monkeypatch.chdir(place)
    record = spoken(capsys, "check", "protocol.toml", "--page", str(out / "check.html"))
    (out / "check.json").write_text(spoken(capsys, "check", "protocol.toml", "--json", "--quiet"))
    record += spoken(capsys, "run", "protocol.toml", "--out", str(run))
    record += spoken(capsys, "report", str(run)) + spoken(capsys, "advise", str(run))
    record += spoken(capsys, "watch", str(run), "--once") + spoken(capsys, "ledger", "verify", str(run))
    (run / "protocol.toml").write_text("")  # it says where the data are
    assert names_in(tmp_path / "outputs") == []
    assert CANARY.lower() not in record.lower()
    assert UID not in record
    results = json.loads((run / "results.json").read_text())
    assert sum(row["cases"] for row in results["cohort"]["excluded"]) == 3
    assert any("taken for one" in note for note in results["cohort"]["notes"])
    assert "leak" in record


@pytest.mark.long
def test_an_audit_names_nothing_that_it_leaves_out_or_joins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    rows = ["arm,seed,case,patient,split,truth,score_well,score_sick,mrn_no,note,egk"]
    for arm, skill in (("one", 1.0), ("two", 0.4)):
        for number in range(40):
            score = 1 / (1 + np.exp(-rng.normal(skill * (2 * (number % 2) - 1))))
            patient = {4: "KANARI-Schmidt P 05", 5: "kanari-schmidt p5"}.get(number, f"{CANARY}-p{number // 2:02d}")
            if number == 39 and arm == "two":
                continue  # a case that one arm lacks
            rows.append(
                f"{arm},0,{CANARY}-{number:02d},{patient},test,{'sick' if number % 2 else 'well'},{1 - score:.6f},"
                f"{score:.6f},{UID}{number:02d},.{UID}{number},{UID}{number:012d}"
            )
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "training.csv").write_text(f"case,patient\nx,{CANARY}-p03\n")
    given = ("audit", str(tmp_path / "table.csv"), "--common-cases", "--training", str(tmp_path / "training.csv"))
    for ids in ("plain", "pseudonyms"):
        spoken(capsys, *given, "--allow-trained", "--ids", ids, "--out", str(tmp_path / ids))
    assert names_in(tmp_path / "plain")
    assert names_in(tmp_path / "pseudonyms") == []
    page = (tmp_path / "pseudonyms" / "report.html").read_text()
    assert "taken for one" in page
    assert "leave out the columns mrn_no, note, egk" in page
    head = (tmp_path / "pseudonyms" / "cases.csv").read_text().splitlines()[0]
    assert head == "arm,fold,seed,case,patient,truth,score_well,score_sick"
