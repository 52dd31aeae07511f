"""Files beside the predictions are read by roles and recorded: name, SHA-256, number of cases and the columns used."""

import hashlib
from pathlib import Path

import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import AuditOptions, collect
from equipoise.evaluation.external.lists import PATIENTS, REFERENCE, read_list, training_list


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_list_is_recorded_with_its_hash_and_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "StudyID;MRN", "007;p1", "008;p1")
    record = read_list(path, "case", "patient", PATIENTS).record()
    assert record == {
        "path": str(path), "kind": "list of patients", "cases": 2, "columns": {"case": "StudyID", "patient": "MRN"},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_the_column_that_is_proposed_for_a_list_is_the_likely_one(tmp_path: Path) -> None:
    rows = [f"{k:04d};{k // 2:05d};{k / 7:.1f};{('gut', 'krank')[k % 2]}" for k in range(20)]
    path = written(tmp_path / "r.csv", "Befund Nr;Pat.-Nr.;mm;Histologie der Probe", *rows)
    with pytest.raises(EquipoiseError, match=r"--columns truth.case='Befund Nr'\)"):
        read_list(path, "case", "truth", REFERENCE)
    with pytest.raises(EquipoiseError, match=r"--columns truth.truth='Histologie der Probe'\)"):
        read_list(path, "case", "truth", REFERENCE, {"truth.case": ("Befund Nr",)})


def test_a_training_list_has_any_usual_form(tmp_path: Path) -> None:
    trained = training_list(written(tmp_path / "t.csv", "StudyID;Site", "007;x", "/data/008.nii.gz;y"))
    assert trained.names["case"] == {"007", "008"}
    assert trained.columns == {"case": "StudyID"}
    with pytest.raises(EquipoiseError, match="no row with a column 'case' or 'patient'"):
        training_list(written(tmp_path / "t.csv", "colour", "red"))


def test_the_reference_and_every_column_that_was_read_are_in_the_record(tmp_path: Path) -> None:
    reference = written(tmp_path / "ref.csv", "StudyID;Truth", "1;yes", "2;no", "3;no")
    a = written(tmp_path / "a.csv", "StudyID;Score;Remark", "1;0,9;x", "2;0,2;y", "3;0,4;z")
    b = written(tmp_path / "b.csv", "patient,probability", "1,0.8", "2,0.3", "3,0.1")
    read = collect([("A", a), ("B", b)], AuditOptions(truth=reference, cases_are_patients=True))
    assert [one.columns for one in read.sources] == [
        {"case": "StudyID", "score": "Score"}, {"patient": "patient", "case": "patient", "score": "probability"},
    ]  # fmt: skip
    (beside,) = read.lists
    assert (beside.path, beside.kind, beside.cases) == (str(reference), "reference", 3)
    assert beside.sha256 == hashlib.sha256(reference.read_bytes()).hexdigest()
    assert beside.columns == {"case": "StudyID", "truth": "Truth"}
    # How columns were read is no warning.
    assert read.notes == ()
    assert sum("read as the case" in one for one in read.readings) == 2
