"""The start of a trial: the example protocols, and a commented protocol fitted to data and time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from tomlkit.exceptions import TOMLKitError

from equipoise.atomic_write import write_text
from equipoise.cohorts import sources
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.class_name_files import UNNAMED, names_of_values
from equipoise.cohorts.layouts.first_look import FirstLook, first_look, mask_classes
from equipoise.cohorts.layouts.pairs import states_patients
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.modality import OTHER
from equipoise.errors import CohortError, EquipoiseError, ProtocolError
from equipoise.lookup import resolve
from equipoise.progress import Watch, silent
from equipoise.protocol import CohortSection
from equipoise.tasks import CLASSIFICATION, task_named
from equipoise.trials.fit import Fitted, fit, plainest
from equipoise.trials.protocol_text import Known, protocol_text

BUILT_IN = "lidc-contours"
"""The source of a protocol for which no data were named."""
MINUTES = 60.0
"""For the whole trial, where the user states no time."""
_LISTS = ("classes", "values", "channels", "modalities")
"""Keys of [cohort] that are lists for every source."""
USUAL_CASES = 1000
"""Taken for the number of cases where the cohort cannot be read."""


def example(name: str) -> Path:
    """Return the file of an example protocol: inside an installed package, or in the checkout of the sources."""
    package = Path(str(files("equipoise")))
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise EquipoiseError(f"the example protocol {name!r} is not installed; install Equipoise again")


@dataclass(frozen=True)
class Started:
    """A protocol that was written: its file, and what to tell the user, the prospect of a verdict first."""

    file: Path
    sentences: tuple[str, ...]

    def on_built_in_data(self) -> "Started":
        """Return it with the sentence that says first whose data the protocol is for, where none were named."""
        first = (
            f"No data were named: this protocol is for {BUILT_IN}, outlines of lung nodules of LIDC-IDRI that come "
            "with Equipoise; `equipoise init FOLDER` writes one for your data."
        )
        return replace(self, sentences=(first, *self.sentences))


def write_protocol(source: str, file: Path, settings: Mapping[str, Any] | None = None) -> Path:
    """Write a commented protocol for a data folder or a named source to `file`; see `start`. Nothing is timed."""
    return start(source, file, settings).file


def start(
    source: str,
    file: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    minutes: float | None = None,
    device: str = "",
    watch: Watch = silent,
) -> Started:
    """Write a commented protocol that fits the data and the time to `file`, which must not exist yet.

    settings: keys of [cohort] that the user states, which are required where the files leave them uncertain. minutes:
    in which the whole trial should end on this machine; None or 0 measures nothing. device: "cpu", "cuda" or "".
    Data that cannot be read or split get a protocol too, with the reason, for `equipoise check` shows what is wrong.
    Raises EquipoiseError, and writes nothing, where what is wrong is a key that the user states.
    """
    if file.exists():
        raise EquipoiseError(f"{file} exists already and is not overwritten; name another with --out")
    if minutes is not None and not 0 <= minutes < float("inf"):
        raise EquipoiseError(f"--minutes {minutes:g} is not possible; give the minutes that the trial may take, or 0")
    settings = dict(settings or {})
    if source.startswith(sources.PUBLIC):
        known = _of_public(source, settings)
    elif Path(source).exists() or "/" in source:
        known = _of_data(Path(source), settings)
    else:
        known = _named(source, settings)
    try:
        fitted = fit(known.tables(), file.parent, minutes=minutes, device=device, watch=watch)
    except (CohortError, RefusedFile, ProtocolError) as error:
        _refuse_statements(settings, error)
        fitted = _unfitted(known, str(error))
    text = protocol_text(file, replace(known, settings=_relative(known.settings, file)), fitted)
    try:
        write_text(file, text)
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another with --out") from error
    return Started(file, fitted.sentences)


def _refuse_statements(settings: Mapping[str, Any], error: EquipoiseError) -> None:
    """Raise EquipoiseError where an error is of a key of [cohort] that the user states, and not of the data."""
    # Every such error names its key, as "cohort.imgaes", or the file that the key names. One of settings that do not
    # fit each other may name the other one, which was recognised.
    keys = r"\w+" if isinstance(error, ProtocolError) and settings else "|".join(map(re.escape, settings))
    texts = tuple(value for value in settings.values() if isinstance(value, str) and value)
    is_file = isinstance(error, RefusedFile) and error.file.endswith(texts)
    if is_file or (keys and re.search(rf"\bcohort\.({keys})\b", str(error))):
        raise EquipoiseError(f"{str(error).rstrip('.')}; no protocol was written, correct --set") from error


def _relative(settings: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return the settings of [cohort] with a path relative to the protocol, where the data lie beside or below it.

    A folder that holds both can then be moved; the path of data elsewhere stays absolute, so that the protocol can be.
    """
    folder, path = file.parent.resolve(), settings.get("path")
    if path is None or not Path(path).is_relative_to(folder):
        return dict(settings)
    return {**settings, "path": Path(path).relative_to(folder).as_posix()}


