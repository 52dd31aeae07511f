"""Attribution maps that lie in a run folder, and what may be said of them."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from equipoise.report.pages.examples import png_uri

ATTRIBUTIONS = "attributions.json"
PICTURES = "attributions.npz"


@dataclass(frozen=True)
class Maps:
    """Pictures by case as data addresses, and the sentence that stands above them; both empty where there are none."""

    words: str = ""
    pictures: dict[str, str] = field(default_factory=dict)


def read_maps(folder: Path) -> Maps:
    """The maps of a run folder; one that cannot be read is said in words."""
    if not (folder / ATTRIBUTIONS).is_file():
        return Maps()
    try:
        checks = json.loads((folder / ATTRIBUTIONS).read_text(encoding="utf-8"))
        if "failed" in checks:
            return Maps(f"No attribution maps: the network cannot be explained ({checks['failed']}).")
        with np.load(folder / PICTURES, allow_pickle=False) as archive:
            pictures = {name: png_uri(archive[name]) for name in archive.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        return Maps(f"The attribution maps cannot be read ({error}).")
    if not checks["depends_on_weights"]:
        return Maps(
            "No attribution maps are shown: shuffling the network's weights hardly changed them (median rank "
            f"correlation {checks['likeness']:.2f}), so they would show the image and not what was learnt."
        )
    return Maps(
        f"Maps: integrated gradients of the first training run for the class it calls; orange speaks for it, blue "
        f"against it. Shuffling the network's weights changes them (median rank correlation {checks['likeness']:.2f}). "
        "They describe the network, not the disease.",
        pictures,
    )
