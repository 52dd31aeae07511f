import base64
import io

import numpy as np
from PIL import Image

from equipoise.evaluation.predictions import Predictions
from equipoise.report.pages.examples import galleries, png_uri


def _predictions(scores: list[list[float]], truth: list[int], runs: int = 1) -> Predictions:
    n = len(truth)
    case = np.array([f"case-{index}" for index in range(n)] * runs)
    return Predictions(
        case=case, patient=case, split=np.full(n * runs, "test"), arm=np.full(n * runs, "a"),
        fold=np.zeros(n * runs, dtype=np.int64), seed=np.repeat(np.arange(runs), n),
        truth=np.array(truth * runs), scores=np.array(scores * runs), classes=("benign", "malignant"),
    )  # fmt: skip


def test_kinds_and_order_for_two_classes() -> None:
    scores = [[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7], [0.05, 0.95]]
    found = galleries(_predictions(scores, [1, 1, 1, 0, 0]), {}, "malignant", {"case-0": "9.1 mm"})
    assert [gallery.total for gallery in found] == [2, 1, 2]
    assert [example.case for example in found[0].examples] == ["case-0", "case-1"]
    assert [example.case for example in found[2].examples] == ["case-4", "case-3"]
    assert found[0].examples[0].note == "9.1 mm"
    assert found[1].examples[0].words == "called benign (80 %)"
    assert found[0].examples[0].picture is None


def test_without_a_positive_class_right_and_wrong() -> None:
    found = galleries(_predictions([[0.1, 0.9], [0.9, 0.1]], [1, 1]), {}, None, {})
    assert [gallery.total for gallery in found] == [1, 1]
    assert found[1].examples[0].words == "malignant, called benign (90 %)"


def test_scores_are_averaged_over_runs() -> None:
    table = _predictions([[0.4, 0.6]], [1], runs=2)
    table.scores[1] = [0.8, 0.2]
    found = galleries(table, {}, "malignant", {})
    assert [gallery.total for gallery in found] == [0, 1, 0]
    np.testing.assert_allclose(found[1].examples[0].probability, 0.6)


def test_at_most_so_many() -> None:
    found = galleries(_predictions([[0.1, 0.9]] * 20, [1] * 20), {}, "malignant", {}, most=4)
    assert len(found[0].examples) == 4
    assert found[0].total == 20


def test_a_picture_survives_the_address() -> None:
    picture = np.arange(30, dtype=np.uint8).reshape(5, 6)
    content = base64.b64decode(png_uri(picture).removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)
