"""The archive on loopback: what it serves is fetched like LIDC-IDRI, and the example of CT runs on it."""

import json
import re
from pathlib import Path

import pytest

import equipoise
from equipoise.cli import main
from equipoise.cohorts import sources
from equipoise.cohorts.public import series as module
from equipoise.cohorts.public.fetch import fetch
from equipoise.errors import CohortError
from equipoise.protocol import CohortSection, Protocol
from equipoise.testing import archive
from equipoise.testing.phantoms.lidc import write_lidc

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lidc-nodules.toml"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return write_lidc(tmp_path_factory.mktemp("phantoms"), patients=3, nodules=2, slice_mm=2.5, pixel_mm=1.0)


@pytest.fixture
def served(scans, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EQUIPOISE_PUBLIC", str(tmp_path / "public"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with archive.serve(scans) as running:
        yield running


def images(folder):
    return sorted(folder.rglob("*.dcm"))


@pytest.mark.long
def test_every_series_arrives_as_it_was_written(served, scans, tmp_path):
    told = []
    brought = fetch("lidc-idri", mirror=served.address, pin=served.pin, watch=lambda *state: told.append(state))
    assert told[-1] == ("series of LIDC-IDRI", 3, 3)
    assert brought.folder == tmp_path / "public" / "lidc-idri" / "data"
    for scan in scans:
        written = sorted(file.read_bytes() for file in images(scan.series.folder))
        assert sorted(file.read_bytes() for file in images(brought.folder / scan.patient)) == written
    assert len(list(brought.folder.rglob("*.xml"))) == 3
    cohort = sources.load(CohortSection.model_validate({"source": "public:lidc-idri", "min_readers": 1}))
    assert len(cohort) == 6


@pytest.mark.long
def test_the_annotations_are_read_only_after_they_were_confirmed(served, tmp_path, capsys):
    command = ["fetch", "lidc-idri", "--from", served.address, "--quiet"]
    assert main(command) == 1
    sentence = capsys.readouterr().err
    assert served.pin in sentence
    assert not (tmp_path / "public" / "lidc-idri" / "data").exists()
    for wrong, match in (("0" * 64, "nothing was kept"), ("zero", "is not a SHA-256")):
        assert main([*command, "--pin", wrong]) == 1
        assert match in capsys.readouterr().err
    assert main([*command, "--pin", re.search(r"--pin (\w+)", sentence)[1]]) == 0
    assert main(["fetch", "lidc-idri", "--offline", "--quiet"]) == 0


@pytest.mark.long
def test_some_patients_and_later_the_others(served, scans):
    first = fetch("lidc-idri", mirror=served.address, pin=served.pin, patients=[scans[1].patient])
    assert [path.name for path in first.folder.glob("PHANTOM*")] == [scans[1].patient]
    fetch("lidc-idri", mirror=served.address, patients=[scans[2].patient])
    assert len(list(first.folder.glob("PHANTOM*"))) == 2
    with pytest.raises(CohortError, match="no CT series of LIDC-IDRI-9999"):
        fetch("lidc-idri", mirror=served.address, patients=["LIDC-IDRI-9999"])


def altered(answers, path, change):
    """The archive's answer at a path, changed."""
    return {**answers, path: change(answers[path])}


def rows(change):
    """A change of the archive's list of series."""

    def changed(content):
        listed = json.loads(content)
        change(listed)
        return json.dumps(listed).encode()

    return changed


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (rows(lambda listed: listed[0].update(ImageCount=3)), "the archive's catalogue 3|more than"),
        (rows(lambda listed: listed[0].update(ImageCount=-1)), "does not list series"),
        (rows(lambda listed: listed[0].update(PatientID="../../evil")), "is not a patient id"),
        (rows(lambda listed: listed[0].update(SeriesInstanceUID="1.2/../3")), "is not a UID"),
        (rows(lambda listed: listed[0].pop("StudyInstanceUID")), "does not list series"),
        (rows(lambda listed: listed.append(listed[0])), "lists a series twice"),
        (rows(lambda listed: listed.clear()), "lists no series"),
        (lambda _: b"<html>busy</html>", "does not list series"),
        (lambda _: b'{"a": 1}', "does not list series"),
        (lambda _: b"[3]", "does not list series"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(change, match, scans, tmp_path, monkeypatch):
    path = "/nbia-api/services/v1/getSeries"
    refused(lambda answers: altered(answers, path, change), match, scans, tmp_path, monkeypatch)


def refused(change, match, scans, folder, monkeypatch):
    """With its answers changed, the archive's data are not taken over."""
    answers = change(archive._answers(scans))
    monkeypatch.setattr(archive, "_answers", lambda _: answers)
    with archive.serve(scans) as running, pytest.raises(CohortError, match=match):
        fetch("lidc-idri", folder, mirror=running.address, pin=running.pin)
    assert not images(folder)
    with pytest.raises(CohortError, match="is not complete"):
        fetch("lidc-idri", folder, offline=True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda members: members.update({"00000001.dcm": members["00000002.dcm"]}), "does not have the stated MD5"),
        (lambda members: members.pop("00000001.dcm"), "it holds"),
        (lambda members: members.update({"more.dcm": b"1"}), "it holds"),
        (lambda members: members.pop("md5hashes.csv"), "list of hashes"),
        (lambda members: members.update({"md5hashes.csv": b"Filename,MD5Hash\nodd"}), "list of hashes"),
        (lambda members: members.update({"../../evil.dcm": b"1"}), "leads outside"),
    ],
)
def test_images_that_are_not_as_stated_are_refused(change, match, scans, tmp_path, monkeypatch):
    members = archive._with_hashes(scans[0])
    change(members)

    def changed(answers):
        path = f"/nbia-api/services/v1/getImageWithMD5Hash?{archive._listing(scans[0])['SeriesInstanceUID']}"
        return altered(answers, path, lambda _: archive._zipped(members))

    refused(changed, match, scans, tmp_path, monkeypatch)


