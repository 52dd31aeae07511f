"""From a body on disk to the content of a response, by the very way of `predict`."""

import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.deploy.answer_files import JSON, NIFTI, PAGE, check_formats, formats_of
from equipoise.deploy.case_answer import ANSWER, RESUMED_BY, Settings, answer_case
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle, TooMuchMemory
from equipoise.deploy.serving.boundaries import Boundaries, Refused
from equipoise.deploy.serving.contents import ZIP, Received, case_of, check_type, named, unpack
from equipoise.deploy.serving.parts import split
from equipoise.errors import EquipoiseError, FileRefused

MEDIA = {
    ".dcm": "application/dicom", ".gz": "application/gzip", ".html": "text/html; charset=utf-8", ".png": "image/png",
    ".json": "application/json", ".zip": "application/zip",
}  # fmt: skip
LONGEST_HEADER = 4000


@dataclass(frozen=True)
class Request:
    """What a client asks for. content_type: with its parameters. series_uid: of a study of several series."""

    content_type: str
    formats: tuple[str, ...] = (JSON,)
    strict: bool = False
    series_uid: str | None = None


@dataclass(frozen=True)
class Response:
    """What it is sent: content, media type, the name of the file that it is, warnings of the answer."""

    content: bytes
    media: str
    name: str
    warnings: tuple[str, ...]


def request_of(content_type: str, query: dict[str, str], bundle: Bundle) -> Request:
    """Return what the headers and the query ask for; refuse what no answer of the bundle can be."""
    unknown = sorted(set(query) - {"as", "strict", "series"})
    if unknown:
        raise Refused(400, f"the query parameter {unknown[0]!r} is unknown; known are as, strict and series")
    if query.get("strict", "0") not in ("0", "1"):
        raise Refused(400, "strict is neither 0 nor 1; leave it out, or write strict=1")
    try:
        formats = formats_of(query.get("as", JSON)) or (JSON,)
        check_formats(formats, bundle.contract)
    except EquipoiseError as error:
        raise Refused(400, str(error).replace("--as ", "as=")) from error
    if NIFTI in formats and not bundle.contract.regions:
        raise Refused(400, "this bundle predicts no masks, so as=nifti is not possible; use as=json")
    return Request(content_type, formats, query.get("strict") == "1", query.get("series") or None)


def answer(request: Request, body: Path, bundle: Bundle, runtime: str, boundaries: Boundaries) -> Response:
    """Answer the image in a body, which lies alone in a folder; the folder is removed before this returns.

    Raises Refused for whatever cannot be answered, with a sentence that names no path of this machine.
    """
    folder = body.parent
    images, out = folder / "images", folder / "answer"
    try:
        images.mkdir()
        files = _files(request, body, images, boundaries)
        case = case_of(files, images, bundle.contract, request.series_uid)
        settings = Settings(request.formats, request.strict, boundaries.memory_gb, runtime)
        row = answer_case(case, bundle, out, settings, "", boundaries.files)
        return _response(out, request.formats, tuple(row["warnings"]))
    except EquipoiseError as error:
        raise _refusal(error, folder) from error
    except MemoryError as error:
        raise Refused(413, "there is not enough memory to predict it; send a smaller image") from error
    finally:
        # Here, and not only where the request ends: a client that left must not leave a folder that is written to.
        shutil.rmtree(folder, ignore_errors=True)


def _files(request: Request, body: Path, images: Path, boundaries: Boundaries) -> list[Received]:
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "multipart/related"):
        files = split(body, request.content_type, images, boundaries)
        if len(files) != 1 or files[0].kind != ZIP:
            return files
        alone = files[0]
        # A form sends a study as one part that is a zip file; it must not lie among what it unpacks to.
        return unpack(Received(alone.path.rename(images.parent / "archive"), ZIP), images, boundaries)
    file = named(body.rename(images / "image"))
    check_type(kind, file.kind)
    if file.kind != ZIP:
        return [file]
    return unpack(Received(file.path.rename(images.parent / "archive"), ZIP), images, boundaries)


def _refusal(error: EquipoiseError, folder: Path) -> Refused:
    if isinstance(error, TooMuchMemory):
        return Refused(413, str(error))
    if isinstance(error, FileRefused) and getattr(error, "beyond_size", False):
        # The remedy of the command line, an environment variable, is not the client's to set.
        text = f"an image is too large: {getattr(error, 'reason', '')}".replace(f"{folder / 'images'}/", "")
        return Refused(413, f"{text}; send less, or start the server with a larger --max-mb")
    text = str(error).replace(f"{folder / 'images'}/", "").replace(str(folder), "the request")
    for word, instead in (("--as ", "as="), ("--series", "the query's series"), ("--strict", "strict=1")):
        text = text.replace(word, instead)
    return Refused(422, text)


def _response(out: Path, formats: tuple[str, ...], warnings: tuple[str, ...]) -> Response:
    """Return the one file that was asked for, or a zip file of all of them."""
    details = json.loads((out / ANSWER).read_bytes())
    contents = {name: (out / name).read_bytes() for name in details.pop("files")}
    for name in RESUMED_BY:
        del details[name]
    if JSON in formats:
        contents["answer.json"] = (json.dumps(details, ensure_ascii=False) + "\n").encode()
    if formats == (PAGE,) or len(contents) == 1:
        ((name, content),) = contents.items()
    else:
        name, content = "answer.zip", _zipped(contents)
    return Response(content, MEDIA[Path(name).suffix], name, warnings)


def _zipped(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(contents.items()):
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def header_of(warnings: tuple[str, ...]) -> str:
    """Return warnings as JSON in plain letters, short enough for a header: all of them stand in answer.json."""
    kept = list(warnings)
    while kept and len(json.dumps(kept)) > LONGEST_HEADER:
        kept.pop()
    return json.dumps(kept if len(kept) == len(warnings) else [*kept, "and more: ask for json"])


def about(bundle: Bundle) -> dict[str, Any]:
    """Return what a client may want to know of the bundle: its name, what it takes and what it answers."""
    contract, record = bundle.contract, bundle.files.record
    return {
        "bundle": bundle.sha256,
        "arm": bundle.arm,
        "trial": record["evidence"]["trial"],
        "overruled": record["evidence"].get("overruled", []),
        "answers": contract.truth,
        "classes": list(contract.classes),
        "regions": {name: list(members) for name, members in contract.regions.items()},
        "channels": list(contract.channels),
        "spatial_dims": contract.spatial_dims,
        "limits": record["limits"],
        "note": RESEARCH_ONLY,
    }
