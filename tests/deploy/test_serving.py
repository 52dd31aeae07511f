"""A served bundle answers as `predict` does, bit for bit; what is sent wrongly is refused in one sentence."""

import io
import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from deploy_bundles import contract_for, make_bundle
from dicom_series import write_volume
from PIL import Image as Picture
from test_predict import affine, save, volume

from equipoise.deploy.predict import predict
from equipoise.preprocessing import Pipeline

REASON = 'not installed: pip install -r requirements/serve.txt, or "equipoise[serve]"'
for name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(name, reason=f"{name} is {REASON}")

from serving_client import multipart, served  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a bundle and a volume, and what `predict` answers to it."""
    folder = tmp_path_factory.mktemp("served")
    make_bundle(folder / "bundle")
    save(folder / "v.nii.gz", volume()[0], affine(turn=0.3))
    predict(folder / "bundle", [folder / "v.nii.gz"], folder / "plain", formats="nifti,json")
    return folder


@pytest.fixture(scope="module")
def study(place):
    """The files of a DICOM series, as a patient's disc has them; `predict` has answered them too."""
    whole = np.random.default_rng(1).integers(0, 3, (6, 9, 8))
    write_volume(place / "series", whole, np.diag([0.5, 1.0, 2.0, 1.0]))
    predict(place / "bundle", [place / "series"], place / "dicom", formats="nifti,json,seg,sr,rtstruct,labelmap")
    return [(f"STUDY/{file.name}", file.read_bytes()) for file in sorted((place / "series").iterdir())]


@pytest.fixture(scope="module")
def client(place):
    """The bundle, served."""
    with served(place / "bundle", place) as one:
        yield one