def _unfitted(known: Known, reason: str) -> Fitted:
    """Return what the rules make of the first look, where the cohort cannot be read."""
    look = known.look or FirstLook(np.array([[64, 64]]), np.ones((1, 2)))
    task = task_named(str(known.settings.get("task", CLASSIFICATION.name)))
    names = tuple(known.settings.get("classes", ()))
    count = len(look.shapes)
    data = Fingerprint(
        task.has_masks, task.has_findings, USUAL_CASES, count, (), names, OTHER, look.shapes, look.spacings, True,
        (0.0, 1.0), 0.0, 1.0,
    )  # fmt: skip
    return plainest(data, "cpu", known.scheme, reason)


def cohort_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of [cohort] from texts such as `coding=2023`, `columns.label=dx` or `classes=["a", "b"]`.

    A value that is no TOML is a text. Raises EquipoiseError for what is no KEY=VALUE.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        *above, last = (part.strip() for part in key.split("."))
        if not equals or not last or not all(above):
            raise EquipoiseError(f"--set {text!r} is not KEY=VALUE; write for example --set coding=2023")
        place = settings
        for name in above:
            place = place.setdefault(name, {})
        place[last] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    """A list, table or quoted text as TOML has it; anything else is a text, for keys of sources name things."""
    if not text.startswith(("[", "{", '"', "'")) and text not in ("true", "false"):
        return text
    try:
        return tomlkit.parse(f"value = {text}").unwrap()["value"]
    except TOMLKitError:
        return text


def _named(source: str, keys: Mapping[str, Any]) -> Known:
    """What is known of a source that is named."""
    if ":" not in source:
        resolve(source, sources, "cohort source")
    settings = {"label": "malignancy"} if source == "lidc-contours" else {}
    return Known(source.replace(":", "-"), source, settings | dict(keys))


def _of_public(source: str, keys: Mapping[str, Any]) -> Known:
    """What is known of data that `equipoise fetch` brought."""
    above = Path(keys["path"]) if "path" in keys else None
    section, data = sources.fetched(CohortSection(source=source), above)
    name = source.removeprefix(sources.PUBLIC)
    if section.source == "lidc-nodules":
        return replace(_named(source, {"label": "malignancy", **keys}), name=name)
    values = _of_data(data, {key: value for key, value in keys.items() if key != "path"})
    # The path is that of `--to`, and not the data's own, which the source knows.
    settings = {key: value for key, value in values.settings.items() if key != "path"}
    path = {"path": str(above.resolve())} if above else {}
    return replace(values, name=name, source=source, settings=path | settings)


def _of_data(path: Path, keys: Mapping[str, Any]) -> Known:
    """What is known of the data at a path."""
    text = next((key for key in _LISTS if isinstance(keys.get(key), str)), None)
    if text is not None:
        raise EquipoiseError(
            f'--set {text}={keys[text]!r} is one text; write a list, such as --set {text}=\'["a", "b"]\''
        )
    recognised = recognise(path, keys)
    file = Path(recognised.settings.get("path", path))
    look = first_look(file, recognised, None if (axes := keys.get("axes")) is None else str(axes))
    named, unnamed = _named_classes(path, mask_classes(recognised, keys, file))
    settings = {"path": str(path.resolve()), "task": recognised.task, **recognised.settings, **named}
    patients = recognised.patients_known or "patient_pattern" in keys or states_patients(str(keys.get("mask", "")))
    return Known(
        name=re.sub(r"[^\w.-]", "-", path.resolve().stem) or "trial",
        source=recognised.source,
        scheme=recognised.scheme,
        patients="stated" if patients else "guessed",
        settings=settings | ({"axes": look.axes} if look.axes else {}) | dict(keys),
        remarks=(*recognised.remarks, *(() if "classes" in keys else unnamed)),
        look=look,
    )


def _named_classes(path: Path, classes: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings of the masks' classes with the names that a file beside the images gives; else a remark."""
    if "classes" not in classes or not path.is_dir():
        return dict(classes), ()
    names = names_of_values(path, classes.get("values") or range(len(classes["classes"])))
    if names is None:
        return dict(classes), (UNNAMED,)
    return {**classes, "classes": names}, ()
