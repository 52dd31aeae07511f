"""Rules of learning: batch, patches, loss, learning rate, schedule, averages, and how long is long enough."""

from math import ceil
from typing import Any

import numpy as np

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.grid import PATCH_VOXELS, Grid

FEWEST_UPDATES = 20
"""Updates that an epoch should have: with fewer, validation costs more than training."""
MOST_BATCH = {"cpu": 32, "cuda": 128}
FULL_PATCHES = 2
"""Patches of the full budget in one batch (nnU-Net's smallest batch)."""
LARGEST_SHARE = 0.05
"""Share of all the cohort's voxels that one batch may hold (Isensee et al. 2021)."""
RARE_LABEL = 0.05
RATE = {True: 2e-3, False: 1e-3}
"""AdamW's rate for masks and for labels."""


def batch_of(data: Fingerprint, grid: Grid, device: str) -> int:
    """Return cases or patches per update: as many as the voxels allow, and few enough for 20 updates an epoch."""
    sides = grid.patch or grid.size or grid.extent
    voxels = float(np.prod(sides))
    room = FULL_PATCHES * PATCH_VOXELS[device, data.dims] / voxels
    share = LARGEST_SHARE * data.cases * float(np.prod(grid.extent)) / voxels
    updates = data.cases * 0.8 / FEWEST_UPDATES
    most = min(room, MOST_BATCH[device]) if data.masks else MOST_BATCH[device]
    return int(max(2, 2 ** int(np.log2(max(2.0, min(most, share, updates))))))


def patches_of(data: Fingerprint, grid: Grid, batch: int) -> int:
    """Return patches per case and epoch, so that an epoch has 20 updates, and at most 8."""
    if grid.patch is None:
        return 1
    return int(min(8, max(1, ceil(FEWEST_UPDATES * batch / (0.8 * data.cases)))))


def foreground_patches_of(data: Fingerprint) -> float:
    """Return the share of patches about a foreground voxel: a third, two thirds below 1 %, 80 % below 0.1 %."""
    rare = min(data.foreground, data.rarest)
    return 0.33 if rare >= 0.01 else 0.67 if rare >= 0.001 else 0.8


def learning_of(data: Fingerprint, grid: Grid, device: str) -> dict[str, Any]:
    """Return [training] without epochs and precision."""
    batch = batch_of(data, grid, device)
    settings: dict[str, Any] = {"batch_size": batch, "schedule": {"name": "cosine", "warm_up": 0.05}, "clip_norm": 5.0}
    if not data.masks:
        settings |= {"loss": "cross-entropy", "select": "loss"}
        return settings | ({"sampling": "balanced"} if data.rarest < RARE_LABEL else {})
    # Not for labels: batch normalisation would be computed anew for the average, at a third of an epoch.
    settings["ema"] = 0.99
    if data.findings:
        return settings | _patches(data, grid, batch)
    return settings | {"loss": "dice-cross-entropy", "select": "primary"} | _patches(data, grid, batch)


def _patches(data: Fingerprint, grid: Grid, batch: int) -> dict[str, Any]:
    if grid.patch is None:
        return {}
    settings: dict[str, Any] = {"patch": list(grid.patch), "foreground_patches": foreground_patches_of(data)}
    per_case = patches_of(data, grid, batch)
    return settings | ({"patches_per_case": per_case} if per_case > 1 else {})


def optimizer_of(data: Fingerprint) -> dict[str, Any]:
    """Return every arm's optimizer: one for all, so that the arms differ in the architecture alone."""
    return {"name": "adamw", "lr": RATE[data.masks], "weight_decay": 0.01}


def inference_of(data: Fingerprint) -> dict[str, Any]:  # noqa: ARG001
    """Return [inference]: whether answers for mirrored copies are averaged too."""
    return {}
