"""The volume inside a page: mosaics that give the voxels back, and a browser that draws them on the right side."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture
from test_page import SIDES, SPACING, SPOT, phantom

from equipoise.cohorts.cohort import Case, Image
from equipoise.deploy.example_pages import write_example_pages
from equipoise.deploy.page import case_page
from equipoise.deploy.page_volume import thinning, volume_of
from equipoise.deploy.predictor import Answer, Bundle
from equipoise.errors import EquipoiseError
from equipoise.evaluation.candidates import Candidates


def slices_of(mosaic, facts):
    """Cut a mosaic as the script does."""
    tiles, (depth, height, width) = np.asarray(Picture.open(io.BytesIO(base64.b64decode(mosaic)))), facts["sides"]
    return np.stack([
        tiles[z // facts["across"] * height :, z % facts["across"] * width :][:height, :width] for z in range(depth)
    ])  # fmt: skip


def test_mosaics_give_the_volume_and_its_masks_back():
    image, _ = phantom()
    draw = np.random.default_rng(0)
    masks = {f"r{number}": draw.random(SIDES) < 0.3 for number in range(11)}
    volume = volume_of(image, Answer(SPACING, masks=masks), SPOT)
    facts = json.loads(volume.facts)
    assert (facts["sides"], facts["at"], facts["turned"], volume.thinned) == ([*SIDES], [*SPOT], True, "")
    grey = slices_of(volume.grey, facts)
    assert np.array_equal(grey == 255, image.array[0] == 5)
    packed = [slices_of(mosaic, facts) for mosaic in volume.masks]
    assert len(packed) == 2
    for number, mask in enumerate(masks.values()):
        assert np.array_equal(packed[number // 8] >> (number % 8) & 1, mask)


def test_large_volumes_are_thinned_and_say_so():
    image, answer = phantom()
    centres = Candidates(np.array([[18.0, 15.0, 18.0]]), np.array([0.9]))
    volume = volume_of(image, Answer(SPACING, masks=answer.masks, candidates=centres), SPOT, most=1000)
    facts = json.loads(volume.facts)
    steps = thinning(SIDES, SPACING, 1000)
    assert np.prod(facts["sides"]) <= 1000
    assert volume.thinned == f"every {' × '.join(map(str, steps))} voxels (z × y × x)"
    start = [step // 2 for step in steps]
    place = [first + step * at for first, step, at in zip(start, steps, facts["points"][0][:3], strict=True)]
    assert np.allclose(np.array(place) * SPACING, centres.centre_mm[0], atol=1e-2)
    flat = Image(image.array[:, :1], SPACING, None, image.affine)
    assert volume_of(flat, Answer(SPACING), (0, 1, 1)) is None
    assert volume_of(Image(image.array[:, 0], SPACING[1:]), Answer(SPACING[1:]), (1, 1)) is None


def test_example_cases_get_pages_beside_their_run(tmp_path, pristine_bundle):
    bundle, image = Bundle(pristine_bundle), Image(phantom()[0].array[:, :6, :9, :8], SPACING, None, np.eye(4))
    trained = SimpleNamespace(
        job=SimpleNamespace(arm=SimpleNamespace(name="unet")), run=SimpleNamespace(path=tmp_path),
        cohort=SimpleNamespace(cases=[Case("a/b", "p", lambda: image)]),
    )  # fmt: skip
    (name,) = write_example_pages(trained, bundle, ["a/b", "of another cohort", "a/b"], "ab" * 32)
    page = (tmp_path / "pages" / "unet" / name).read_text()
    assert "<h1>a/b</h1>" in page
    assert 'data-axis="0"' in page
    (tmp_path / "pages").rename(tmp_path / "elsewhere")
    (tmp_path / "pages").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EquipoiseError, match="is a link to another folder"):
        write_example_pages(trained, bundle, ["a/b"], "ab" * 32)


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False])
def test_a_browser_draws_the_finding_where_its_letters_say(tmp_path, scripts):
    """Head, front and the patient's right are where the spot is: upper left in all three planes; without WebGL."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    image, answer = phantom()
    page = case_page("c", image, answer, warnings=(), channel="ct", arm="net", bundle="b")
    told = """.then(() => { document.title = JSON.stringify([...document.querySelectorAll("canvas")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const bright = [...data.keys()].filter((k) => k % 4 === 2 && data[k] > 170).map((k) => (k - 2) / 4);
      return [canvas.width, bright];
    })); })"""
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    changed = script.replace(".catch(() => {})", told)
    digest = base64.b64encode(hashlib.sha256(changed.encode()).digest()).decode() if scripts else "none"
    page = re.sub(r"'sha256-[^']*'", f"'sha256-{digest}'", page.replace(script, changed))
    (tmp_path / "page.html").write_text(page)
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=30000", "--dump-dom", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    title = html.unescape(re.search(r"<title>(.*?)</title>", drawn)[1])
    if not scripts:
        assert title == "c"
        assert drawn.count('<svg class="still"') == drawn.count('<div class="moving" hidden="">') == 3
        return
    assert drawn.count('<div class="moving">') == 3
    for axis, (width, bright) in enumerate(json.loads(title)):
        down, along = (k for k in range(3) if k != axis)
        rows, columns = np.divmod(np.array(bright), width)
        expected = [(SIDES[k] - 1 - SPOT[k], SIDES[k] - SPOT[k]) for k in (down, along)]
        assert [(rows.min(), rows.max()), (columns.min(), columns.max())] == expected, axis
