"""Attribution maps of a run folder, with the sentence that states their validity."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from equipoise.errors import LedgerError
from equipoise.report.pages.examples import png_uri
from equipoise.runfolder.paths import LEDGER
from equipoise.runfolder.read import read_attributions


@dataclass(frozen=True)
class Maps:
    """Pictures by case as data URIs, and the sentence above them; both empty where there are none."""

    words: str = ""
    pictures: dict[str, str] = field(default_factory=dict)


def read_maps(folder: Path, unrecorded: Sequence[str] = ()) -> Maps:
    """Read the maps of a run folder; the sentence names a file that cannot be read.

    unrecorded: files of them whose hash the ledger does not hold; the sentence says so.
    """
    maps = _read(folder)
    if not unrecorded or not maps.words:
        return maps
    return replace(maps, words=f"{maps.words} {LEDGER} holds no hash of {' and '.join(unrecorded)}.")


def _read(folder: Path) -> Maps:
    try:
        maps = read_attributions(folder)
        if maps is None:
            return Maps()
        checks = maps[0]
        if "failed" in checks:
            return Maps(f"No attribution maps: they cannot be computed for this network ({checks['failed']}).")
        pictures = {name: png_uri(picture) for name, picture in maps[1].items()}
    except (LedgerError, ValueError) as error:
        return Maps(f"The attribution maps cannot be read ({error}).")
    # The sanity check of Adebayo et al. (2018): maps that survive shuffled weights explain the image and not the
    # network.
    if not checks["depends_on_weights"]:
        return Maps(
            "No attribution maps are shown: shuffling the network's weights hardly changed them (median rank "
            f"correlation {checks['likeness']:.2f}), so they would show the image and not what the network learned."
        )
    return Maps(
        f"Maps: integrated gradients of the first training run for the predicted class; orange supports it, blue "
        f"opposes it. Shuffling the network's weights changes them (median rank correlation {checks['likeness']:.2f}). "
        "They describe the network, not the disease.",
        pictures,
    )
