"""Attribution maps that lie in a run folder, and what may be said of them."""

from dataclasses import dataclass, field
from pathlib import Path

from equipoise.errors import LedgerError
from equipoise.report.pages.examples import png_uri
from equipoise.runfolder.read import read_attributions


@dataclass(frozen=True)
class Maps:
    """Pictures by case as data addresses, and the sentence that stands above them; both empty where there are none."""

    words: str = ""
    pictures: dict[str, str] = field(default_factory=dict)


def read_maps(folder: Path) -> Maps:
    """The maps of a run folder; one that cannot be read is said in words."""
    try:
        maps = read_attributions(folder)
        if maps is None:
            return Maps()
        checks = maps[0]
        if "failed" in checks:
            return Maps(f"No attribution maps: the network cannot be explained ({checks['failed']}).")
        pictures = {name: png_uri(picture) for name, picture in maps[1].items()}
    except (LedgerError, ValueError) as error:
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
