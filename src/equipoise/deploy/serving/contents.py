"""What a body holds: files known by their first bytes, kept under names of our own, and the one case that they are."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from equipoise.cohorts.formats.file_names import is_data, is_document, is_download
from equipoise.cohorts.formats.reading import DICOM, suffix_of
from equipoise.deploy.contract import Contract
from equipoise.deploy.inputs import CaseInput, channel_of
from equipoise.deploy.serving.boundaries import Boundaries, Refused

ZIP, DICOM_FILE, NIFTI, PACKED_NIFTI, PNG, OTHER = "zip", ".dcm", ".nii", ".nii.gz", ".png", ""
TYPES = {
    "application/zip": {ZIP},
    "application/x-zip-compressed": {ZIP},
    "application/dicom": {DICOM_FILE},
    "application/gzip": {PACKED_NIFTI},
    "application/x-gzip": {PACKED_NIFTI},
    "application/x-nifti": {NIFTI, PACKED_NIFTI},
    "image/png": {PNG},
    "application/octet-stream": {ZIP, DICOM_FILE, NIFTI, PACKED_NIFTI, PNG},
}
"""Content types that are taken, and what a body of each may be."""
_STEP = 1 << 16
_LISTED_BYTES = 400  # of one member in the list at the end, its name included
_END, _END_BYTES, _FARTHER_END = b"PK\x05\x06", 22, b"PK\x06\x07"
_ENCRYPTED = 0x1
_CASE = "case"


@dataclass(frozen=True)
class Received:
    """A file of a request: where it lies, what it is, and what the peer called it or its part."""

    path: Path
    kind: str
    name: str = ""
    channel: str = ""


def kind_of(head: bytes, name: str = "") -> str:
    """Return what a file is, by its first 352 bytes; DICOM without a preamble is known by its name alone.

    >>> kind_of(bytes(128) + b"DICM"), kind_of(b"PK" + bytes((3, 4))), kind_of(b"text", "a.dcm"), kind_of(b"text")
    ('.dcm', 'zip', '.dcm', '')
    """
    if head[128:132] == b"DICM":
        return DICOM_FILE
    if head[:4] in (b"PK\x03\x04", _END):
        return ZIP
    if head[:2] == b"\x1f\x8b":
        return PACKED_NIFTI
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return PNG
    if len(head) >= 4 and {*struct.unpack("<i", head[:4]), *struct.unpack(">i", head[:4])} & {348, 540}:
        return NIFTI
    return DICOM_FILE if suffix_of(name) in DICOM else OTHER


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, as many as `kind_of` looks at."""
    with path.open("rb") as stream:
        return stream.read(352)


def named(path: Path, name: str = "", channel: str = "") -> Received:
    """Return a file under a name with the ending of its kind; name, channel: what the peer called it."""
    kind = kind_of(head_of(path), name)
    return Received(path.rename(path.with_name(path.name + (kind if kind != ZIP else ""))), kind, name, channel)


def check_type(content_type: str, kind: str) -> None:
    """Refuse a body that is not what its content type says."""
    allowed = TYPES.get(content_type)
    if allowed is None:
        raise Refused(415, f"the content type is not accepted; use one of {', '.join(TYPES)}, multipart/form-data")
    if kind not in allowed:
        raise Refused(415, "the body is not what its content type says; send " + _KNOWN)


_KNOWN = "a NIfTI (.nii, .nii.gz), PNG or DICOM file, or a zip file of them"


def unpack(archive: Received, folder: Path, boundaries: Boundaries) -> list[Received]:
    """Unpack a zip file of images into a folder, under names of our own; refuse paths, links, bombs and passwords."""
    _check_directory(archive.path, boundaries)
    received: list[Received] = []
    total = 0
    try:
        with zipfile.ZipFile(archive.path) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            for member in opened.infolist():
                _check_member(member)
            if len(members) > boundaries.members:
                raise Refused(413, f"it holds {len(members)} files and the limit is {boundaries.members}; send less")
            total = sum(member.file_size for member in members)
            if total > boundaries.largest:
                raise boundaries.too_large("the zip file's members claim", total)
            left = boundaries.largest
            for number, member in enumerate(members):
                place = folder / f"{number:05d}"
                left -= _inflate(opened, member, place, left, boundaries)
                if is_data(PurePosixPath(member.filename), PurePosixPath()):
                    file = named(place, PurePosixPath(member.filename).name)
                    if file.kind == OTHER and is_document(member.filename):
                        file.path.unlink()  # under our names, a README would look like a slice that was lost
                    else:
                        received.append(file)
                elif is_download(member.filename):
                    place.rename(place.with_suffix(".part"))  # counted beside a series, never read
                else:
                    place.unlink()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise Refused(422, f"the zip file is damaged ({type(error).__name__}); pack it again") from error
    return [file for file in received if file.kind != OTHER]


