"""The cohorts of `benchmarks/recipes.py`, and what each of its recipes changes in a protocol."""

import copy
from collections.abc import Mapping
from typing import Any

Tables = dict[str, Any]
MORE = {"rotate_degrees": 20, "scale": [0.8, 1.25], "shift": 0.05, "gamma": [0.7, 1.5], "contrast": [0.75, 1.3]}

ANY: dict[str, Tables] = {
    "base": {},
    "poly": {"training.schedule": {"name": "poly", "warm_up": 0.05}},
    "last-epochs": {"training.ema": None, "training.average_last": "quarter"},
    "more-augmentation": {"augmentation.probability": None} | {f"augmentation.{key}": MORE[key] for key in MORE},
}
MASKS: dict[str, Tables] = ANY | {
    "no-average": {"training.ema": None},
    "deep-supervision": {"training.deep_supervision": True},
    "flips": {"augmentation.flip": "all"},
    "flips-mirrored": {"augmentation.flip": "all", "inference.mirror": "trained"},
    "dice-left-out": {"training.dice": {"absent": "left-out"}},
    "dice-foreground": {"training.dice": {"background": False}},
    "dice-case": {"training.dice": {"over": "case", "absent": "left-out"}},
    "more-foreground": {"training.foreground_patches": 0.67},
}
LABELS: dict[str, Tables] = ANY | {
    "average": {"training.ema": 0.99},
    "flips": {"augmentation.flip": "all"},
    "flips-mirrored": {"augmentation.flip": "all", "inference.mirror": "trained"},
    "balanced": {"training.sampling": "balanced"},
    "mixup": {"training.mixup": 0.2},
}
GROUPED = {"images": "images", "groups": "pseudo_group", "groups_are_guesses": True}
COHORTS: dict[str, Tables] = {
    "hippocampus": {"source": "decathlon", "path": "msd_hippocampus", "task": "segmentation"},
    "cheng": GROUPED
    | {
        "source": "arrays", "path": "cheng_t1c_128/cheng_brain_t1c_128_dev.npz", "task": "segmentation",
        "masks": "masks", "classes": ["background", "tumour"],
    },
    "nodules2d": {
        "source": "arrays", "path": "lidc_nodules2d/lidc_nodules2d_dev.npz", "table": "lidc_nodules2d_dev.csv",
        "images": "images", "labels": "malignancy_primary", "threshold": 3, "classes": ["benign", "malignant"],
        "groups": "patient_id", "subtract": "hu_offset_guess", "spacing_mm": "pixel_spacing_mm",
    },
}  # fmt: skip


def recipes_of(cohort: str) -> dict[str, Tables]:
    """Return the recipes that a cohort can be trained with."""
    return MASKS if "masks" in COHORTS[cohort] or COHORTS[cohort].get("task") == "segmentation" else LABELS


def changed(tables: Tables, recipe: Mapping[str, Any], dims: int, epochs: int) -> Tables:
    """Return the tables with a recipe's settings; None removes one."""
    made = copy.deepcopy(tables)
    for place, value in recipe.items():
        section, key = place.split(".")
        table = made.setdefault(section, {})
        if value == "quarter":
            table[key] = max(1, epochs // 4)
        elif value == "all":
            table[key] = ["horizontal", "vertical", "depth"][:dims]
        elif value is None:
            table.pop(key, None)
        else:
            table[key] = value
    made["training"]["epochs"] = epochs
    return made
