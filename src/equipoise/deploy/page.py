"""Pages of answers: one offline HTML file per case and an index, without a request and readable without scripts."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from equipoise.cohorts.case_pictures import COLOURS
from equipoise.cohorts.cohort import Image
from equipoise.deploy.contract import size_unit
from equipoise.deploy.page_planes import NEAR_MM, OBLIQUE_DEGREES, finding_of, obliqueness, planes_of
from equipoise.deploy.page_volume import volume_of
from equipoise.deploy.predictor import Answer
from equipoise.report.text.objection import Objection
from equipoise.runfolder.paths import file_stem

MOST_CANDIDATES = 20


@cache
def _text(name: str) -> str:
    return (files("equipoise.deploy") / "templates" / name).read_text(encoding="utf-8")


def _rendered(template: str, **values: Any) -> str:
    # Names of cases and regions come from foreign files, hence autoescape.
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        css=Markup(_text("page.css")),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        script_hash=Markup(f"sha256-{digest}"),  # noqa: S704
        **values,
    )


def case_page(
    case: str, image: Image, answer: Answer, *, warnings: Sequence[str], channel: str, arm: str, bundle: str,
    against: Objection | None = None,
) -> str:  # fmt: skip
    """Return the page of one answer as HTML.

    channel: name of the channel that is shown, the first. arm, bundle: what answered. against: `Bundle.against`.
    """
    voxel, finding = finding_of(image, answer)
    volume = volume_of(image, answer, voxel)
    return _rendered(
        "case.html.j2",
        title=case,
        arm=arm,
        bundle=bundle,
        against=against,
        warnings=warnings,
        rows=_rows(answer),
        colours={name: COLOURS[number % len(COLOURS)] for number, name in enumerate(answer.masks)},
        heading=f"Planes {finding}" if len(image.spacing_mm) == 3 else "Image",
        planes=planes_of(image, answer, voxel),
        fillable=bool(answer.masks),
        volume=volume,
        # Numbers and colours of our own; "<" cannot occur in them.
        volume_facts="" if volume is None else Markup(volume.facts),  # noqa: S704
        notes=_notes(image, answer, channel),
    )


def _rows(answer: Answer) -> list[tuple[str, str]]:
    rows = [(name, f"{share:.1%}") for name, share in answer.probabilities.items()]
    unit = size_unit(len(answer.spacing_mm), answer.spacing_stated).replace("mm2", "mm²")
    length = "mm" if answer.spacing_stated else unit
    rows += [
        (name, "empty: no voxel was assigned to it" if name in answer.empty else f"{size:.4g} {unit}")
        for name, size in answer.sizes.items()
    ]
    if answer.candidates is not None:
        order = (-answer.candidates.score).argsort(kind="stable")[:MOST_CANDIDATES]
        rows.append(("candidates", str(len(answer.candidates.score))))
        axes = "zyx"[-len(answer.spacing_mm) :]
        for number, index in enumerate(order.tolist(), start=1):
            centre = answer.candidates.centre_mm[index]
            place = ", ".join(f"{axis} {value:.1f} {length}" for axis, value in zip(axes, centre, strict=True))
            rows.append((f"candidate {number}", f"{answer.candidates.score[index]:.1%} at {place}"))
    return rows


def _notes(image: Image, answer: Answer, channel: str) -> list[str]:
    notes = [] if len(image.array) == 1 or len(image.spacing_mm) == 2 else [f"The channel {channel} is shown."]
    if len(image.spacing_mm) == 3:
        if image.affine is None:
            notes.append(
                "The image states no position in space, so sides are not labelled: left and right may be exchanged."
            )
        else:
            notes.append("Radiological convention: the patient's right is on the left of the picture.")
        angle = obliqueness(image)
        if angle > OBLIQUE_DEGREES:
            notes.append(f"The image lies up to {angle:.0f}° oblique in the body; letters name the nearest side.")
        if answer.candidates is not None:
            unit = "mm" if answer.spacing_stated else "voxels"
            notes.append(f"A circle is a candidate at most {NEAR_MM:g} {unit} from the plane.")
    return notes


def index_page(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    arm: str,
    bundle: str,
    against: Objection | None = None,
) -> str:
    """Return the page of all cases as HTML: their rows, with a link to the page of each that was answered.

    columns: of the rows, without `case`. against: `Bundle.against`.
    """
    listed = [
        {
            "case": row["case"],
            "status": row["status"],
            "link": f"{quote(file_stem(str(row['case'])))}/page.html" if row["status"] == "answered" else "",
            "cells": [_cell(row.get(column)) for column in columns],
        }
        for row in rows
    ]
    return _rendered(
        "index.html.j2", title=f"{len(listed)} answers", arm=arm, bundle=bundle, against=against,
        columns=["case", *columns], rows=listed,
    )  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "; ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
