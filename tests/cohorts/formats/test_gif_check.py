"""GIF files: a mask to the pixel; what is cut, altered or animated is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.gif_check import check_gif
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile


def gif(array, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "GIF", **options)
    return stream.getvalue()


@pytest.mark.long
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 48), (200, 301)])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_whole_files_pass(size, levels):
    """Every code width up to 12 bits, full code tables and clearing occur; Pillow wrote them."""
    random = np.random.default_rng(0)
    noise = random.integers(0, levels, size, dtype=np.uint8)
    for array in (noise, np.zeros(size, np.uint8), np.sort(noise, axis=1)):
        for interlace in (0, 1):
            check_gif(gif(array, interlace=interlace))


def test_a_mask_is_read_to_the_pixel(tmp_path):
    mask = (np.random.default_rng(1).random((40, 30)) > 0.7).astype(np.uint8) * 255
    (tmp_path / "m.gif").write_bytes(gif(mask))
    assert np.array_equal(read_picture(tmp_path / "m.gif").array.max(axis=0), mask)


def test_every_truncation_is_refused():
    raw = gif(np.random.default_rng(2).integers(0, 200, (12, 13), dtype=np.uint8))
    for end in range(len(raw)):
        with pytest.raises(RefusedFile):
            check_gif(raw[:end])


def test_too_few_and_too_many_pixels_are_refused():
    raw = bytearray(gif(np.zeros((8, 9), np.uint8)))
    place = raw.index(b"\x2c", 13)
    for height, match in ((9, "it holds 72 of 81 pixels"), (7, "more pixels than it states")):
        changed = raw.copy()
        for at in (8, place + 7):
            changed[at : at + 2] = height.to_bytes(2, "little")
        with pytest.raises(RefusedFile, match=match):
            check_gif(bytes(changed))
    with pytest.raises(RefusedFile, match="does not fill it"):
        check_gif(bytes(raw[:8]) + b"\x09" + bytes(raw[9:]))


def test_animations_are_refused(tmp_path):
    frames = [Image.fromarray(np.full((6, 6), value, np.uint8)) for value in (0, 90, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(RefusedFile, match="it holds 3 pictures"):
        check_gif((tmp_path / "a.gif").read_bytes())


def test_random_bytes_never_crash():
    random = np.random.default_rng(3)
    raw = gif(random.integers(0, 50, (9, 9), dtype=np.uint8))
    for _ in range(500):
        changed = bytearray(raw)
        for at in random.integers(6, len(raw), 3):
            changed[at] = random.integers(256)
        try:
            check_gif(bytes(changed))
        except RefusedFile:
            continue
