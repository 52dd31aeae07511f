"""Archives: honest ones unpack byte by byte, hostile ones are refused as a whole and leave nothing."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.public import unpack as module
from equipoise.cohorts.public.unpack import unpack

FILES = {
    "Task/dataset.json": b"{}",
    "Task/imagesTr/a.nii.gz": bytes(range(256)) * 9,
    "Task/imagesTr/._a": b"",
    "b.txt": b"b",
}


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


MAKERS = {"a.tar": tar, "a.tar.gz": lambda p, m: tar(p, m, "w:gz"), "a.zip": zipped}


def refused(archive, folder, match):
    """The archive is refused and the folder above holds what it held before."""
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(RefusedFile, match=match):
        unpack(archive, folder / "out")
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("name", MAKERS)
def test_honest_archives_unpack_as_they_are(name, tmp_path):
    archive = MAKERS[name](tmp_path / name, FILES.items())
    assert unpack(archive, tmp_path / "out") == sorted(FILES)
    for file, content in FILES.items():
        assert (tmp_path / "out" / file).read_bytes() == content
    with pytest.raises(RefusedFile, match="exists already"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("member", "match"),
    [("../evil", "leads outside"), ("a/../../evil", "leads outside"), ("/etc/evil", "leads outside"),
     ("C:/evil", "leads outside"), ("c:evil", "leads outside"), ("a\\..\\..\\evil", "every system"),
     ("a\nb", "every system"), ("a\u202eb", "every system"), ("nul", "every system"), ("a/COM1.txt", "every system"),
     ("a. ", "every system"), ("a:stream", "leads outside|every system"),
     ("/".join("a" * 40), "too deep"), ("x" * 250, "too long")],
)  # fmt: skip
def test_names_that_lead_elsewhere(name, member, match, tmp_path):
    archive = MAKERS[name](tmp_path / name, [("good.txt", b"1"), (member, b"2")])
    refused(archive, tmp_path, match)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("pair", [("a.txt", "a.txt"), ("a.txt", "A.TXT"), ("d/x", "./d/x"), ("\u00e9", "e\u0301")])
def test_two_members_of_one_name(name, pair, tmp_path):
    with pytest.warns() if name == "a.zip" and pair[0] == pair[1] else pytest.MonkeyPatch.context():
        archive = MAKERS[name](tmp_path / name, [(each, b"1") for each in pair])
    refused(archive, tmp_path, "twice")


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_that_is_also_a_folder(name, tmp_path):
    refused(MAKERS[name](tmp_path / name, [("a", b"1"), ("a/b", b"2")]), tmp_path, "a file and a folder")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_links_devices_and_sparse_members_of_a_tar(kind, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(tmp_path / "a.tar", tmp_path, "link, device or sparse")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip(kind, tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", tmp_path, "link, device or encrypted")


def test_rights_of_the_archive_are_not_taken_over(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("run.sh")
        info.mode = 0o6777
        archive.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out" / "run.sh").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


def test_bombs_by_their_statement_and_by_their_content(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FREE_BYTES", 1 << 10)
    bomb = zipped(tmp_path / "a.zip", [("zeros", bytes(5 << 20))])
    refused(bomb, tmp_path, "would unpack to more than")
    # the same bomb, its directory and header claiming ten bytes
    raw = bytearray(bomb.read_bytes())
    size = struct.pack("<I", 5 << 20)
    while size in raw:
        at = raw.index(size)
        raw[at : at + 4] = struct.pack("<I", 10)
    bomb.write_bytes(raw)
    refused(bomb, tmp_path, "longer than it states|not a complete archive|would unpack")
    refused(MAKERS["a.tar.gz"](tmp_path / "a.tar.gz", [("zeros", bytes(5 << 20))]), tmp_path, "would unpack")


def test_more_members_than_plausible(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_MEMBERS", 3)
    for name, make in MAKERS.items():
        refused(make(tmp_path / name, [(str(n), b"") for n in range(4)]), tmp_path, "more than 3 members")


@pytest.mark.long
@pytest.mark.parametrize("name", MAKERS)
def test_every_truncation_and_many_flips_leave_the_files_or_nothing(name, tmp_path):
    archive = MAKERS[name](tmp_path / name, FILES.items())
    raw = archive.read_bytes()
    checked = name != "a.tar"  # a bare tar has no checksum of its content
    for end in range(0, len(raw), max(1, len(raw) // 60)):
        archive.write_bytes(raw[:end])
        unchanged_or_refused(archive, tmp_path, True)
    for at in range(0, len(raw), max(1, len(raw) // 200)):
        archive.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        unchanged_or_refused(archive, tmp_path, checked)


def unchanged_or_refused(archive, folder, contents_are_checked):
    out = folder / "out"
    try:
        names = unpack(archive, out)
    except RefusedFile:
        assert not out.exists()
        return
    for name in names:
        if contents_are_checked and name in FILES:
            assert (out / name).read_bytes() in (FILES[name], b"")
    for path in sorted(out.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    out.rmdir()


def test_an_encrypted_member_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("a", b"1")])
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path, "encrypted")


def test_a_name_that_a_nul_cuts_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("aXb", b"1")])
    archive.write_bytes(archive.read_bytes().replace(b"aXb", b"a\x00b"))
    refused(archive, tmp_path, "every system")


def test_what_is_no_archive(tmp_path):
    for name in MAKERS:
        (tmp_path / name).write_bytes(zlib.compress(b"no archive at all"))
        refused(tmp_path / name, tmp_path, "not a complete archive|cannot be unpacked")