def test_an_interruption_between_series_is_gone_on_with(served, scans, monkeypatch):
    real = module._fetch_one

    def stopped(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_fetch_one", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch("lidc-idri", mirror=served.address, pin=served.pin)
    with pytest.raises(CohortError, match="is not complete"):
        sources.load(CohortSection(source="public:lidc-idri"))
    assert fetch("lidc-idri", mirror=served.address).files == sum(len(images(s.series.folder)) for s in scans) + 3


def test_a_command_runs_beside_the_archive(monkeypatch, capfd, scans):
    monkeypatch.setattr(archive, "write_lidc", lambda *_, **__: scans)
    assert archive.main(["echo $ARCHIVE $PIN; test -n $EQUIPOISE_PUBLIC && exit 3"]) == 3
    assert re.match(r"http://127.0.0.1:\d+ [0-9a-f]{64}", capfd.readouterr().out)
    assert archive.main([]) == 2


@pytest.mark.trial
def test_the_example_of_ct_runs_after_its_data_were_fetched(tmp_path, monkeypatch):
    """The README's line in small: fewer epochs, seeds and pixels."""
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EQUIPOISE_PUBLIC", str(tmp_path / "public"))
    scans = write_lidc(tmp_path / "phantoms", patients=12, nodules=2, slice_mm=3.0, pixel_mm=1.0)
    with archive.serve(scans) as running:
        assert main(["fetch", "lidc-idri", "--from", running.address, "--pin", running.pin, "--quiet"]) == 0
    text = EXAMPLE.read_text().replace("epochs = 30", "epochs = 1").replace("seeds = [0, 1, 2]", "seeds = [0, 1]")
    text = text.replace('preset = "small"', 'preset = "tiny"').replace("size = 64", "size = 24\nmin_readers = 1")
    results = equipoise.run(Protocol.parse(text, folder=tmp_path), tmp_path / "run")
    assert not results["failures"]
    assert {arm["name"] for arm in results["arms"]} == {"densenet", "unet"}
    assert results["cohort"]["cases"] == 24
