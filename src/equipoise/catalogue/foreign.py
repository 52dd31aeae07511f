"""Networks of other packages that an adapter of `equipoise.zoo` can build, read from the package's files.

Nothing of the package is run: importing timm takes seconds, and torch with it. What the files name and no pattern finds
is left to the adapter, which asks the package itself.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.zoo import near, not_installed

PACKAGES: Mapping[str, tuple[str, str]] = {
    "timm": ("timm", "timm"),
    "monai": ("monai", "monai"),
    "smp": ("segmentation_models_pytorch", "segmentation-models-pytorch"),
}
"""Adapter → the package that it imports, and the package's name for pip."""
_REGISTERED = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


def folder_of(adapter: str) -> Path | None:
    """Return the folder of an adapter's package; None where it is not installed."""
    spec = PathFinder.find_spec(PACKAGES[adapter][0])
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@cache
def networks(adapter: str) -> tuple[str, ...]:
    """Return the names of the networks of an adapter's package, sorted; empty where it is not installed."""
    folder = folder_of(adapter)
    if folder is None:
        return ()
    if adapter == "timm":
        return tuple(sorted({name for text in _texts(folder / "models") for name in _REGISTERED.findall(text)}))
    file = folder / ("networks/nets/__init__.py" if adapter == "monai" else "__init__.py")
    names = {alias.asname or alias.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
             if isinstance(node, ast.ImportFrom) and node.level for alias in node.names}  # fmt: skip
    return tuple(sorted(name for name in names if name[0].isupper()))


def _texts(folder: Path) -> list[str]:
    return [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("*.py"))]


def refuse_unknown(adapter: str, network: str) -> None:
    """Raise ProtocolError where an adapter's package is not installed, or its files nowhere name the network."""
    folder = folder_of(adapter)
    if folder is None:
        raise ProtocolError(not_installed(PACKAGES[adapter][1]))
    # Behind a point stands the name of weights, which an adapter loads none of.
    name, known = network.partition(".")[0], networks(adapter)
    places = folder / {"timm": "models", "monai": "networks/nets"}.get(adapter, ".")
    if name in known or not known or any(re.search(rf"\b{re.escape(name)}\b", text) for text in _texts(places)):
        return
    raise ProtocolError(f"{PACKAGES[adapter][0]} has no network {network!r}; {near(network, known, adapter)}")


def listed(adapter: str, word: str) -> list[str]:
    """Return the networks of an adapter's package whose names contain a word, for `equipoise list models timm:WORD`.

    Raises EquipoiseError where there is none, or the package is not installed.
    """
    if adapter not in PACKAGES:
        raise EquipoiseError(f"there is no adapter {adapter!r} for networks of a package; name {', '.join(PACKAGES)}")
    if folder_of(adapter) is None:
        raise EquipoiseError(not_installed(PACKAGES[adapter][1]))
    names = [name for name in networks(adapter) if word.lower() in name.lower()]
    if not names:
        raise EquipoiseError(
            f"no network of {adapter} has {word!r} in its name; {near(word, networks(adapter), adapter)}"
        )
    return names


def where_listed(adapter: str) -> str:
    """Say how the networks of an adapter's package are listed, or how it is installed."""
    if folder_of(adapter) is None:
        return f"Its networks: {not_installed(PACKAGES[adapter][1])}."
    few = next(iter(networks(adapter)), "")[:6].lower()
    return (
        f"Its networks: equipoise list models {adapter}: ({len(networks(adapter)):,}), or those whose names contain a "
        f"word, such as equipoise list models {adapter}:{'resnet' if adapter == 'timm' else few}"
    )
