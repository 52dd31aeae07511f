"""Pages of answers: planes through the finding, sides of the body where radiologists see them, no request."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from deploy_bundles import contract_for, make_bundle
from PIL import Image as Picture

from equipoise import cli
from equipoise.cohorts.cohort import Image
from equipoise.deploy.page import case_page, index_page
from equipoise.deploy.page_planes import finding_of, obliqueness, planes_of
from equipoise.deploy.predict import predict
from equipoise.deploy.predictor import Answer
from equipoise.evaluation.candidates import Candidates
from equipoise.report.text.objection import Objection

SIDES, SPACING = (12, 20, 16), (2.0, 1.0, 1.5)  # z, y, x
SPOT = (9, 15, 12)  # towards head, front and the patient's right


def phantom(affine=True):
    """A small bright region at the right, front, head side of a volume, inside a large one."""
    array = np.zeros((1, *SIDES), np.float32)
    array[0, 2:-1, 3:-2, 2:-1] = 1
    spot = tuple(slice(k - 1, k + 1) for k in SPOT)
    array[(0, *spot)] = 5
    large, small = array[0] > 0, array[0] > 2
    place = np.diag([*SPACING[::-1], 1.0]) if affine else None
    return Image(array, SPACING, None, place), Answer(SPACING, masks={"organ": large, "lesion": small})


def pixels_of(plane):
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(plane.picture))))


def test_the_right_of_the_patient_lies_on_the_left():
    image, answer = phantom()
    voxel, words = finding_of(image, answer)
    assert (answer.masks["lesion"][voxel], words) == (True, "through lesion")
    planes = planes_of(image, answer, voxel)
    assert [(plane.title, plane.letters) for plane in planes] == [
        ("axial", "RLAP"), ("coronal", "RLSI"), ("sagittal", "APSI"),
    ]  # fmt: skip
    for plane in planes:
        pixels, (lesion,) = pixels_of(plane), [one for one in plane.outlines if one.region == "lesion"]
        bright = np.argwhere(pixels == pixels.max())
        assert (bright.mean(axis=0) < np.array(pixels.shape) / 2).all()  # upper left, in all three
        points = np.array(re.findall(r"[\d.]+", lesion.path), float).reshape(-1, 2)  # column, row from the corner
        assert points.min(axis=0).tolist() == bright.min(axis=0)[::-1].tolist()
        assert points.max(axis=0).tolist() == (bright.max(axis=0)[::-1] + 1).tolist()
        assert (plane.rows, plane.columns) == pixels.shape
    assert [(plane.height_mm, plane.width_mm) for plane in planes] == [(20, 24), (24, 24), (24, 20)]


def test_what_speaks_against_the_arm_stands_on_every_page():
    image, answer = phantom()
    named = {"arm": "unet", "bundle": "0" * 64, "against": Objection("The title", "worse than it. Why: a <b>")}
    pages = case_page("a", image, answer, warnings=(), channel="ct", **named), index_page([], [], **named)
    assert all("<strong>The title</strong>: worse than it. Why: a &lt;b&gt;" in page for page in pages)
    index = index_page([], [], arm="unet", bundle="0" * 64)
    assert "<strong>The title" not in index
    assert "in the folder of its name beside this file" in index
    assert "no other file" in pages[0]
    assert "no other file" not in index


def test_no_side_is_named_where_none_is_known():
    image, answer = phantom(affine=False)
    planes = planes_of(image, answer, finding_of(image, answer)[0])
    assert {plane.letters for plane in planes} == {""}
    assert np.array_equal(pixels_of(planes[0]) > 128, image.array[0, finding_of(image, answer)[0][0]] > 2)
    page = case_page("c", image, answer, warnings=(), channel="ct", arm="net", bundle="b")
    assert "left and right may be exchanged" in page
    assert 'class="letter' not in page
    turn = np.array([[np.cos(0.5), -np.sin(0.5), 0, 0], [np.sin(0.5), np.cos(0.5), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    oblique = Image(image.array, SPACING, None, turn @ np.diag([1.5, 1, 2, 1]))
    assert obliqueness(oblique) == pytest.approx(np.degrees(0.5))
    assert "29° oblique" in case_page("c", oblique, answer, warnings=(), channel="ct", arm="net", bundle="b")


def test_candidates_are_points_near_their_planes():
    image, _ = phantom()
    centres = np.array([[18.0, 15.0, 18.0], [2.0, 4.0, 3.0]])
    answer = Answer(SPACING, candidates=Candidates(centres, np.array([0.9, 0.4])))
    voxel, words = finding_of(image, answer)
    assert (voxel, words) == ((9, 15, 12), "through the likeliest candidate")
    planes = planes_of(image, answer, voxel)
    assert [[mark.score for mark in plane.marks] for plane in planes] == [[0.9]] * 3
    mark = planes[0].marks[0]
    assert (mark.x, mark.y) == (SIDES[2] - 1 - 12 + 0.5, SIDES[1] - 1 - 15 + 0.5)
    page = case_page("c", image, answer, warnings=(), channel="ct", arm="net", bundle="b")
    assert page.count("<circle") == 3
    assert 'id="fill"' not in page  # nothing to fill
    empty = Answer(SPACING, candidates=Candidates(np.empty((0, 3)), np.empty(0)))
    assert finding_of(image, empty) == ((6, 10, 8), "nothing was found; through the middle of the image")


class Parsed(HTMLParser):
    """Elements closed in order, and every address."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("href", "src")]
        if tag not in ("meta", "input", "image", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "image":
            assert self.open.pop() == tag


def test_a_page_asks_nobody_and_holds_no_foreign_markup():
    image, answer = phantom()
    name = "<script>alert(1)</script>"
    masks = {name: answer.masks["organ"]}
    page = case_page(name, image, Answer(SPACING, masks=masks), warnings=(name,), channel=name, arm=name, bundle=name)
    assert Parsed(page).open == []
    assert all(address.startswith("data:image/png;base64,") for address in Parsed(page).addresses)
    assert page.count("<script>") == 1
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    # without scripts the control is not there, and the planes are
    assert '<p id="control" hidden>' in page
    assert page.count("<image") == 3
    rows = [{"case": f"a/{name}", "status": "failed", "reason": "x" + name}]
    index = index_page(rows, ["status", "reason"], arm="n", bundle="b")
    assert index.count("<script>") == 1
    assert Parsed(index).open == []


def test_large_and_coloured_pictures():
    draw = np.random.default_rng(0)
    wide = Image(draw.integers(0, 255, (1, 30, 3000)).astype(np.uint8), (1.0, 1.0))
    (plane,) = planes_of(wide, Answer((1.0, 1.0), {"a": 0.2, "b": 0.8}), (15, 1500))
    assert pixels_of(plane).shape == (10, 1024)
    assert (plane.rows, plane.columns, plane.letters, plane.place) == (30, 3000, "", "")
    colour = Image(draw.integers(0, 255, (3, 8, 9)).astype(np.uint8), (1.0, 1.0))
    assert pixels_of(planes_of(colour, Answer((1.0, 1.0)), (0, 0))[0]).shape == (8, 9, 3)


@pytest.mark.long
def test_the_command_writes_pages_and_an_index(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", contract_for("label"))
    np.savez(tmp_path / "images.npz", images=np.random.default_rng(0).uniform(0, 2, (2, 1, 6, 9, 8)).astype("f4"))
    np.save(tmp_path / "flat.npy", np.zeros((3, 3), np.float32))
    inputs = [str(tmp_path / name) for name in ("images.npz", "flat.npy")]
    command = ["predict", str(bundle), *inputs, "--out", str(tmp_path / "out"), "--page", "--quiet"]
    assert cli.main(command) == cli.REFUSED
    index = (tmp_path / "out" / "index.html").read_text()
    links = Parsed(index).addresses
    assert links == ["images-0/page.html", "images-1/page.html"]
    for link in links:
        assert "For research only" in (tmp_path / "out" / link).read_text()
    assert "has the shape (3, 3)" in index
    (tmp_path / "out" / links[0]).unlink()
    assert predict(bundle, inputs[:1], tmp_path / "out", formats="nifti,json,page").resumed == 1
    assert (tmp_path / "out" / links[0]).is_file()
