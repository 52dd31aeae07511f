"""What arms are called where nobody has said."""

from pathlib import Path

import pytest

from equipoise.evaluation.external.arm_names import arm_names, fold_in, split_arm


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/r/unet.csv", "/r/vnet.csv"], ["unet", "vnet"]),
        (["/r/unet/summary.json", "/r/vnet/validation/summary.json"], ["unet", "vnet"]),
        (["/a/best/predictions.csv", "/b/best/predictions.csv"], ["a/best", "b/best"]),
        (["/r/unet/fold_0/validation/summary.json", "/r/unet/fold_1/validation/summary.json"], ["unet", "unet"]),
        (["/r/unet/dice_raw.csv", "/r/unet/hd95_raw.csv"], ["unet", "unet"]),
        (["/summary.json"], ["summary"]),
    ],
)
def test_the_shortest_names_that_tell_apart(paths: list[str], names: list[str]) -> None:
    assert arm_names([Path(path) for path in paths]) == names


def test_an_arm_may_be_stated(tmp_path: Path) -> None:
    odd = tmp_path / "a=b.csv"
    odd.touch()
    assert split_arm(str(odd)) == (None, str(odd))
    assert split_arm("x=a=b.csv") == ("x", "a=b.csv")
    assert split_arm("folder/x=1.csv") == (None, "folder/x=1.csv")


def test_folds_are_read_from_the_path() -> None:
    assert fold_in(Path("a/fold_12/summary.json")) == 12
    assert fold_in(Path("a/folds/summary.json")) is None
