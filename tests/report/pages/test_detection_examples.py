import base64
import io
import json

import numpy as np
from PIL import Image

from equipoise.report.pages.detection_examples import IRRELEVANT_RGB, MARKS, detection_galleries, marked_picture
from equipoise.report.pages.mask_examples import ANSWER_RGB, TRUTH_RGB
from equipoise.runfolder.read import JobRecord


def picture(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_marks_lie_where_they_were_put():
    grey = np.full((60, 80), 100, np.uint8)
    marks = [["sought", 20, 30, 5, 10], ["irrelevant", 40, 60, 4, 4], ["candidate", 50, 10, 0, 0]]
    pixels = picture(marked_picture(grey, marks))
    assert pixels.shape == (240, 320, 3)
    assert tuple(pixels[4 * 20 + 2, 4 * 30 + 2]) == (100, 100, 100), "a ring is open"
    assert tuple(pixels[4 * 25 + 3, 4 * 30 + 2]) == TRUTH_RGB
    assert tuple(pixels[4 * 20 + 2, 4 * 40 + 3]) == TRUTH_RGB
    assert tuple(pixels[4 * 44 + 3, 4 * 60 + 2]) == IRRELEVANT_RGB
    assert tuple(pixels[4 * 50 + 2, 4 * 10 + 2]) == ANSWER_RGB
    assert tuple(pixels[4 * 50 + 2, 4 * 10 - 6]) == ANSWER_RGB


def test_marks_beyond_the_edge_are_cut_off():
    pixels = picture(
        marked_picture(np.full((240, 240), 9, np.uint8), [["sought", 0, 0, 20, 20], ["candidate", 239, 239, 0, 0]])
    )
    assert tuple(pixels[21, 0]) == TRUTH_RGB
    assert pixels.shape == (240, 240, 3)


def test_words_tell_size_score_and_what_scored_higher(tmp_path):
    job = JobRecord("unet", 0, 3, "finished")
    folder = tmp_path / "jobs" / "unet" / "0-3"
    folder.mkdir(parents=True)
    plane = np.zeros((30, 30), np.uint8)
    told = {
        "missed-0": {"case": "a", "score": None, "diameter_mm": 6.04, "higher": 4, "marks": []},
        "missed-1": {"case": "b", "score": 0.25, "diameter_mm": 9.0, "higher": 1, "marks": []},
        "false-0": {"case": "c", "score": 0.875, "diameter_mm": None, "higher": 0, "marks": []},
    }
    arrays = dict.fromkeys(told, plane) | {MARKS: np.frombuffer(json.dumps(told).encode(), np.uint8)}
    np.savez(folder / "slices.npz", **arrays)
    missed, false = detection_galleries([job], tmp_path)
    assert [e.words for e in missed.examples] == ["6.0 mm, never marked", "9.0 mm, score 0.25, below 1 false positive"]
    assert [(e.case, e.words) for e in false.examples] == [("c", "false positive, score 0.88")]
    assert missed.total == 2


def test_missing_or_damaged_pictures_leave_no_gallery(tmp_path):
    job = JobRecord("unet", 0, 0, "finished")
    folder = tmp_path / "jobs" / "unet" / "0-0"
    assert all(not gallery.examples for gallery in detection_galleries([job], tmp_path))
    folder.mkdir(parents=True)
    np.savez(folder / "slices.npz", **{MARKS: np.frombuffer(b"{broken", np.uint8)})
    assert detection_galleries([job], tmp_path) == []
    assert detection_galleries([], tmp_path) == []
