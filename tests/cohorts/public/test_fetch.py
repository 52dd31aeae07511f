"""From a name to a cohort: fetched, verified, unpacked, read as `public:NAME`; what was altered since is refused."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from equipoise.cli import main
from equipoise.cohorts import sources
from equipoise.cohorts.public import catalogue, fetched
from equipoise.cohorts.public import fetch as module
from equipoise.cohorts.public.fetch import fetch
from equipoise.cohorts.public.server import Server
from equipoise.errors import CohortError, ProtocolError
from equipoise.protocol import CohortSection
from equipoise.trials.plan import read

EASY = "/records/10519652/files/easymnist.npz"


def medmnist():
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 12), ("val", 4), ("test", 6)):
        arrays[f"{part}_images"] = random.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def volume(seed, mask):
    random = np.random.default_rng(seed)
    voxels = random.integers(0, 2, (6, 7, 8)).astype(np.uint8) if mask else random.normal(size=(6, 7, 8)).astype("f4")
    return nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes()


def decathlon():
    listed = [{"image": f"./imagesTr/h{n}.nii", "label": f"./labelsTr/h{n}.nii"} for n in range(3)]
    description = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "A"}, "training": listed, "name": "H"}
    members = {"Task99_Tiny/dataset.json": json.dumps(description).encode(), "Task99_Tiny/._dataset.json": b"\x00\x05"}
    for n in range(3):
        members[f"Task99_Tiny/imagesTr/h{n}.nii"] = volume(n, False)
        members[f"Task99_Tiny/labelsTr/h{n}.nii"] = volume(n, True)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


CONTENT = {"easymnist": medmnist(), "msd-tiny": decathlon()}


@pytest.fixture
def server(bad_server, monkeypatch):
    """Two small data sets in the catalogue, and a server that has them."""
    known = catalogue.entries()
    md5 = {name: "md5:" + hashlib.md5(content).hexdigest() for name, content in CONTENT.items()}
    easy = replace(known["pneumoniamnist"].file, name="easymnist.npz", checksum=md5["easymnist"])
    easy = replace(easy, address=easy.address.replace("pneumoniamnist", "easymnist"))
    tiny = replace(known["msd-heart"].file, name="Task99_Tiny.tar", checksum=md5["msd-tiny"])
    tiny = replace(tiny, address=tiny.address.replace("Task02_Heart", "Task99_Tiny"))
    own = {
        "easymnist": replace(known["pneumoniamnist"], name="easymnist", file=easy, about_mb=1),
        "msd-tiny": replace(known["msd-heart"], name="msd-tiny", file=tiny, about_mb=1),
    }
    monkeypatch.setattr(catalogue, "entries", lambda: {**known, **own})
    bad_server.files |= {EASY: CONTENT["easymnist"], "/Task99_Tiny.tar": CONTENT["msd-tiny"]}
    return bad_server


def cohort(source, above, **settings):
    return sources.load(CohortSection.model_validate({"source": source, **settings}), above)


def test_a_name_becomes_a_cohort(server, tmp_path):
    brought = fetch("easymnist", tmp_path, mirror=server.address)
    assert (brought.folder / "easymnist.npz").read_bytes() == CONTENT["easymnist"]
    made = cohort("public:easymnist", tmp_path)
    assert len(made) == 22
    assert made.classes == ("normal", "pneumonia")
    direct = sources.load(CohortSection(source="medmnist"), brought.folder / "easymnist.npz")
    assert np.array_equal(made.cases[3].read().array, direct.cases[3].read().array)
    # Once complete, nothing is asked again, and the summary says by what it was verified.
    asked = len(server.asked)
    fetch("easymnist", tmp_path, mirror=server.address)
    assert len(server.asked) == asked == 1
    summary = json.loads((tmp_path / "easymnist" / "fetched.json").read_text())
    assert summary["complete"]
    assert "MD5" in summary["checksum_from"]


def test_settings_of_the_protocol_precede_those_of_the_catalogue(server, tmp_path):
    fetch("easymnist", tmp_path, mirror=server.address)
    assert cohort("public:easymnist", tmp_path, classes=["a", "b"]).classes == ("a", "b")
    with pytest.raises(ProtocolError, match=r"cohort\.clases"):
        cohort("public:easymnist", tmp_path, clases=["a", "b"])


def test_an_archive_is_unpacked_and_read(server, tmp_path):
    fetch("msd-tiny", tmp_path, mirror=server.address)
    assert not list(tmp_path.rglob("*.tar"))
    made = cohort("public:msd-tiny", tmp_path, task="segmentation")
    assert [case.id for case in made.cases] == ["h0", "h1", "h2"]
    expected = nibabel.Nifti1Image.from_bytes(volume(1, True)).get_fdata()
    assert made.cases[1].read().mask.sum() == expected.sum()


def test_a_file_that_was_brought_by_hand_is_verified_and_unpacked_offline(server, tmp_path):
    (tmp_path / "msd-tiny").mkdir()
    for content, works in ((CONTENT["msd-tiny"][:-1], False), (CONTENT["msd-tiny"], True)):
        (tmp_path / "msd-tiny" / "Task99_Tiny.tar").write_bytes(content)
        if not works:
            with pytest.raises(CohortError, match="--offline"):
                fetch("msd-tiny", tmp_path, offline=True)
    assert fetch("msd-tiny", tmp_path, offline=True).files == 8
    assert not server.asked


def test_the_default_folder_is_the_users(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_PUBLIC", str(tmp_path / "own"))
    fetch("easymnist", mirror=server.address)
    assert len(cohort("public:easymnist", None)) == 22
    assert (tmp_path / "own" / "easymnist" / "data" / "easymnist.npz").is_file()


@pytest.mark.parametrize("name", CONTENT)
def test_whatever_changed_since_is_refused(name, server, tmp_path):
    folder = fetch(name, tmp_path, mirror=server.address).folder
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        raw = file.read_bytes()
        file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        refused(name, tmp_path, "was changed after the download")
        file.unlink()
        refused(name, tmp_path, "is missing")
        file.symlink_to("/etc/hostname")
        refused(name, tmp_path, "not a plain file")
        file.unlink()
        file.write_bytes(raw)
    (folder / "more.nii").write_bytes(b"1")
    refused(name, tmp_path, "is not one of the files fetched")
    (folder / "more.nii").unlink()
    (folder / "more").symlink_to(folder.parent / "records")
    refused(name, tmp_path, "is not one of the files fetched")


def refused(name, above, match):
    with pytest.raises(CohortError, match=match):
        cohort(f"public:{name}", above, task="segmentation" if name == "msd-tiny" else "classification")
    with pytest.raises(CohortError, match=match):
        fetch(name, above, offline=True)


def test_a_record_that_was_changed_with_its_file_does_not_help(server, tmp_path):
    file = fetch("easymnist", tmp_path, mirror=server.address).folder / "easymnist.npz"
    file.write_bytes(file.read_bytes() + b"0")
    record = tmp_path / "easymnist" / "records" / "data.json"
    record.write_text(json.dumps({"files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}}))
    refused("easymnist", tmp_path, "was changed after the download")


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"files": 3}'])
def test_damaged_records_are_one_sentence(damage, server, tmp_path):
    fetch("easymnist", tmp_path, mirror=server.address)
    for file in (tmp_path / "easymnist" / "fetched.json", tmp_path / "easymnist" / "records" / "data.json"):
        text = file.read_text()
        file.write_text(damage)
        refused("easymnist", tmp_path, r"; delete .* and run|is not complete")
        file.write_text(text)


def test_what_was_not_fetched_says_how(server, tmp_path):
    refused("easymnist", tmp_path, f"run `equipoise fetch easymnist --to {tmp_path}` first")
    assert not server.asked


@pytest.mark.long
def test_init_writes_a_protocol_for_it(server, tmp_path, capsys):
    for name in CONTENT:
        fetch(name, tmp_path, mirror=server.address)
        file = tmp_path / f"{name}.toml"
        assert main(["init", f"public:{name}", "--set", f"path={tmp_path}", "--minutes", "0", "--out", str(file)]) == 0
        assert f'source = "public:{name}"' in file.read_text()
        assert len(read(file)[1]) == {"easymnist": 22, "msd-tiny": 3}[name]
    assert main(["init", "public:pathmnist", "--set", f"path={tmp_path}"]) == 1
    assert "run `equipoise fetch pathmnist" in capsys.readouterr().err


def test_several_labels_per_image_are_refused_in_one_sentence(server, tmp_path, capsys, monkeypatch):
    stream = io.BytesIO()
    images, labels = np.zeros((4, 28, 28), np.uint8), np.zeros((4, 14), np.uint8)
    np.savez(stream, **{f"{part}_{kind}": array for part in ("train", "val", "test")
                        for kind, array in (("images", images), ("labels", labels))})  # fmt: skip
    entry = catalogue.entries()["easymnist"]
    md5 = "md5:" + hashlib.md5(stream.getvalue()).hexdigest()
    many = replace(entry, name="manymnist", settings={}, file=replace(entry.file, checksum=md5))
    known = {**catalogue.entries(), "manymnist": many}
    monkeypatch.setattr(catalogue, "entries", lambda: known)
    server.files[EASY] = stream.getvalue()
    fetch("manymnist", tmp_path, mirror=server.address)
    assert main(["init", "public:manymnist", "--set", f"path={tmp_path}", "--out", str(tmp_path / "p.toml")]) == 1
    error = capsys.readouterr().err
    assert "has 14 labels per image; choose one of them" in error
    assert error.count("\n") == 1


def test_an_interruption_at_any_step_is_gone_on_with(server, tmp_path, monkeypatch):
    for step in ("unpack", "hashes_of", "download"):
        above = tmp_path / step
        with monkeypatch.context() as patch:
            real = getattr(module, step)

            def stopped(*arguments, real=real, **named):
                real(*arguments, **named)
                raise KeyboardInterrupt

            patch.setattr(module, step, stopped)
            with pytest.raises(KeyboardInterrupt):
                fetch("msd-tiny", above, mirror=server.address)
        with pytest.raises(CohortError, match="is not complete"):
            cohort("public:msd-tiny", above, task="segmentation")
        fetch("msd-tiny", above, mirror=server.address)
        assert len(cohort("public:msd-tiny", above, task="segmentation")) == 3


def test_an_altered_answer_is_never_read(server, tmp_path, behaviours):
    server.plan[EASY] += [behaviours["altered"]]
    with pytest.raises(CohortError, match="nothing was kept"):
        fetch("easymnist", tmp_path, mirror=server.address)
    refused("easymnist", tmp_path, "is not complete")


def test_data_behind_a_form_are_asked_for_on_a_page(tmp_path):
    with pytest.raises(CohortError, match=r"request it at https://www\.synapse\.org/Synapse:syn25829067"):
        fetch("brats-2021", tmp_path)
    with pytest.raises(ProtocolError, match=r"request it at https://www\.synapse\.org/Synapse:syn25829067"):
        cohort("public:brats-2021", tmp_path)


def test_a_disk_without_space_is_noticed_before_a_byte_is_asked_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetched.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**5}))
    with pytest.raises(CohortError, match="needs about 1 MB and .* has 0 MB free"):
        fetch("easymnist", tmp_path, mirror=server.address)
    assert not server.asked


def test_patients_are_of_archives_of_series(tmp_path):
    with pytest.raises(CohortError, match="leave --patients out"):
        fetch("pneumoniamnist", tmp_path, patients=["x"])


def test_the_command(server, tmp_path, capsys):
    command = ["fetch", "easymnist", "--to", str(tmp_path), "--from", server.address]
    assert main([*command, "--offline"]) == 1
    assert "equipoise fetch easymnist --to" in capsys.readouterr().err
    assert main(command) == 0
    told = capsys.readouterr().out
    assert 'source = "public:easymnist", path = ' in told
    assert "CC BY 4.0" in told
    assert main([*command, "--offline", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1
    assert main(["fetch", "easymnis"]) == 1
    assert "did you mean 'easymnist'" in capsys.readouterr().err


def test_the_published_hosts_are_the_only_ones_asked_without_a_mirror(server, tmp_path):
    entry = catalogue.entries()["easymnist"]
    assert Server(entry.hosts).address(entry.file.address) == entry.file.address
    with pytest.raises(CohortError, match="is not https"):
        fetch("easymnist", tmp_path, mirror="http://mirror.example")