def _check_directory(path: Path, boundaries: Boundaries) -> None:
    """Refuse a list of members that would fill the memory before the first of them is looked at."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END_BYTES - len(_FARTHER_END) - 0x10000 - 20))
        tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise Refused(422, "the zip file ends early; send it again")
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    if tail[max(0, at - 20) : at].startswith(_FARTHER_END) or count == 0xFFFF or length == 0xFFFFFFFF:
        raise Refused(413, "64-bit zip files are not accepted; pack fewer than 65,535 files without it")
    if length > _LISTED_BYTES * boundaries.members or count > 2 * boundaries.members:
        raise Refused(413, f"the zip file lists more than {boundaries.members} files; send less")


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in member.orig_filename:
        raise Refused(422, "the zip file holds a path that leaves its folder; pack the images alone")
    mode = member.external_attr >> 16
    # Only what was packed on Unix states a kind of file there.
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refused(422, "the zip file holds a link or a device; pack plain files")
    if member.flag_bits & _ENCRYPTED:
        raise Refused(422, "the zip file has a password; pack it without")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(422, "the zip file is packed by another method than deflate; pack it with a usual program")


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, left: int, boundaries: Boundaries) -> int:
    """Write one member to a file; return its bytes, counted as they come and not as they are claimed."""
    written = 0
    with archive.open(member) as source, place.open("xb") as target:
        while piece := source.read(_STEP):
            written += len(piece)
            if written > left:
                raise boundaries.too_large("the zip file unpacks to")
            target.write(piece)
    return written


def case_of(files: Sequence[Received], folder: Path, contract: Contract, series_uid: str | None) -> CaseInput:
    """Return the one case in the files of a request, which lie in a folder.

    They are one DICOM study, of which `series_uid` picks a series, or one image, or one per channel: named as the
    channel by its part or by the ending of its name. Raises Refused for anything else.
    """
    usable = [file for file in files if file.kind != OTHER]
    if any(file.kind == ZIP for file in usable):
        raise Refused(422, "a zip file lies within another part; send it alone")
    if not usable:
        raise Refused(422, f"there is no image in it; send {_KNOWN}")
    dicom = [file for file in usable if file.kind == DICOM_FILE]
    if dicom and len(dicom) < len(usable):
        raise Refused(
            422, "it holds DICOM and other images, and which of them is meant is not clear; send only one kind"
        )
    if dicom:
        return CaseInput(_CASE, (folder,), series_uid)
    if series_uid is not None:
        raise Refused(422, "series names a DICOM series, but the image is not DICOM; leave it out")
    if len(usable) == 1:
        return CaseInput(_CASE, (usable[0].path,))
    return CaseInput(_CASE, _by_channel(usable, contract))


def _by_channel(files: Sequence[Received], contract: Contract) -> tuple[Path, ...]:
    """Return a file per channel, in the order of the network's."""
    places: dict[int, list[Path]] = {}
    for file in files:
        if file.channel in contract.channels:
            places.setdefault(contract.channels.index(file.channel), []).append(file.path)
            continue
        stem = file.name[: len(file.name) - len(suffix_of(file.name))] if file.name else ""
        ending = channel_of(stem, contract)
        if ending is not None:
            places.setdefault(ending[0], []).append(file.path)
    channels = range(len(contract.channels))
    if len(files) != len(contract.channels) or any(len(places.get(number, [])) != 1 for number in channels):
        raise Refused(
            422,
            f"it holds {len(files)} images, and not one for each of the channels {', '.join(contract.channels)}; name "
            "each part as its channel, or end the files' names in it",
        )
    return tuple(places[number][0] for number in channels)
