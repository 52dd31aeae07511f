"""A round trip through a real archive on this machine: images in, answers out, and back the same."""

import io
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from deploy_bundles import make_bundle
from dicom_series import AXIAL, SAGITTAL, turned, write_volume

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.deploy.predict import predict

SIDES, SPACING = (7, 18, 16), (2.5, 0.8, 0.6)
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
STORESCU = shutil.which("storescu")
pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Archive:
    """An Orthanc that listens on loopback alone, with its storage in a folder of the test."""

    def __init__(self, folder):
        self.port, self.dicom = free_port(), free_port()
        settings = {
            "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": self.port,
            "DicomPort": self.dicom, "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True, "Plugins": [],
            "DicomServerEnabled": True, "AuthenticationEnabled": False, "DicomCheckCalledAet": False,
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))
        # Its own settings first: without a file it would read those of the machine.
        self.process = subprocess.Popen(
            [ORTHANC, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        for _ in range(300):
            try:
                self.ask("system")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.process.kill()
        raise AssertionError("Orthanc did not start")

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def json(self, path, body=None):
        return json.loads(self.ask(path, body))

    def store(self, *files):
        """Send files by C-STORE."""
        # Only the kinds that the files are: its usual list has no segmentations.
        command = [STORESCU, "--required", "-aec", "ORTHANC", "127.0.0.1", str(self.dicom), *map(str, files)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


@pytest.fixture
def archive(tmp_path):
    if ORTHANC is None or STORESCU is None:
        pytest.skip("Orthanc and storescu (of dcmtk) are not installed: apt-get install orthanc dcmtk")
    folder = tmp_path / "archive"
    folder.mkdir()
    one = Archive(folder)
    try:
        yield one
    finally:
        one.process.terminate()
        one.process.wait(20)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL], ids=["axial", "oblique sagittal"])
def test_answers_come_back_from_the_archive_as_they_were_sent(archive, tmp_path, axes):
    values = np.random.default_rng(0).integers(0, 3, SIDES)
    place = np.diag([*SPACING[::-1], 1.0])
    series = write_volume(tmp_path / "series", values, place if axes == AXIAL else turned(place), axes)
    archive.store(*sorted(series.iterdir()))
    # What comes out of the archive is predicted, and not what was sent.
    (name,) = archive.json("series")
    fetched = tmp_path / "fetched"
    with zipfile.ZipFile(io.BytesIO(archive.ask(f"series/{name}/archive"))) as packed:
        packed.extractall(fetched)
    bundle = make_bundle(tmp_path / "bundle", sides=SIDES, spacing=SPACING)
    assert predict(bundle, [fetched], tmp_path / "out", formats="seg,sr,nifti").answered == 1
    answers = tmp_path / "out" / "fetched"
    archive.store(answers / "seg.dcm", answers / "sr.dcm")
    (study,) = archive.json("studies")  # in the study of the images
    kinds = {one["MainDicomTags"]["Modality"]: one for one in archive.json(f"studies/{study}/series")}
    assert set(kinds) == {"CT", "SEG", "SR"}
    for kind, file in (("SEG", "seg.dcm"), ("SR", "sr.dcm")):
        (instance,) = kinds[kind]["Instances"]
        back = tmp_path / f"back-{file}"
        back.write_bytes(archive.ask(f"instances/{instance}/file"))
        if kind == "SEG":
            scan = read_dicom_series(series)
            masks = read_segmentation(back, scan)
            for mask, wanted in zip(masks.masks, (scan.array[0] == 1, scan.array[0] >= 2), strict=True):
                assert np.array_equal(mask, wanted)
    tags = archive.json(f"instances/{kinds['SEG']['Instances'][0]}/simplified-tags")
    images = archive.json(f"instances/{kinds['CT']['Instances'][0]}/simplified-tags")
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert tags[name] == images[name], name
    assert tags["ContentLabel"]


def test_a_study_goes_from_the_archive_through_the_server_and_back(archive, tmp_path):
    for name in ("starlette", "uvicorn", "python_multipart"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -r requirements/serve.txt")
    from serving_client import served

    values = np.random.default_rng(1).integers(0, 3, SIDES)
    series = write_volume(tmp_path / "series", values, np.diag([*SPACING[::-1], 1.0]))
    archive.store(*sorted(series.iterdir()))
    (study,) = archive.json("studies")
    bundle = make_bundle(tmp_path / "bundle", sides=SIDES, spacing=SPACING)
    with served(bundle, tmp_path) as client:
        status, segmentation = client.predict(archive.ask(f"studies/{study}/archive"), "?as=seg", "application/zip")
    assert status == 200
    stored = archive.json("instances", segmentation)
    assert stored["Status"] == "Success"
    (tmp_path / "back.dcm").write_bytes(archive.ask(f"instances/{stored['ID']}/file"))
    scan = read_dicom_series(series)
    masks = read_segmentation(tmp_path / "back.dcm", scan)
    assert np.array_equal(masks.masks[1], scan.array[0] >= 2)
    assert len(archive.json("studies")) == 1
