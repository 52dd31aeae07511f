"""Whether the files below a folder are images with masks, and the patterns that say which belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.cohorts.layouts.generalise import MaskPattern, image_patterns, mask_patterns
from equipoise.cohorts.layouts.image_names import PARTS, image_files, says_mask, stem_and_ending
from equipoise.cohorts.layouts.templates import Template
from equipoise.errors import CohortError

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


def find_pairs(root: Path, stated: dict[str, Any] | None = None) -> FoundPairs | None:
    """The patterns of images and masks below a folder; None where nothing is called a mask or nothing belongs to it.

    stated: `mask`, where several could be meant. Raises CohortError where several kinds of masks are found.
    """
    stated = stated or {}
    paths = [file.relative_to(root).as_posix() for file in image_files(root)]
    masks = [path for path in paths if says_mask(stem_and_ending(path)[0])]
    if "mask" in stated:
        template = Template(str(stated["mask"]), "cohort.mask")
        masks = [path for path in paths if template.match(path) is not None]
    if not masks or len(masks) == len(paths):
        return None
    images = sorted(set(paths) - set(masks))
    found = [(mask, images_of_mask(mask, images)) for mask in mask_patterns(masks, images)]
    fitting = [(mask, patterns) for mask, patterns in found if patterns]
    fitting = [pair for pair in fitting if len(pair[0].paths) >= _FEWEST_PAIRED * max(len(p.paths) for p, _ in fitting)]
    if not fitting:
        return None
    if len(fitting) > 1:
        offered = ", ".join(mask.text for mask, _ in fitting[:4])
        raise CohortError(
            f"{root} holds several kinds of masks ({offered}); say which one is meant: "
            f"`equipoise init {root} --set mask={fitting[0][0].text!r}`."
        )
    return _described(root, *fitting[0], images)


def images_of_mask(mask: MaskPattern, images: Sequence[str]) -> list[str]:
    """The patterns of the channels of a mask's cases: the image it is named after, else all that every case has."""
    complete, _ = image_patterns(mask, [path for path in images if not path.startswith("derivatives/")] or images)
    stem = stem_and_ending(mask.text.rpartition("/")[2])[0]
    own = [text for text in complete if stem.startswith(stem_and_ending(text.rpartition("/")[2])[0])]
    return sorted(own, key=len)[-1:] or complete


def _described(root: Path, mask: MaskPattern, patterns: Sequence[str], images: Sequence[str]) -> FoundPairs:
    fields = {name for each in mask.fields for name in each}
    settings: dict[str, Any] = {"images": list(patterns), "mask": mask.text}
    if len(patterns) > 1:
        settings["channels"] = _channel_names(patterns)
    if "structure" in fields:
        settings["classes"] = ["background", *sorted({each["structure"] for each in mask.fields})]
    table = next((name for name in _TABLES if (root / name).is_file()), None)
    if table is not None and "patient" in fields:
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
        {"train", "test"} <= parts,
        tuple(remarks[:8]),
    )


def _channel_names(patterns: Sequence[str]) -> list[str]:
    """What the patterns differ in: their file names without what all have."""
    stems = [stem_and_ending(text.rpartition("/")[2])[0] for text in patterns]
    if len(set(stems)) < len(stems):
        stems = [stem_and_ending(text)[0].replace("/", " ") for text in patterns]
    names = [stem.rpartition("}")[2].strip("-_. ") for stem in stems]
    return names if len(set(names)) == len(names) and all(names) else stems
