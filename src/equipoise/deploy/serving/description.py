"""What the server says of itself: an OpenAPI document, and the same as a page without scripts or other files."""

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import jinja2

from equipoise.deploy.answer_files import FORMATS, OF_MASKS
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.deploy.serving.boundaries import Boundaries
from equipoise.deploy.serving.contents import TYPES
from equipoise.tasks.task import MASK

STATUSES = {
    "400": "the request is damaged, or this bundle cannot answer it",
    "401": "the token is missing or wrong",
    "403": "the request comes from a web page of another site, or names another host",
    "408": "the body came too slowly",
    "413": "the body, its unpacked content or the image in its headers is too large",
    "415": "the content type is not accepted, or is not that of the body",
    "422": "the image cannot be predicted: the message says why",
    "429": "too many requests are waiting; Retry-After says when to try again",
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "note": {"type": "string"}},
    "required": ["error"],
}
_SENT = ("application/gzip", "image/png", "application/dicom", "application/zip", "text/html")
_FORMAT_TEXTS = {
    "json": "the answer as JSON: probabilities, sizes or candidates, warnings, hashes",
    "nifti": "the mask as NIfTI on the image's own grid (PNG for a picture)",
    "seg": "a DICOM segmentation beside its source series",
    "labelmap": "the same as LABELMAP",
    "sr": "a DICOM structured report",
    "rtstruct": "a DICOM structure set",
    "page": "an offline page to look at",
}


def formats_for(bundle: Bundle) -> list[str]:
    """Return the formats that answers of a bundle can have."""
    return [name for name in FORMATS if bundle.contract.truth == MASK or name not in (*OF_MASKS, "nifti")]


def openapi(bundle: Bundle, boundaries: Boundaries) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the server."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    taken = dict.fromkeys((*TYPES, "multipart/form-data", 'multipart/related; type="application/dicom"'), binary)
    refusals = {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in STATUSES.items()
    }
    sent = {"application/json": {"schema": {"type": "object"}}} | dict.fromkeys(_SENT, binary)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Equipoise", "version": version("equipoise"), "description": f"{RESEARCH_ONLY}."},
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/health": {"get": _simple("says that requests are answered", security=[])},
            "/bundle": {"get": _simple("says which bundle answers, what it takes and what it was trained on")},
            "/openapi.json": {"get": _simple("this document", security=[])},
            "/predict": {
                "post": {
                    "summary": "answers the image in the body",
                    "description": (
                        "A DICOM series (zip file or multipart), a NIfTI file or a PNG picture; for several channels "
                        "a part or a member per channel, named as it. The answer equals that of `equipoise predict`. "
                        f"At most {boundaries.largest} bytes, also once unpacked."
                    ),
                    "parameters": _parameters(bundle),
                    "requestBody": {"required": True, "content": taken},
                    "responses": {"200": {"description": "the answer", "content": sent}} | refusals,
                }
            },
        },
    }


def _simple(summary: str, **more: Any) -> dict[str, Any]:
    described = {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"summary": summary, "responses": {"200": described}, **more}


def _parameters(bundle: Bundle) -> list[dict[str, Any]]:
    names = formats_for(bundle)
    kinds = f"one or several of {', '.join(names)}, joined by commas; several come as a zip file"
    return [
        {"name": "as", "in": "query", "description": kinds, "schema": {"type": "string", "default": "json"}},
        {
            "name": "strict", "in": "query", "description": "1 refuses images outside the training limits",
            "schema": {"type": "string", "enum": ["0", "1"], "default": "0"},
        },
        {
            "name": "series", "in": "query", "description": "the SeriesInstanceUID to use, in a study of several",
            "schema": {"type": "string"},
        },
    ]  # fmt: skip


@cache
def _template() -> jinja2.Template:
    text = (files("equipoise.deploy") / "templates" / "serve.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined).from_string(text)


def page(bundle: Bundle, boundaries: Boundaries) -> str:
    """Return the page that says how to ask; it holds nothing of the bundle but what it answers."""
    return _template().render(
        note=RESEARCH_ONLY,
        formats={name: _FORMAT_TEXTS[name] for name in formats_for(bundle)},
        types=[*TYPES, "multipart/form-data", "multipart/related"],
        statuses=STATUSES,
        largest=boundaries.largest,
        parameters=_parameters(bundle),
        paths=openapi(bundle, boundaries)["paths"],
    )
