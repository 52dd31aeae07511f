import json
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.report import summarise
from equipoise.report.text.methods import methods

Make = Callable[..., Path]


def _stop(folder: Path, arm: str, seed: int, epoch: int) -> None:
    path = folder / "jobs" / arm / f"0-{seed}" / "done.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stopped_epoch": epoch}))


@pytest.mark.long
def test_runs_that_stopped_early_are_told(make_folder: Make) -> None:
    folder = make_folder()
    for seed, epoch in enumerate([5, 7]):
        _stop(folder, "unet-adam", seed, epoch)
    _stop(folder, "deeplab-adam", 0, 6)
    results = summarise(folder)
    arms = {arm["name"]: arm["stopped_early"] for arm in results["arms"]}
    runs = len(results["arms"][0]["seeds"])
    assert arms["unet-adam"] == {"runs": 2, "of_runs": runs, "epochs": [5, 7], "of_epochs": 12}
    assert arms["densenet-adam"] is None
    told = [warning for warning in results["warnings"] if "stopped early" in warning]
    assert told == [
        f"unet-adam stopped early in 2 of {runs} runs, after 5 to 7 of 12 epochs: it used less than its budget.",
        f"deeplab-adam stopped early in 1 of {runs} runs, after 6 of 12 epochs: it used less than its budget.",
    ]
    paragraph, _ = methods(results, json.loads((folder / "lock.json").read_text()))
    assert "an equal limit of epochs (early stopping ended 3 runs before the limit);" in paragraph


@pytest.mark.long
def test_whole_budgets_are_equal(make_folder: Make) -> None:
    folder = make_folder()
    results = summarise(folder)
    assert not any("stopped early" in warning for warning in results["warnings"])
    assert "an equal budget of epochs;" in methods(results, json.loads((folder / "lock.json").read_text()))[0]
