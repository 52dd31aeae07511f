"""Whether the files below a folder are images with masks, and the patterns that say which belong together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from equipoise.cohorts.layouts.columns import columns_of
from equipoise.cohorts.layouts.generalise import MaskPattern, image_patterns, mask_patterns
from equipoise.cohorts.layouts.image_names import (
    MANUAL,
    PARTS,
    image_files,
    says_image,
    says_mask,
    says_modality,
    stem_and_ending,
    words,
)
from equipoise.cohorts.layouts.pairs import PATIENT
from equipoise.cohorts.layouts.pattern_hints import no_file_fits
from equipoise.cohorts.layouts.tables import read_table
from equipoise.cohorts.layouts.templates import Template
from equipoise.errors import CohortError, EquipoiseError

# BIDS has participants.tsv, TotalSegmentator meta.csv.
_TABLES = ("participants.tsv", "meta.csv", "metadata.csv", "clinical.csv")
_FEWEST_PAIRED = 0.5
"""Share of the masks that a pattern must hold, for the others to be called strays."""


@dataclass(frozen=True)
class FoundPairs:
    """What the source `pairs` must be told, files for a first look, and remarks for the reader of the protocol."""

    settings: dict[str, Any]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    patients_known: bool
    given: bool
    remarks: tuple[str, ...] = ()


# Folders called images and GT were once a classification "images against GT" that passed every check, hence the search
# for masks by their names before folders are taken for classes.
def find_pairs(root: Path, user_settings: dict[str, Any] | None = None) -> FoundPairs | None:
    """The patterns of images and masks below a folder; None where nothing is called a mask or nothing belongs to it.

    user_settings: `mask`, where several could be meant. Raises CohortError where several kinds of masks are candidates,
    and for a stated pattern that no file fits.
    """
    user_settings = user_settings or {}
    paths = [file.relative_to(root).as_posix() for file in image_files(root)]
    masks = [path for path in paths if says_mask(stem_and_ending(path)[0])]
    images = sorted(set(paths) - set(masks))
    if "mask" in user_settings:
        template = Template(str(user_settings["mask"]), "cohort.mask")
        masks = [path for path in paths if template.match(path) is not None]
        if paths and not masks:
            raise no_file_fits(root, template, "mask", paths)
    if not masks or not images:
        return None
    patterns = user_settings.get("images", ())
    # One text is one pattern, and not a pattern for each of its letters.
    meant = [Template(str(text)) for text in ([patterns] if isinstance(patterns, str) else patterns)]
    if meant:
        unfit = next((one for one in meant if not any(one.match(path) is not None for path in images)), None)
        if unfit is not None:
            raise no_file_fits(root, unfit, "images", images)
        images = [path for path in images if any(template.match(path) is not None for template in meant)]
    candidates = [(mask, images_of_mask(mask, images)) for mask in mask_patterns(masks, images)]
    fitting = [(mask, patterns) for mask, patterns in candidates if patterns]
    fitting = [pair for pair in fitting if len(pair[0].paths) >= _FEWEST_PAIRED * max(len(p.paths) for p, _ in fitting)]
    if not fitting:
        return None
    chosen = _drawn_first(fitting) or _beside_their_images(fitting)
    if chosen is None:
        offered = ", ".join(mask.text for mask, _ in fitting[:4])
        raise CohortError(
            f"{root} holds several kinds of masks ({offered}); say which one is meant: "
            f"`equipoise init {quote(str(root))} --set mask={fitting[0][0].text!r}`."
        )
    described = _described(root, *chosen, images)
    others = tuple(f"left out: {mask.text}" for mask, _ in fitting if mask is not chosen[0])
    described = replace(described, remarks=described.remarks + others[:8])
    return _as_stated(described, meant, user_settings, masks)


def _as_stated(
    recognised: FoundPairs, images: Sequence[Template], user_settings: Mapping[str, Any], masks: Sequence[str]
) -> FoundPairs:
    """Return the patterns with the fields that the user gave one side, on both sides.

    Images stated as "images/{patient}_{case}.png" where "images/{case}.png" was recognised make the mask of
    "masks/{case}.png" "masks/{patient}_{case}.png"; and so the images of a stated mask.
    """
    own: Sequence[str] = recognised.settings["images"]
    mask = str(recognised.settings["mask"])
    if "mask" in user_settings:
        given = str(user_settings["mask"])
        parts = _stated_parts(mask, given)
        settings: dict[str, Any] = {} if images or not parts else {"images": [_with_parts(text, parts) for text in own]}
    elif len(images) == len(own) > 0:
        parts = _stated_parts(own[0], images[0].text)
        given = _with_parts(mask, parts)
        settings = {"mask": given} if parts else {}
    else:
        return recognised
    template = Template(given, "cohort.mask")
    if not all(template.match(path) is not None for path in masks):
        return recognised
    known = recognised.patients_known or PATIENT in template.fields
    return replace(recognised, settings=recognised.settings | settings, patients_known=known)


def _stated_parts(recognised: str, given: str) -> dict[str, str]:
    """Return what a given pattern has in place of each field of the recognised one; empty where they differ in more.

    >>> _stated_parts("images/{case}.png", "images/{patient}_{case}.png")
    {'case': '{patient}_{case}'}
    """
    fields = Template(recognised).fields
    text = re.escape(recognised)
    for field in fields:
        place = re.escape(f"{{{field}}}")
        text = text.replace(place, f"(?P<{field}>.+)", 1).replace(place, f"(?P={field})")
    match = re.fullmatch(text, given)
    return match.groupdict() if match and fields else {}


def _with_parts(text: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: parts.get(match[1], match[0]), text)


def _drawn_first(fitting: Sequence[tuple[MaskPattern, list[str]]]) -> tuple[MaskPattern, list[str]] | None:
    """The first drawing by hand, where other kinds are called mask: those are the field of view (DRIVE, HRF)."""
    drawn = [pair for pair in fitting if MANUAL in words(pair[0].text)]
    numbers = [re.findall(rf"(\d)(?:st|nd)?_?{MANUAL}|{MANUAL}_?(\d)", pair[0].text.lower()) for pair in drawn]
    first = [pair for pair, each in zip(drawn, numbers, strict=True) if "1" in {n for one in each for n in one}]
    drawn = first if len(drawn) > 1 else drawn
    return drawn[0] if len(drawn) == 1 and len(fitting) > 1 else None


def _beside_their_images(
    fitting: Sequence[tuple[MaskPattern, list[str]]],
) -> tuple[MaskPattern, list[str]] | None:
    """The one kind of masks, or the one that lies in the folder of its images while all others lie in folders below."""
    if len(fitting) == 1:
        return fitting[0]
    beside = [
        (mask, patterns)
        for mask, patterns in fitting
        if {text.rpartition("/")[0] for text in patterns} == {mask.text.rpartition("/")[0]}
    ]
    if len(beside) != 1:
        return None
    folder = beside[0][0].text.rpartition("/")[0]
    below = [mask.text.startswith(f"{folder}/") for mask, _ in fitting if mask is not beside[0][0]]
    return beside[0] if folder and all(below) else None


def images_of_mask(mask: MaskPattern, images: Sequence[str]) -> list[str]:
    """Return the patterns of the channels: the image that a mask is named after, else all that every case has."""
    # BIDS keeps what programs made of the scans below derivatives: masks may lie there, the scans do not.
    complete, _ = image_patterns(mask, [path for path in images if not path.startswith("derivatives/")] or images)
    stem = stem_and_ending(mask.text.rpartition("/")[2])[0]
    own = [text for text in complete if stem.startswith(stem_and_ending(text.rpartition("/")[2])[0])]
    return _of_one_kind(own) if own else _of_one_kind(complete)


def _of_one_kind(patterns: Sequence[str]) -> list[str]:
    """Those in the folder that is called images, where others lie elsewhere; all where their folders are modalities.

    Raises CohortError where it is not certain whether a folder holds images or something drawn on them.
    """
    folders = {text: text.rpartition("/")[0] for text in patterns}
    if len(set(folders.values())) < 2:
        return list(patterns)
    called_so = [text for text, folder in folders.items() if says_image(folder)]
    if called_so and len({folders[text] for text in called_so}) == 1:
        return called_so
    if all(map(says_modality, folders.values())):
        return list(patterns)
    raise CohortError(
        f"the images of the masks could be {', '.join(patterns[:6])}; say which are meant: "
        f"--set images='[\"{patterns[0]}\"]'."
    )


def _described(root: Path, mask: MaskPattern, patterns: Sequence[str], images: Sequence[str]) -> FoundPairs:
    fields = {name for each in mask.fields for name in each}
    settings: dict[str, Any] = {"images": list(patterns), "mask": mask.text}
    if len(patterns) > 1:
        settings["channels"] = _channel_names(patterns)
    if "structure" in fields:
        settings["classes"] = ["background", *sorted({each["structure"] for each in mask.fields})]
    table, parts_of_table = _table_of(root, mask, fields)
    if table is not None:
        settings["table"] = table
    complete, some = image_patterns(mask, images)
    others = sorted({*complete, *some} - set(patterns))
    remarks = [
        f"left out: {text}, which {some.get(text, len(mask.fields))} of {len(mask.fields)} have" for text in others
    ]
    first = Template(patterns[0])
    listed = {first.fill(each, images) for each in mask.fields}
    parts = {PARTS.get(each.get("part", "").lower()) for each in mask.fields}
    return FoundPairs(
        settings,
        tuple(root / path for path in sorted(listed)),
        tuple(root / path for path in mask.paths),
        "patient" in fields,
        {"train", "test"} <= parts or {"train", "test"} <= parts_of_table,
        tuple(remarks[:8]),
    )


def _table_of(root: Path, mask: MaskPattern, fields: set[str]) -> tuple[str | None, set[str | None]]:
    """Return the table that tells more of the patients or cases, and the parts that its column of parts names.

    A table of another name is taken where one of its columns holds all cases, and another their parts.
    """
    table = next((name for name in _TABLES if (root / name).is_file()), None)
    others = [file.name for file in sorted(root.iterdir()) if file.suffix.lower() in (".csv", ".tsv")]
    for name in [table] if table else others:
        try:
            rows = read_table(root / name)
            part = columns_of(rows, where=name).part
        except EquipoiseError:  # a table of something else
            continue
        ids = {each.get("patient") or each.get("case") for each in mask.fields}
        whole = any(ids <= {row[column] for row in rows} for column in rows[0])
        parts = {PARTS.get(row[part].lower()) for row in rows} if part and whole else set()
        if (table is not None and ("patient" in fields or whole)) or {"train", "test"} <= parts:
            return name, parts
    return None, set()


def _channel_names(patterns: Sequence[str]) -> list[str]:
    """What the patterns differ in: their file names without what all have."""
    stems = [stem_and_ending(text.rpartition("/")[2])[0] for text in patterns]
    if len(set(stems)) < len(stems):
        stems = [stem_and_ending(text)[0].replace("/", " ") for text in patterns]
    names = [stem.rpartition("}")[2].strip("-_. ") for stem in stems]
    return names if len(set(names)) == len(names) and all(names) else stems
