import base64
import io

import numpy as np
from PIL import Image

from equipoise.evaluation.predictions import Predictions
from equipoise.report.pages.mask_examples import ANSWER_RGB, TRUTH_RGB, mask_galleries, outlined
from equipoise.runfolder.read import JobRecord


def picture(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def predictions(dice):
    """Two runs; the second is .1 better in every case."""
    n = len(dice)
    return Predictions(
        case=np.array([f"c{i}" for i in range(n)] * 2),
        patient=np.array([f"p{i}" for i in range(n)] * 2),
        split=np.full(2 * n, "test"),
        arm=np.full(2 * n, "unet"),
        fold=np.zeros(2 * n, int),
        seed=np.repeat([0, 1], n),
        truth=np.full(2 * n, -1),
        scores=np.empty((2 * n, 0)),
        metrics={"dice": np.concatenate([dice, np.add(dice, 0.1)])},
    )


def test_outlines_of_truth_and_answer_lie_where_the_masks_end():
    grey = np.full((60, 80), 100, np.uint8)
    truth, answer = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[10:30, 10:30] = 1
    answer[10:30, 50:70] = 2
    pixels = picture(outlined(grey, truth, answer))
    assert pixels.shape == (240, 320, 3)
    assert tuple(pixels[40, 60]) == TRUTH_RGB
    assert tuple(pixels[40, 240]) == ANSWER_RGB
    assert tuple(pixels[80, 80]) == (100, 100, 100)


def test_an_empty_answer_is_drawn_as_nothing_and_a_missing_plane_as_no_picture():
    grey = np.full((240, 240), 7, np.uint8)
    empty = np.zeros((240, 240), np.uint8)
    assert (picture(outlined(grey, empty, empty)) == 7).all()
    assert outlined(None, empty, empty) is None


def test_worst_middle_and_best_by_the_mean_over_runs(tmp_path):
    table = predictions(np.linspace(0, 0.8, 20))
    jobs = [JobRecord("unet", 0, seed, "finished") for seed in (0, 1)]
    worst, middle, best = mask_galleries(jobs, table, "dice", True, tmp_path, most=3)
    assert [e.case for e in worst.examples] == ["c0", "c1", "c2"]
    assert [e.case for e in best.examples] == ["c19", "c18", "c17"]
    assert len(middle.examples) == 3
    assert worst.examples[0].words == "Dice 0.050"
    assert worst.examples[0].picture is None, "no files lie in the folder"
    lower = mask_galleries(jobs, table, "dice", False, tmp_path, most=3)
    assert lower[0].examples[0].case == "c19"


def test_few_cases_are_shown_once(tmp_path):
    jobs = [JobRecord("unet", 0, 0, "finished")]
    (only,) = mask_galleries(jobs, predictions(np.array([0.5, 0.1])), "dice", True, tmp_path)
    assert [e.case for e in only.examples] == ["c1", "c0"]
