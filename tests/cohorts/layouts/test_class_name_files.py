"""Names of classes from files beside the images, where these leave no doubt."""

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.layouts.class_name_files import UNNAMED, names_of_values
from equipoise.trials.init import write_protocol


@pytest.mark.parametrize(
    ("text", "values", "names"),
    [
        ("background\nliver\ntumour\n", (0, 1, 2), ["background", "liver", "tumour"]),
        ("BG\nliver\n", (0, 1), ["background", "liver"]),
        ("0 background\n1 liver\n2 tumour", (0, 1, 2), ["background", "liver", "tumour"]),
        ("1: left lung\r\n2: right lung\r\n", (0, 1, 2), ["background", "left lung", "right lung"]),
        ("85=cup\n170=disc\n255=rim", (0, 85, 170), ["background", "cup", "disc"]),
        ("liver\ntumour\n", (0, 1, 2), None),  # is the background left out, or a class?
        ("liver\ntumour\nvessel\n", (0, 1, 2), None),
        ("background\nliver\n", (0, 255), None),
        ("background\nliver\nliver\n", (0, 1, 2), None),
        ("1 liver\ntumour\n", (0, 1, 2), None),
        ("1 liver\n", (0, 1, 2), None),
        ("", (0, 1), None),
        ("\x00\xff", (0, 1), None),
    ],
)
def test_only_what_is_certain_gives_names(text, values, names, tmp_path):
    (tmp_path / "labels.txt").write_text(text, encoding="latin-1", newline="")
    assert names_of_values(tmp_path, values) == names


def test_two_files_are_no_certainty(tmp_path):
    for name in ("labels.txt", "classes.txt"):
        (tmp_path / name).write_text("background\nliver\n")
    assert names_of_values(tmp_path, (0, 1)) is None


@pytest.mark.parametrize("named", [True, False])
def test_init_writes_the_names_or_says_that_there_are_none(named, tmp_path):
    for number in range(4):
        for folder in ("images", "masks"):
            (tmp_path / "d" / folder).mkdir(parents=True, exist_ok=True)
            array = np.arange(72, dtype=np.uint8).reshape(9, 8) % (3 if folder == "masks" else 251)
            Image.fromarray(array).save(tmp_path / "d" / folder / f"p{number}.png")
    if named:
        (tmp_path / "d" / "classes.txt").write_text("background\nliver\ntumour\n")
    text = write_protocol(str(tmp_path / "d"), tmp_path / "p.toml").read_text()
    assert ('classes = ["background", "liver", "tumour"]' in text) == named
    assert (UNNAMED in text) != named
