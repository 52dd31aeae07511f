import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.evaluation.lesions import lesion_scores
from equipoise.evaluation.segmentation import dice


def _row(text: str) -> np.ndarray:
    return np.array([[letter != "." for letter in text]])


@pytest.mark.parametrize(
    ("truth", "said", "counts", "f1", "mean_dice"),
    [
        ("......", "......", (0, 0, 0), 1.0, 1.0),
        ("xx....", "......", (0, 1, 0), 0.0, 0.0),
        ("......", "....xx", (0, 0, 1), 0.0, 0.0),
        ("xx..xx", "xx..xx", (2, 0, 0), 1.0, 1.0),
        ("xx..xx", "xxxxxx", (1, 1, 0), 2 / 3, 0.25),
        ("xx..xx", "xx.x..", (1, 1, 1), 0.5, 1 / 3),
        ("xxxx..", "x.....", (1, 0, 0), 1.0, 0.4),
    ],
)
def test_cases_by_hand(truth: str, said: str, counts: tuple[int, int, int], f1: float, mean_dice: float) -> None:
    scores = lesion_scores(_row(truth), _row(said))
    assert (scores.detected, scores.missed, scores.invented) == counts
    assert scores.f1 == pytest.approx(f1)
    assert scores.dice == pytest.approx(mean_dice)


def test_a_touch_is_no_find() -> None:
    truth, said = _row("xxxxxxxxxxxx........"), _row("...........xxxxxxxxx")
    assert lesion_scores(truth, said).detected == 0
    assert lesion_scores(truth, said, smallest_iou=0.01).detected == 1
    assert lesion_scores(_row("x...."), _row("....x"), smallest_iou=0.0).detected == 0


def test_corners_join_a_lesion() -> None:
    assert lesion_scores(np.eye(4, dtype=bool), np.eye(4, dtype=bool)).detected == 1


def test_one_part_is_never_counted_twice() -> None:
    truth, said = _row("xx.xx.xx"), _row("xxxxxxxx")
    scores = lesion_scores(truth, said)
    assert scores.detected + scores.missed == 3
    assert scores.detected <= 1


@pytest.mark.long
@given(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))
def test_bounds_and_symmetry(a: int, b: int) -> None:
    truth, said = (np.array([n >> i & 1 for i in range(20)], dtype=bool).reshape(4, 5) for n in (a, b))
    one, other = lesion_scores(truth, said), lesion_scores(said, truth)
    assert 0 <= one.dice <= one.f1 <= 1
    assert (one.detected, one.missed) == (other.detected, other.invented)
    if one.detected == 1 and one.missed == one.invented == 0:
        assert one.dice == pytest.approx(dice(truth, said))
