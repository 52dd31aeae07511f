"""Identities planted in headers, file names, folder names and tables are searched in everything that commands leave."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from trials.planted_names import CANARY, UID, names_in, spoken

from equipoise.cohorts.identities import user_key
from equipoise.runfolder import registry_file
from equipoise.runfolder.paths import CASES

pytestmark = pytest.mark.usefixtures("jobs_here")
PROTOCOL = """
[cohort]
source = "manifest"
path = "cohort/KANARI-list.csv"
[split]
fractions = [0.5, 0.2, 0.3]
not_leaks = [["KANARI-case-000", "KANARI-case-001"]]
[training]
epochs = 1
batch_size = 8
seeds = [0, 1, 2]
[[arms]]
name = "tiny"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "sgd"
model = {name = "unet", preset = "tiny"}
optimizer = {name = "sgd", lr = 0.01}
"""


def dicom(file: Path, number: int, pixels: np.ndarray) -> None:
    """Write one picture whose header names a patient in every way that a header can."""
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{UID}.{number}.3"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.{UID}.{number}.1", f"1.2.{UID}.{number}.2"
    data.FrameOfReferenceUID = f"1.2.{UID}.{number}.4"
    data.PatientName, data.PatientID = f"{CANARY}^Ann{number}", f"{CANARY}-mrn-{number:03d}"
    data.PatientBirthDate, data.StudyDate, data.AccessionNumber = "19010203", "19040506", f"{CANARY}{number}"
    for tag in (
        "OtherPatientIDs", "PatientAddress", "PatientComments", "ReferringPhysicianName", "InstitutionName",
        "StationName", "StudyDescription", "SeriesDescription", "OperatorsName", "ProtocolName", "ImageComments",
        "DeviceSerialNumber", "RequestingPhysician", "PerformedProcedureStepDescription", "PatientMotherBirthName",
    ):  # fmt: skip
        setattr(data, tag, CANARY)
    block = data.private_block(0x0011, CANARY, create=True)
    block.add_new(0x01, "LO", CANARY)
    data.PatientSex, data.Modality, data.StudyID, data.SeriesNumber, data.InstanceNumber = "O", "OT", CANARY, 1, 1
    data.PhotometricInterpretation, data.SamplesPerPixel, (data.Rows, data.Columns) = "MONOCHROME2", 1, pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = pixels.tobytes()
    file.parent.mkdir(parents=True)
    data.save_as(file, enforce_file_format=True)


def cohort(folder: Path, cases: int = 36) -> None:
    """Write pictures, and a table whose columns, wanted or not, name patients."""
    rng = np.random.default_rng(0)
    rows = ["case,patient,image,label,sex,age,insurance,phone,ward"]
    for number in range(cases):
        place = f"{CANARY}-Doe^Ann-{number:03d}/{CANARY}-{number:03d}.dcm"
        pixels = rng.integers(0, 120, (32, 32)).astype(np.uint8)
        pixels[8:24, 8:24] += np.uint8(100 * (number % 2))
        dicom(folder / "cohort" / place, number, pixels)
        label = "sick" if number % 2 else "well"
        rows.append(
            f"{CANARY}-case-{number:03d},{CANARY}-patient-{number:03d},{place},{label},{'fm'[number // 2 % 2]},"
            f"{40 + number},{CANARY}-{number},{90817263000 + number},{CANARY}"
        )
    (folder / "cohort" / "KANARI-list.csv").write_text("\n".join(rows) + "\n")
    (folder / "protocol.toml").write_text(PROTOCOL)


def without_words(results: object) -> object:
    """Return the numbers of results: without times, names of cases, and the sentence on pseudonyms."""
    text = json.dumps(results, sort_keys=True)
    text = re.sub(r"KANARI-(case|patient)-(\d+)", "name", text)
    return re.sub(r"\b[cp]\d+-[0-9a-f]{10}\b", "name", text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    cohort(folder)
    return folder


@pytest.mark.trial
def test_no_planted_name_stands_in_any_output(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(place)
    run, out = tmp_path / "run", tmp_path / "out"
    out.mkdir()
    said = spoken(capsys, "check", "protocol.toml", "--page", str(out / "check.html"))
    (out / "check.json").write_text(spoken(capsys, "check", "protocol.toml", "--json", "--quiet"))
    said += spoken(capsys, "run", "protocol.toml", "--out", str(run))
    said += spoken(capsys, "report", str(run)) + spoken(capsys, "advise", str(run))
    said += spoken(capsys, "ledger", "deposit", str(run), "--out", str(out / "deposit.json"))
    said += spoken(capsys, "ledger", "verify", str(run))
    # The protocol is the user's own text, and says where the data are: its path is the one name that stays.
    protocol = run / "protocol.toml"
    stated = protocol.read_text()
    assert stated.count(CANARY) == 1, "the path alone, and no case"
    protocol.write_text(stated.replace(CANARY, ""))
    assert names_in(tmp_path) == []
    assert CANARY not in said
    protocol.write_text(stated)

    # The run resumes, also with plain ids in the protocol; and whoever has the data finds every case again.
    spoken(capsys, "run", "protocol.toml", "--out", str(run))
    listed = json.loads(spoken(capsys, "ids", "protocol.toml", "--run", str(run), "--json"))
    assert [row["case"] for row in listed] == [f"{CANARY}-case-{number:03d}" for number in range(36)]
    assert listed == json.loads(spoken(capsys, "ids", "protocol.toml", "--json")), "as any further trial will name them"
    shown = {line.split(",")[0] for line in (run / CASES).read_text().splitlines()[1:]}
    assert shown == {row["shown"] for row in listed}
    assert "sex,age" in (run / CASES).read_text().splitlines()[0]
    (one,) = json.loads(spoken(capsys, "ids", "protocol.toml", listed[3]["shown"], "--run", str(run), "--json"))
    assert one == listed[3]


@pytest.mark.trial
def test_pseudonyms_change_no_number(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, without_times) -> None:  # fmt: skip
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    plain = place / "plain.toml"
    plain.write_text(PROTOCOL.replace('source = "manifest"', 'source = "manifest"\nids = "plain"'))
    results = []
    for protocol, run in ((place / "protocol.toml", tmp_path / "run"), (plain, tmp_path / "plain")):
        # Each the first to open these test cases, which the other opens too.
        monkeypatch.setattr(registry_file, "cache_folder", lambda run=run: run.with_suffix(".openings"))
        spoken(capsys, "run", str(protocol), "--out", str(run))
        one = without_times(json.loads((run / "results.json").read_text()))
        one["cohort"].pop("notes", None)
        one.pop("ledger", None)
        one.pop("prior_openings", None)
        results.append(without_words(one))
    assert names_in(tmp_path / "plain")
    assert results[0] == results[1]


def test_the_key_is_its_users_alone(tmp_path: Path) -> None:
    key = user_key(tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert user_key(tmp_path / "cache") == key
    assert user_key(Path(os.devnull)) != key, "where none can be kept there is one for the call"


@pytest.mark.long
def test_an_audit_writes_pseudonyms_and_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    rows = ["arm,seed,case,patient,split,truth,score_well,score_sick"]
    for arm, skill in (("one", 1.0), ("two", 0.4)):
        for number in range(40):
            score = 1 / (1 + np.exp(-rng.normal(skill * (2 * (number % 2) - 1))))
            truth = "sick" if number % 2 else "well"
            rows.append(
                f"{arm},0,{CANARY}-{number:02d},{CANARY}-p{number // 2:02d},test,{truth},{1 - score:.6f},{score:.6f}"
            )
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    written = {}
    for ids in ("plain", "pseudonyms"):
        spoken(capsys, "audit", str(tmp_path / "table.csv"), "--ids", ids, "--out", str(tmp_path / ids))
        written[ids] = json.loads((tmp_path / ids / "results.json").read_text())
    assert names_in(tmp_path / "plain")
    assert names_in(tmp_path / "pseudonyms") == []
    assert without_words(written["plain"]) == without_words(written["pseudonyms"])
    table = (tmp_path / "pseudonyms" / "cases.csv").read_text().splitlines()
    assert [line.split(",")[3][:3] for line in table[1:5]] == ["c01", "c02", "c03", "c04"]


@pytest.mark.parametrize("ids", ["plain", "pseudonyms"])
def test_an_audit_prints_the_names_that_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: str) -> None:
    rng, rows = np.random.default_rng(3), ["arm,seed,case,patient,dice"]
    for arm in ("one", "two"):
        for number in range(40):
            patient = f"{CANARY}-{'pP'[number % 2]}{number // 2:02d}"  # two spellings, which a note names
            rows.append(f"{arm},0,{CANARY}-{number:02d},{patient},{rng.uniform(0.5, 0.9):.6f}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    command = ("audit", str(tmp_path / "table.csv"), "--ids", ids, "--out", str(tmp_path / "out"))
    words = spoken(capsys, *command) + spoken(capsys, *command, "--json")
    assert (CANARY in words) is (ids == "plain"), "what a command prints is sent on as its files are"
