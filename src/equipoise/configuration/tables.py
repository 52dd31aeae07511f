"""A recipe as the tables of a protocol: with its design, its epochs and its precision."""

from typing import Any

from equipoise.configuration.design import Design
from equipoise.configuration.recipe import Recipe

UNMEASURED_UPDATES = 3000
"""Updates of a job where nobody stated minutes."""
FEWEST_EPOCHS, USUAL_EPOCHS = 10, 100


def tables_of(rules: Recipe, design: Design, epochs: int, precision: str = "float32") -> dict[str, Any]:
    """Return [split], [preprocessing], [augmentation], [training], [inference] and [[arms]] as in a protocol."""
    split: dict[str, Any] = {"scheme": design.scheme, "fractions": list(design.fractions)}
    if design.scheme == "kfold":
        split["folds"] = design.folds
    plain = {key: value for key, value in rules.training.items() if key != "ema" or epochs > 1}
    return {
        "split": split,
        "preprocessing": dict(rules.preprocessing),
        "augmentation": dict(rules.augmentation),
        "training": plain | {"epochs": epochs, "seeds": list(range(design.seeds)), "precision": precision},
        "inference": dict(rules.inference),
        "arms": [
            {"name": model["name"], "model": dict(model), "optimizer": dict(rules.optimizer)}
            for model in rules.arms[: design.arms]
        ],
    }


def unmeasured_epochs(rules: Recipe, train: int) -> int:
    """Return the epochs with about 3,000 updates, from 10 to 100, where no time was measured."""
    steps = max(1, int(train * rules.training.get("patches_per_case", 1) // rules.training["batch_size"]))
    return min(USUAL_EPOCHS, max(FEWEST_EPOCHS, round(UNMEASURED_UPDATES / steps)))
