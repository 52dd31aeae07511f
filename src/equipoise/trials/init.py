"""The start of a trial: the example protocols, and a commented protocol fitted to a data folder."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from jinja2 import Environment, PackageLoader, StrictUndefined
from tomlkit.exceptions import TOMLKitError

from equipoise.atomic_write import write_text
from equipoise.cohorts import sources
from equipoise.cohorts.layouts.class_name_files import UNNAMED, names_of_values
from equipoise.cohorts.layouts.first_look import FirstLook, first_look, mask_classes
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.errors import EquipoiseError
from equipoise.lookup import resolve
from equipoise.protocol import CohortSection
from equipoise.tasks import CLASSIFICATION, task_named

LARGEST = {2: 224, 3: 64}
"""Voxels per side up to which whole images are trained on, by spatial dimensions; larger ones are resampled or cut."""
PATCH = {2: 128, 3: 64}
BATCH = {(False, 2): 32, (False, 3): 8, (True, 2): 16, (True, 3): 2}
"""Cases per step, by (masks, spatial dimensions)."""


def example(name: str) -> Path:
    """Return the file of an example protocol: inside an installed package, or in the checkout of the sources."""
    package = Path(str(files("equipoise")))
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise EquipoiseError(f"the example protocol {name!r} is not installed; install Equipoise again")


def write_protocol(source: str, file: Path, settings: Mapping[str, Any] | None = None) -> Path:
    """Write a commented protocol for a data folder or a named source to `file`, which must not exist yet.

    settings: keys of [cohort] that the user states, which are required where the files leave them uncertain.
    """
    if file.exists():
        raise EquipoiseError(f"{file} exists already and is not overwritten; name another with --out")
    settings = dict(settings or {})
    if source.startswith(sources.PUBLIC):
        values = _of_public(source, settings)
    elif Path(source).exists() or "/" in source:
        values = _of_data(Path(source), settings)
    else:
        values = _named(source, settings)
    names = [name.replace("_", "-") for name in sources.__all__]
    # TOML and not HTML, so nothing is escaped as HTML: values pass through `tojson` or `toml`, which quote them.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("equipoise.trials"),
        undefined=StrictUndefined,
        lstrip_blocks=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["toml"] = _toml
    text = environment.get_template("protocol.toml.j2").render(file=file, sources=names, **values)
    try:
        write_text(file, text)
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another with --out") from error
    return file


def cohort_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of [cohort] from texts such as `coding=2023`, `columns.label=dx` or `classes=["a", "b"]`.

    A value that is no TOML is a text. Raises EquipoiseError for what is no KEY=VALUE.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        *above, last = (part.strip() for part in key.split("."))
        if not equals or not last or not all(above):
            raise EquipoiseError(f"--set {text!r} is no KEY=VALUE; write such as --set coding=2023")
        place = settings
        for name in above:
            place = place.setdefault(name, {})
        place[last] = _value(value.strip())
    return settings


def _toml(value: Any) -> str:
    """A value as TOML on one line, tables inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    text: str = tomlkit.item(value).as_string()
    return text


def _value(text: str) -> Any:
    """A list, table or quoted text as TOML has it; anything else is a text, for keys of sources name things."""
    if not text.startswith(("[", "{", '"', "'")) and text not in ("true", "false"):
        return text
    try:
        return tomlkit.parse(f"value = {text}").unwrap()["value"]
    except TOMLKitError:
        return text


def _named(source: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs to know of a source that is named."""
    if ":" not in source:
        resolve(source, sources, "cohort source")
    task = task_named(str(keys.get("task", CLASSIFICATION.name)))
    settings = {"label": "malignancy"} if source == "lidc-contours" else {}
    return {
        "name": source.replace(":", "-"), "source": source, "scheme": "holdout", "patients": "stated",
        "settings": settings | dict(keys), "remarks": (), "masks": task.has_masks,
        "preprocessing": {}, "training": {"batch_size": 32},
    }  # fmt: skip


def _of_public(source: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs to know of data that `equipoise fetch` brought."""
    above = Path(keys["path"]) if "path" in keys else None
    section, data = sources.fetched(CohortSection(source=source), above)
    name = source.removeprefix(sources.PUBLIC)
    if section.source == "lidc-nodules":
        return _named(source, {"label": "malignancy", **keys}) | {"name": name}
    values = _of_data(data, {key: value for key, value in keys.items() if key != "path"})
    # The path is that of `--to`, and not the data's own, which the source knows.
    settings = {key: value for key, value in values["settings"].items() if key != "path"}
    path = {"path": str(above.resolve())} if above else {}
    return values | {"name": name, "source": source, "settings": path | settings}


def _of_data(path: Path, keys: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs to know of the data at a path."""
    recognised = recognise(path, keys)
    masks = task_named(str(keys.get("task", recognised.task))).has_masks
    look = first_look(path, recognised, None if (axes := keys.get("axes")) is None else str(axes))
    named, unnamed = _named_classes(path, mask_classes(recognised, keys, path))
    settings = {"path": str(path.resolve()), "task": recognised.task, **recognised.settings, **named}
    training = {"batch_size": BATCH[masks, look.dims]}
    # Patches for volumes with masks, and for pictures with masks that are large or of several sizes: a segmenter needs
    # the voxels at full resolution, and whole volumes may not fit into memory.
    if masks and (look.dims == 3 or not look.one_size or look.shapes.max() > LARGEST[2]):
        training["patch"] = PATCH[look.dims]
    known = recognised.patients_known or "patient_pattern" in keys
    return {
        "name": re.sub(r"[^\w.-]", "-", path.resolve().stem) or "trial",
        "source": recognised.source,
        "scheme": recognised.scheme,
        "patients": "stated" if known else "guessed",
        "settings": settings | ({"axes": look.axes} if look.axes else {}) | dict(keys),
        "remarks": (*recognised.remarks, *(() if "classes" in keys else unnamed)),
        "masks": masks,
        "preprocessing": _grid(look, masks),
        "training": training,
    }


def _named_classes(path: Path, classes: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings of the masks' classes with the names that a file beside the images gives; else a remark."""
    if "classes" not in classes or not path.is_dir():
        return dict(classes), ()
    names = names_of_values(path, classes.get("values") or range(len(classes["classes"])))
    if names is None:
        return dict(classes), (UNNAMED,)
    return {**classes, "classes": names}, ()


def _grid(look: FirstLook, masks: bool) -> dict[str, Any]:
    """Return the preprocessing: images of one size that fits in memory for classifiers, one spacing for segmenters."""
    shrink = 1.0 if masks else max(1.0, float(look.size.max()) / LARGEST[look.dims])
    fitted: dict[str, Any] = {}
    if shrink > 1 or not look.one_spacing:
        fitted["resample"] = [float(f"{value * shrink:.4g}") for value in look.spacing_mm]  # microns too
    if not masks and not (look.one_size and look.one_spacing):
        fitted["size"] = [int(8 * np.ceil(n / shrink / 8)) for n in look.size]  # can be halved three times
    return fitted
