"""A fitted plan as the text of a protocol, with a comment on every key."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import tomlkit
from jinja2 import Environment, PackageLoader, StrictUndefined

from equipoise.cohorts import sources
from equipoise.cohorts.layouts.first_look import FirstLook
from equipoise.configuration.modality import CT
from equipoise.trials.fit import Fitted

_BARE = re.compile(r"[A-Za-z0-9_-]+")
COMMENTS = 47
"""The column at which comments begin."""
AUGMENTATION = (
    ("rotate_degrees", "uniform in ± this", 15),
    ("flip", "each with probability one half: horizontal, vertical, and in 3D depth", ["horizontal"]),
    ("scale", "zoom factor, uniform in this range", [0.9, 1.1]),
    ("shift", "uniform in ± this share of the size", 0.1),
    ("elastic", "smooth deformation by up to this share of the size, at most 0.1", 0.05),
    ("bias_field", "smooth multiplicative field: largest coefficient of its logarithm", 0.3),
    ("contrast", "factor on the distance from the channel's mean", [0.75, 1.25]),
    ("brightness", "offset, uniform in ± this many standard deviations of the channel", 0.3),
    ("gamma", "exponent on the channel scaled to [0, 1]", [0.7, 1.5]),
    ("blur", "Gaussian of up to this many voxels", 1.0),
    ("noise", "Gaussian, up to this many standard deviations of the channel", 0.1),
    ("cutout", "a box with sides of up to this share hides part of the image", 0.3),
    (
        "probability",
        "that a step happens to an image; one number is for all steps but flips",
        {"noise": 0.2, "blur": 0.2},
    ),
)
"""Keys of [augmentation] with their comments, and values for those that are not used."""


@dataclass(frozen=True)
class Known:
    """What is known of the data before the cohort is read.

    settings: of [cohort]. patients: "stated" or "guessed". remarks: comments on how files were read. look: sizes of a
    few images; None where only a name was given.
    """

    name: str
    source: str
    settings: Mapping[str, Any]
    scheme: str = "holdout"
    patients: str = "stated"
    remarks: tuple[str, ...] = ()
    look: FirstLook | None = field(default=None, compare=False)

    def tables(self) -> dict[str, Any]:
        """Return the tables of the protocol that the data decide."""
        return {
            "trial": {"name": self.name},
            "cohort": {"source": self.source, **self.settings},
            "split": {"scheme": self.scheme, "patients": self.patients},
        }


def protocol_text(file: Path, known: Known, fitted: Fitted) -> str:
    """Return the protocol as commented TOML."""
    # TOML and not HTML, so nothing is escaped as HTML: values pass through `tojson` or `toml`, which quote them.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("equipoise.trials"),
        undefined=StrictUndefined,
        lstrip_blocks=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["toml"] = toml
    environment.filters["pad"] = lambda text: f"{text:<{COMMENTS - 1}} "
    data = fitted.data
    return environment.get_template("protocol.toml.j2").render(
        quoted=quote(str(file)),
        sources=[name.replace("_", "-") for name in sources.__all__],
        known=known,
        fitted=" ".join(fitted.sentences),
        masks=data.masks,
        findings=data.findings,
        spacing_stated=data.spacing_stated,
        augmentation_keys=AUGMENTATION,
        notes=_notes(fitted),
        **fitted.tables,
    )


def _notes(fitted: Fitted) -> dict[str, str]:
    """Return comments with the numbers of the cohort behind a choice."""
    data = fitted.data
    scale = f"; here {data.modality}"
    if data.modality == CT:
        scale += f", whose foreground lies between {data.window[0]:.0f} and {data.window[1]:.0f}"
    return {
        "scale": scale if data.channels else "",
        "foreground": f"; it fills {100 * data.foreground:.2g} % here" if data.foreground else "",
    }


def toml(value: Any) -> str:
    """Return a value as TOML on one line, tables inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml(item)}" for key, item in value.items()) + "}"
    text: str = tomlkit.item(value).as_string()
    return text


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)