def zipped(files, how=zipfile.ZIP_DEFLATED):
    """A zip file of (name, content)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


def of_answer(folder):
    """The row of an answer of `predict`, without the name of its case."""
    row = json.loads((folder / "answer.json").read_text())["row"]
    del row["case"]
    return row


def test_a_volume_is_answered_as_by_predict(place, client):
    status, answer = client.predict((place / "v.nii.gz").read_bytes(), kind="application/gzip")
    assert (status, answer["row"].pop("case")) == (200, "case")
    assert answer["row"] == of_answer(place / "plain" / "v")
    status, mask = client.predict((place / "v.nii.gz").read_bytes(), "?as=nifti")
    assert (status, mask) == (200, (place / "plain" / "v" / "mask.nii.gz").read_bytes())


@pytest.mark.long
@pytest.mark.parametrize("way", ["zip", "form", "form of a zip", "related"])
def test_a_dicom_study_is_answered_as_by_predict(place, client, study, way):
    files = [("STUDY/README.TXT", b"a viewer"), ("__MACOSX/._IM0", b"x"), ("DICOMDIR", b"index"), *study]
    body, kind = zipped(files), "application/zip"
    if way == "form":
        body, kind = multipart([("file", name, content) for name, content in study])
    elif way == "form of a zip":
        body, kind = multipart([("study", "study.zip", body)])
    elif way == "related":
        head = b"--edge\r\nContent-Type: application/dicom\r\n\r\n"
        body = b"".join(head + content + b"\r\n" for _, content in study) + b"--edge--\r\n"
        kind = 'multipart/related; type="application/dicom"; boundary=edge'
    status, content = client.predict(body, "?as=json,nifti,seg,sr,rtstruct,labelmap", kind)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        answers = {name: archive.read(name) for name in archive.namelist()}
    there = place / "dicom" / "series"
    row = json.loads(answers.pop("answer.json"))["row"]
    del row["case"]
    assert row == of_answer(there)
    assert answers.pop("mask.nii.gz") == (there / "mask.nii.gz").read_bytes()
    assert set(answers) == {"seg.dcm", "sr.dcm", "rtstruct.dcm", "labelmap.dcm"}
    for name, answer in answers.items():
        assert without_times(answer) == without_times((there / name).read_bytes()), name


def without_times(content):
    """A DICOM object but for when it was written, and the number that its writer draws for the list of dimensions."""
    data = pydicom.dcmread(io.BytesIO(content))
    for element in list(data.iterall()):
        if element.VR in ("DA", "TM", "DT"):
            element.value = ""
    return re.sub(r"1\.2\.826\.0\.1\.3680043\.10\.511\.3\.\d+", "drawn", data.to_json())


@pytest.mark.long
def test_a_picture_and_several_channels_are_answered_as_by_predict(tmp_path):
    flat = replace(
        contract_for("label"), spatial_dims=2, channels=("red", "green", "blue"),
        pipeline=Pipeline.from_settings({"scale": "none"}),
    )  # fmt: skip
    bundle = make_bundle(tmp_path / "flat", flat)
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (9, 8, 3), np.uint8)).save(tmp_path / "p.png")
    predict(bundle, [tmp_path / "p.png"], tmp_path / "out")
    with served(bundle, tmp_path) as client:
        status, answer = client.predict((tmp_path / "p.png").read_bytes(), kind="image/png")
        assert (status, answer["row"] | {"case": "p"}) == (200, of_answer(tmp_path / "out" / "p") | {"case": "p"})
        assert client.predict(b"x", "?as=nifti", "image/png")[0] == 400
        assert client.predict(b"x", "?as=seg", "image/png")[0] == 400
    bundle = make_bundle(tmp_path / "two", replace(contract_for(), channels=("t1", "flair")))
    files = [save(tmp_path / f"a_{name}.nii.gz", volume(k)[0], affine()) for k, name in enumerate(("t1", "flair"))]
    folder = tmp_path / "case"
    folder.mkdir()
    for file in files:
        file.rename(folder / file.name)
    predict(bundle, [folder], tmp_path / "out2", formats="nifti")
    with served(bundle, tmp_path) as client:
        t1, flair = ((folder / f"a_{name}.nii.gz").read_bytes() for name in ("t1", "flair"))
        there = (tmp_path / "out2" / "a" / "mask.nii.gz").read_bytes()
        for parts in (
            [("flair", "x", flair), ("t1", "y", t1)],
            [("f", "b-flair.nii.gz", flair), ("f", "b-t1.nii.gz", t1)],
        ):
            assert client.predict(multipart(parts)[0], "?as=nifti", multipart(parts)[1]) == (200, there)
        assert client.predict(zipped([("b_flair.nii.gz", flair), ("b_t1.nii.gz", t1)]), "?as=nifti")[1] == there
        for parts in ([("t1", "", t1), ("t1", "", flair)], [("t1", "", t1)] * 3, [("a", "a.nii", t1), ("b", "", t1)]):
            status, answer = client.predict(*multipart(parts)[:1], kind=multipart(parts)[1])
            assert status == 422
            assert "one for each of the channels t1, flair" in answer["error"]


@pytest.mark.long
def test_who_asks_is_checked_first(place, client):
    body = (place / "v.nii.gz").read_bytes()
    assert client.predict(body, token="wrong")[0] == 401
    assert client.ask("GET", "/bundle", token="")[0] == 401
    assert client.predict(body, f"?token={client.token}", token="x")[0] == 401
    assert client.predict(body, Origin="http://127.0.0.1")[0] == 403
    assert client.predict(body, Host="evil.example:80")[0] == 403
    assert client.predict(body, Host="localhost")[0] == 200
    for path in ("/", "/health", "/openapi.json"):
        assert client.ask("GET", path, token="")[0] == 200
        assert client.ask("GET", path, token="", Origin="http://evil.example")[0] == 403
    about = json.loads(client.ask("GET", "/bundle")[2])
    assert about["bundle"] == json.loads((place / "plain" / "done.json").read_text())["bundle"]
    assert about["channels"] == ["image"]


def test_the_description_is_complete_and_needs_nothing_else(client):
    page = client.ask("GET", "/")[2].decode()
    assert "http" not in page.replace("http://127.0.0.1:PORT/predict", "")
    for word in ("<script", "<link", "<img", "src="):
        assert word not in page
    described = json.loads(client.ask("GET", "/openapi.json")[2])
    assert set(described["paths"]) == {"/health", "/bundle", "/openapi.json", "/predict"}
    post = described["paths"]["/predict"]["post"]
    assert {"200", "401", "408", "413", "415", "422", "429"} <= set(post["responses"])
    assert [one["name"] for one in post["parameters"]] == ["as", "strict", "series"]


@pytest.mark.long
def test_what_is_wrong_is_one_sentence(place, client):
    good = (place / "v.nii.gz").read_bytes()
    for query, text in (
        ("?as=nift", "did you mean 'nifti'"),
        ("?as=json&x=1", "'x' is unknown"),
        ("?strict=2", "strict"),
    ):
        status, answer = client.predict(good, query)
        assert (status, text in answer["error"]) == (400, True), answer
    assert client.predict(b"")[0] == 400
    for body, kind, status in (
        (b"{}", "application/json", 415), (good, "image/png", 415), (b"text", "application/octet-stream", 415),
        (good[:-9], "application/gzip", 422), (b"PK\x03\x04 no zip", "application/zip", 422),
    ):  # fmt: skip
        assert client.predict(body, kind=kind)[0] == status, kind
    assert client.predict(good, Content_Encoding="gzip")[0] == 415
    status, answer = client.predict(good, "?as=seg")
    assert (status, "as=nifti" in answer["error"], "--as" in answer["error"]) == (422, True, False)
    far = save(place / "far.nii.gz", volume()[0] * 50, affine())
    status, answer = client.predict(far.read_bytes(), "?strict=1")
    assert (status, "outside what the network was trained on" in answer["error"]) == (422, True)
    _, headers, _ = client.ask("POST", "/predict", far.read_bytes(), "application/gzip")
    assert "outside the training limits: the 1st percentile" in json.loads(headers["equipoise-warnings"])[0]
    assert "series names a DICOM series" in client.predict(good, "?series=1.2")[1]["error"]


@pytest.mark.long
def test_studies_that_are_not_one_series_of_one_patient_are_refused(place, client, study):
    files = list(study)
    other = pydicom.dcmread(io.BytesIO(files[2][1]))
    other.PatientID = "SECRET^P2"
    stream = io.BytesIO()
    other.save_as(stream)
    status, answer = client.predict(zipped([*files[:2], ("c", stream.getvalue()), *files[3:]]))
    assert (status, "its patient 'SECRET^P2' differs" in answer["error"]) == (422, True)
    assert "equipoise-serve" not in answer["error"]  # no path of this machine
    write_volume(place / "second", np.zeros((6, 9, 8), int), np.eye(4), series="1.2.4")
    both = [*files, *((f"s/{file.name}", file.read_bytes()) for file in (place / "second").iterdir())]
    status, answer = client.predict(zipped(both))
    assert (status, "it holds 2 series" in answer["error"]) == (422, True)
    uid = pydicom.dcmread(io.BytesIO(files[0][1])).SeriesInstanceUID
    status, answer = client.predict(zipped(both), f"?series={uid}")
    assert (status, answer["row"]["lesion_ml"]) == (200, of_answer(place / "dicom" / "series")["lesion_ml"])
    assert client.predict(zipped([*files, ("v.nii.gz", (place / "v.nii.gz").read_bytes())]))[0] == 422
    assert client.predict(zipped(files[:2] + files[3:]))[0] == 422  # a gap


@pytest.mark.long
def test_patients_are_not_in_the_log(client, study):
    files, name = list(study), "GEHEIM^ANNA"
    changed = []
    for file, content in files:
        data = pydicom.dcmread(io.BytesIO(content))
        data.PatientName, data.PatientID, data.StudyDescription = name, name, name
        stream = io.BytesIO()
        data.save_as(stream)
        changed.append((f"{name}/{file}", stream.getvalue()))
    assert client.predict(zipped(changed))[0] == 200
    assert client.predict(zipped(changed[:2] + changed[3:]), f"?series={name}")[0] == 422
    assert client.predict(zipped(changed[:2] + files[2:]))[0] == 422
    client.ask("GET", f"/{name}")
    assert client.log
    assert not any("GEHEIM" in line or client.token in line or "P1" in line for line in client.log)
