"""Cases enlarged: outlines along the edges of pixels, a scale bar and sides only where they are known."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise.report.pages import enlarged
from equipoise.report.pages.examples import Example, Gallery
from equipoise.runfolder.write import write_planes

SQUARE = np.zeros((6, 8), np.uint8)
SQUARE[1:4, 2:6] = 1


def area(path):
    """The area inside a border, by its vertical edges: each adds its length times its column, right minus left."""
    edges = [(int(x), int(n)) for x, n in re.findall(r"M(\d+) \d+v(\d+)", path)]
    middle = np.mean([x for x, _ in edges])
    return sum(n * x * (1 if x > middle else -1) for x, n in edges)


def test_a_border_runs_along_the_edges_of_pixels():
    assert enlarged.boundary(SQUARE > 0) == "M2 1h4M2 4h4M2 1v3M6 1v3"
    assert area(enlarged.boundary(SQUARE > 0)) == SQUARE.sum()
    assert enlarged.boundary(np.zeros((3, 3), bool)) == ""


@pytest.mark.parametrize(
    ("place", "spacing", "sides"),
    [
        ({"spacing_mm": [2.0, 0.5], "sides": "RLAP"}, (2.0, 0.5), "RLAP"),
        ({"spacing_mm": None, "sides": ""}, None, ""),
        ({"spacing_mm": [0.0, 1.0], "sides": "<b>x"}, None, ""),
        ({"spacing_mm": "12", "sides": 7}, None, ""),
        ({}, None, ""),
    ],
)
def test_what_a_folder_says_of_a_place_is_checked(place, spacing, sides):
    assert enlarged._place(place) == (spacing, sides)


def test_a_scale_bar_has_a_round_length():
    assert enlarged._bar(400, (1.0, 0.7)) == (pytest.approx(50 / 0.7), "50 mm")
    assert enlarged._bar(8, (1.0, 1.0)) == (2.0, "2 mm")
    assert enlarged._bar(400, None) is None


@pytest.fixture
def run(tmp_path):
    write_planes(tmp_path / "thumbnails.npz", {"k1": SQUARE * 200, "k2": SQUARE * 100})
    write_planes(tmp_path / "truths.npz", {"k1": SQUARE})
    for arm, shift in (("one", 1), ("two", 2)):
        folder = tmp_path / "jobs" / arm / "0-0"
        folder.mkdir(parents=True)
        write_planes(folder / "slices.npz", {"k1": np.roll(SQUARE, shift, 1)})
    (tmp_path / "pictures.json").write_text(json.dumps({"k1": {"spacing_mm": [2.0, 1.0], "sides": "LRPA"}}))
    jobs = {arm: [SimpleNamespace(arm=arm, fold=0, seed=0, predictions=None)] for arm in ("one", "two")}
    return SimpleNamespace(
        path=tmp_path,
        sources=(),
        arms=lambda: ["one", "two"],
        finished=lambda arm: jobs[arm],
        outlines={},
        thumbnails={},
    )


def gallery(*cases):
    return Gallery("The worst", tuple(Example(case, "", "", 0.0, None) for case in cases), len(cases))


def test_outlines_of_all_arms_stand_beside_the_truth(run, monkeypatch):
    monkeypatch.setattr(enlarged, "part", lambda *_: None)
    shown = enlarged.enlarged_cases(run, [gallery("k1", "k2", "gone")], {"one": "Arm one", "two": "Arm two"})
    assert set(shown) == {"k1", "k2"}
    first, second = shown["k1"], shown["k2"]
    assert [(one.name, one.series) for one in first.outlines] == [("truth", None), ("Arm one", 0), ("Arm two", 1)]
    assert first.outlines[1].path == "M3 1h4M3 4h4M3 1v3M7 1v3"
    assert (first.bar, first.sides, first.stretch) == ((2.0, "2 mm"), "LRPA", 2.0)
    assert (second.outlines, second.bar, second.sides) == ((), None, "")
    (run.path / "pictures.json").write_text("{")
    assert enlarged.enlarged_cases(run, [gallery("k1")], {"one": "1", "two": "2"})["k1"].bar is None
    assert enlarged.enlarged_cases(run, [], {}) == {}
