"""Where a user starts: the example protocols, and a commented protocol fitted to the data found."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from equipoise.cohorts import sources
from equipoise.cohorts.recognise import recognise
from equipoise.errors import EquipoiseError
from equipoise.naming import resolve


def example(name: str) -> Path:
    """The file of an example protocol: inside an installed package, or beside the sources of a checkout."""
    package = Path(str(files("equipoise")))
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise EquipoiseError(f"the example protocol {name!r} is not installed; install Equipoise again")


def write_protocol(source: str, file: Path) -> Path:
    """Write a commented protocol for a data folder or a named source to `file`, which must not exist yet."""
    if file.exists():
        raise EquipoiseError(f"{file} exists already and is not overwritten; name another with --out")
    values = _fitted(source)
    values["masks"] = values["settings"].get("task") == "segmentation"
    names = [name.replace("_", "-") for name in sources.__all__]
    # TOML, not HTML: values pass through `tojson`
    environment = Environment(  # noqa: S701
        loader=PackageLoader("equipoise"),
        undefined=StrictUndefined,
        lstrip_blocks=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("protocol.toml.j2").render(file=file, sources=names, **values)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another with --out") from error
    return file


def _fitted(source: str) -> dict[str, Any]:
    """What the template needs to know of the data."""
    if Path(source).exists() or "/" in source:
        path = Path(source)
        found = recognise(path)
        settings = {"path": str(path.resolve()), "task": found.task, **found.settings}
        name = re.sub(r"[^\w.-]", "-", path.resolve().stem) or "trial"
        patients = "stated" if found.patients_known else "guessed"
        return {
            "name": name,
            "source": found.source,
            "scheme": found.scheme,
            "patients": patients,
            "settings": settings,
        }
    if ":" not in source:
        resolve(source, sources, "cohort source")
    settings = {"label": "malignancy"} if source == "lidc-contours" else {}
    name = source.replace(":", "-")
    return {"name": name, "source": source, "scheme": "holdout", "patients": "stated", "settings": settings}
