"""Example cases of an audit are shown from a folder of images named by case."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise.errors import PredictionError
from equipoise.evaluation.external.example_images import ImagesByCase, OutlinesByCase
from equipoise.trials.audit import audit


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


@pytest.mark.long
def test_a_classifier_s_examples_have_their_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        shade = rng.integers(0, 255, (400, 300, 3), dtype=np.uint8)
        Image.fromarray(shade).save(tmp_path / "images" / f"c{i}{'_0000' * (i % 2)}.png")
    (tmp_path / "images/c3_0000.png").write_bytes(b"no picture")
    truth = [i % 2 for i in range(32)]
    table = {"case": [f"c{i}" for i in range(32)], "arm": ["a"] * 32, "truth": truth, "y_prob": rng.random(32)}
    results = audit(table, cases_are_patients=True, images=tmp_path / "images", out=tmp_path / "out")
    shown = pictures((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert len(shown) >= 6
    assert all(max(one.size) <= 320 for one in shown)
    assert any("2 of 32 cases have no image of their name, 'c30' first" in warning for warning in results["warnings"])


def segmented(tmp_path: Path) -> None:
    """Four volumes with a square on one plane, and a prediction that is off by four rows."""
    for name in ("labels", "net", "images"):
        (tmp_path / name).mkdir()
    for i in range(4):
        truth = np.zeros((6, 40, 40), np.uint8)
        truth[1 + i, 10:30, 10:30] = 1
        np.save(tmp_path / "labels" / f"c{i}.npy", truth)
        np.save(tmp_path / "net" / f"c{i}.npy", np.roll(truth, 4, 1))
        shade = 50.0 * np.arange(6)[:, None, None] + np.arange(40) * np.ones((6, 40, 1))
        np.save(tmp_path / "images" / f"c{i}.npy", shade)


def test_planes_are_those_of_the_largest_truth(tmp_path: Path) -> None:
    segmented(tmp_path)
    masks = {("net", f"c{i}"): (tmp_path / f"labels/c{i}.npy", tmp_path / f"net/c{i}.npy") for i in range(4)}
    outlines = OutlinesByCase(masks)
    assert outlines["", "c2"].sum() == outlines["net", "c2"].sum() == 400
    assert np.argwhere(outlines["net", "c2"])[0].tolist() == [14, 10]
    images = ImagesByCase(tmp_path / "images", {f"c{i}": tmp_path / f"labels/c{i}.npy" for i in range(4)})
    assert images["c1"].shape == (40, 40)
    assert "c9" not in images


@pytest.mark.long
def test_a_segmenter_s_examples_are_outlined(tmp_path: Path) -> None:
    segmented(tmp_path)
    audit({"net": tmp_path / "net"}, truth=tmp_path / "labels", cases_are_patients=True, images=tmp_path / "images",
          out=tmp_path / "out")  # fmt: skip
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    pixels = [np.asarray(one.convert("RGB")).reshape(-1, 3) for one in pictures(page)]
    colours = {tuple(map(int, pixel)) for pixel in np.unique(np.concatenate(pixels), axis=0)}
    assert {(230, 159, 0), (86, 180, 233)} <= colours  # the truth's outline and the prediction's
    assert "Orange: the reference outline" in page


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="--images"):
        ImagesByCase(tmp_path / "absent", {})
