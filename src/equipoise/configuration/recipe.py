"""A recipe: what the rules give for one cohort on one device, as tables of a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.grid import Grid, grid_of
from equipoise.configuration.images import augmentation_of, scale_of
from equipoise.configuration.learning import inference_of, learning_of, optimizer_of
from equipoise.configuration.network import BASE, network_of

ARCHITECTURES = {True: ("unet", "deeplab", "densenet"), False: ("unet", "densenet", "deeplab")}
"""The arms, by whether the task has masks: the first of them where there is no time for all."""


@dataclass(frozen=True)
class Recipe:
    """Tables of a protocol without split, seeds, epochs and precision, which follow from the time there is.

    base: channels at full resolution. arms: networks with their settings, in the order in which they are kept.
    """

    data: Fingerprint
    grid: Grid
    base: int
    preprocessing: dict[str, Any]
    augmentation: dict[str, Any]
    training: dict[str, Any]
    optimizer: dict[str, Any]
    inference: dict[str, Any] = field(default_factory=dict)
    arms: tuple[dict[str, Any], ...] = field(default=())


def recipe(data: Fingerprint, device: str, *, base: int | None = None) -> Recipe:
    """Apply all rules; base: another width than the device's usual one."""
    grid = grid_of(data, device)
    base = BASE[device, data.dims] if base is None else base
    preprocessing: dict[str, Any] = {"scale": scale_of(data)}
    if grid.spacing_mm is not None:
        preprocessing["resample"] = list(grid.spacing_mm)
    if grid.size is not None:
        preprocessing["size"] = list(grid.size)
    sides: Sequence[float] = grid.patch or grid.size or grid.extent
    networks = ({"name": name, **network_of(name, sides, base, data.masks)} for name in ARCHITECTURES[data.masks])
    return Recipe(
        data, grid, base, preprocessing, augmentation_of(data), learning_of(data, grid, device),
        optimizer_of(data), inference_of(data), tuple(networks),
    )  # fmt: skip
