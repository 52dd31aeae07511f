"""PNG, JPEG and TIFF: the same pixels as Pillow, and refusals for what Pillow would let through."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("a.png", GREY),
        ("a.tif", GREY),
        ("b.png", RNG.integers(0, 65536, (5, 7), dtype=np.uint16)),
        ("b.tif", RNG.integers(0, 65536, (5, 7), dtype=np.uint16)),
        ("c.tif", RNG.normal(size=(5, 7)).astype(np.float32)),
        ("d.tif", RNG.integers(-9999, 9999, (5, 7), dtype=np.int32)),
        ("e.png", GREY > 100),
    ],
)
def test_grey_pictures_keep_their_depth(tmp_path, name, pixels):
    Image.fromarray(pixels).save(tmp_path / name)
    scan = read_picture(tmp_path / name)
    assert np.array_equal(scan.array, pixels[None])
    assert scan.array.dtype == (np.uint8 if pixels.dtype == bool else pixels.dtype)
    assert scan.spacing_mm == (1.0, 1.0)
    assert scan.affine is None
    assert len(scan.sha256[str(tmp_path / name)]) == 64


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_become_channels(tmp_path, name):
    Image.fromarray(COLOUR).save(tmp_path / name)
    assert np.array_equal(read_picture(tmp_path / name).array, COLOUR.transpose(2, 0, 1))


def test_jpeg_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif, quality=95)
    scan = read_picture(tmp_path / "a.jpg")
    assert np.array_equal(scan.array[0], np.rot90(np.asarray(Image.open(tmp_path / "a.jpg")), -1))
    assert "EXIF" in scan.remarks[0]


def test_pages_become_slices(tmp_path):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=pages[1:])
    scan = read_picture(tmp_path / "m.tif")
    assert np.array_equal(scan.array, np.stack([GREY, 255 - GREY])[None])
    assert scan.spacing_mm == (1.0, 1.0, 1.0)
    pages[0].save(tmp_path / "n.tif", save_all=True, append_images=[pages[1].resize((3, 3))])
    with pytest.raises(RefusedFile, match="pages differ in size"):
        read_picture(tmp_path / "n.tif")


def test_palettes_give_colours_or_indices(tmp_path):
    indices = GREY % 3
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.save(tmp_path / "p.png")
    palette = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    assert np.array_equal(read_picture(tmp_path / "p.png").array, palette[indices].transpose(2, 0, 1))
    assert np.array_equal(read_picture(tmp_path / "p.png", indices=True).array[0], indices)


def test_alpha_is_dropped_only_where_opaque(tmp_path):
    opaque = np.dstack([COLOUR, np.full((5, 7), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "o.png")
    assert np.array_equal(read_picture(tmp_path / "o.png").array, COLOUR.transpose(2, 0, 1))
    opaque[0, 0, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "t.png")
    with pytest.raises(RefusedFile, match="transparent"):
        read_picture(tmp_path / "t.png")


def test_every_flipped_bit_of_a_png_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    good = path.read_bytes()
    for position in range(0, 8 * len(good), 7):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        path.write_bytes(bad)
        with pytest.raises(RefusedFile):
            read_picture(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (png(2, 1, 16, 2, bytes(13)), "16 bits per colour"),
        (png(60_000, 60_000, 8, 0, bytes(1000)), "beyond the limits"),
        (png(9, 9, 8, 0, bytes(5)), "malformed"),
        (png(9, 9, 8, 0, bytes(90))[:-5], "ends early"),
        (b"GIF89a" + bytes(50), "structure is broken"),
        (b"plain text", "not a PNG, JPEG, BMP, GIF or TIFF"),
    ],
    ids=["deep", "bomb", "short", "cut", "gif", "text"],
)
def test_lies_and_bombs_are_refused(tmp_path, raw, reason):
    (tmp_path / "x.png").write_bytes(raw)
    with pytest.raises(RefusedFile, match=reason):
        read_picture(tmp_path / "x.png", limits=Limits(array_bytes=1 << 30))


def test_truncated_jpeg_and_tiff_are_refused(tmp_path):
    for name in ("a.jpg", "a.tif"):
        Image.fromarray(np.kron(GREY, np.ones((20, 20), np.uint8))).save(tmp_path / name)
        raw = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(raw[: len(raw) // 2])
        with pytest.raises(RefusedFile):
            read_picture(tmp_path / name)


def test_other_colours_are_refused(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "k.tif")
    with pytest.raises(RefusedFile, match="colours are CMYK"):
        read_picture(tmp_path / "k.tif")


def test_the_real_jpegs_agree_with_pillow(shared_data):
    files = sorted(shared_data.glob("brats2021_slices_jpg/*/*.jpg"))
    assert len(files) == 80
    for path in files[::8]:
        truth = np.asarray(Image.open(path))
        truth = truth[None] if truth.ndim == 2 else truth.transpose(2, 0, 1)
        assert np.array_equal(read_picture(path).array, truth)
