"""TIFF: every depth, packing and layout that tifffile writes comes back to the bit, with the axes it was given."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.mask_values import whole_values

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)


def read(path, **settings):
    return read_picture(path, **settings)


LAYOUTS = [
    {}, {"rowsperstrip": 7}, {"tile": (16, 16)}, {"planarconfig": "separate"}, {"byteorder": ">"}, {"bigtiff": True},
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packing", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
def test_colours_of_16_bits_keep_every_bit(tmp_path, layout, packing):
    settings = layout | packing
    values = DEEP.transpose(2, 0, 1).copy() if "planarconfig" in layout else DEEP
    try:
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", **settings)
    except (ImportError, NotImplementedError, ValueError) as error:
        pytest.skip(f"tifffile cannot write this without imagecodecs ({error})")
    scan = read(tmp_path / "a.tif")
    assert scan.array.dtype == np.uint16
    assert np.array_equal(scan.array, DEEP.transpose(2, 0, 1))
    assert scan.header["colour"] is True


def lzw(data: bytes) -> bytes:
    """TIFF's LZW of literal codes, the table cleared before it grows beyond nine bits."""
    bits = []
    for index, byte in enumerate(data):
        if index % 200 == 0:
            bits.append(256)
        bits.append(byte)
    text = "".join(f"{code:09b}" for code in [*bits, 257])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize("predicted", [False, True])
def test_lzw_of_16_bit_colours(tmp_path, predicted):
    values = DEEP[:8, :10]
    stored = np.diff(values, axis=1, prepend=np.zeros((8, 1, 3), np.uint16)).astype(np.uint16) if predicted else values
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
    packed = lzw(stored.astype("<u2").tobytes())
    write_tiff(tmp_path / "b.tif", 10, 8, [16, 16, 16], 5, 2, packed, predictor=2 if predicted else 1)
    assert tags[258] == (16, 16, 16)
    assert np.array_equal(read(tmp_path / "b.tif").array, values.transpose(2, 0, 1))


def write_tiff(path, width, height, bits, compression, photometric, body, predictor=1):
    """A little-endian file of one strip, by hand."""
    import struct

    entries = [
        (256, 3, [width]), (257, 3, [height]), (258, 3, bits), (259, 3, [compression]), (262, 3, [photometric]),
        (273, 4, [None]), (277, 3, [len(bits)]), (278, 3, [height]), (279, 4, [len(body)]), (317, 3, [predictor]),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    extra = b"".join(struct.pack("<H", value) for value in bits) if len(bits) > 2 else b""
    parts = []
    for tag, kind, values in entries:
        if tag == 273:
            content = struct.pack("<I", start + len(extra))
        elif len(values) > 2:
            content = struct.pack("<I", start)
        else:
            content = b"".join(struct.pack("<H" if kind == 3 else "<I", value) for value in values).ljust(4, b"\0")
        parts.append(struct.pack("<HHI", tag, kind, len(values)) + content)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(parts) + bytes(4) + extra + body)


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_pixels_packed_to_the_bit(tmp_path, bits):
    values = RNG.integers(0, 1 << bits, (5, 7))
    rows = [("".join(f"{value:0{bits}b}" for value in row)) for row in values.tolist()]
    body = b"".join(int(row + "0" * (-len(row) % 8), 2).to_bytes((len(row) + 7) // 8, "big") for row in rows)
    write_tiff(tmp_path / "a.tif", 7, 5, [bits], 1, 1, body)
    assert np.array_equal(read(tmp_path / "a.tif").array[0], values)
    if bits == 12:
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.tif")), values)


def test_12_bits_of_a_camera_in_16_bit_colours(tmp_path):
    values = (DEEP >> 4).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    assert np.array_equal(read(tmp_path / "a.tif").array, values.transpose(2, 0, 1))


@pytest.mark.parametrize("packing", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F", "1"])
def test_everything_that_pillow_writes_agrees_with_pillow(tmp_path, packing, mode):
    values = {"L": GREY, "RGB": (DEEP >> 8).astype(np.uint8), "I;16": DEEP[..., 0], "1": GREY > 99,
              "F": RNG.normal(size=(20, 30)).astype(np.float32)}[mode]  # fmt: skip
    Image.fromarray(values).save(tmp_path / "a.tif", compression=packing)
    truth = np.asarray(Image.open(tmp_path / "a.tif"))
    array = read(tmp_path / "a.tif").array
    assert np.array_equal(array, truth.transpose(2, 0, 1) if mode == "RGB" else truth[None])


def test_jpeg_inside_tiff_is_read_at_8_bits(tmp_path):
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    Image.fromarray(np.dstack([smooth, smooth // 2, 255 - smooth])).save(
        tmp_path / "a.tif", compression="jpeg", quality=95
    )
    assert np.array_equal(read(tmp_path / "a.tif").array, np.asarray(Image.open(tmp_path / "a.tif")).transpose(2, 0, 1))


STACK = RNG.integers(0, 256, (5, 2, 20, 30), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hyperstacks_of_imagej_are_planes_and_channels_in_mm(tmp_path, dtype):
    metadata = {"axes": "ZCYX", "spacing": 3.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", STACK.astype(dtype), imagej=True, resolution=(2.0, 4.0), metadata=metadata)
    scan = read(tmp_path / "a.tif")
    assert np.array_equal(scan.array, STACK.transpose(1, 0, 2, 3))
    assert scan.spacing_mm == pytest.approx((0.003, 0.00025, 0.0005))
    assert "ImageJ" in scan.remarks[0]
    assert "spacing_unstated" not in scan.header


def test_stacks_behind_one_page(tmp_path):
    planes = STACK[:, 0]
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "ZYX"}, contiguous=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first = file.pages[0]
        start, size = first.dataoffsets[0], planes.nbytes
        description = first.description
    raw = (tmp_path / "a.tif").read_bytes()
    from struct import pack

    # one page alone, its description saying five images, as ImageJ writes files beyond 4 GB
    text = description.encode() + b"\0"
    entries = [(256, 3, 30), (257, 3, 20), (258, 3, 8), (259, 3, 1), (262, 3, 1), (270, 2, len(text)), (273, 4, 0),
               (277, 3, 1), (278, 3, 20), (279, 4, 600)]  # fmt: skip
    where = 8 + 2 + 12 * len(entries) + 4
    body = b""
    for tag, kind, value in entries:
        if tag == 270:
            body += pack("<HHII", tag, 2, len(text), where)
        else:
            body += pack("<HHII", tag, kind, 1, where + len(text) if tag == 273 else value)
    alone = b"II*\0" + pack("<IH", 8, len(entries)) + body + bytes(4) + text + raw[start : start + size]
    (tmp_path / "b.tif").write_bytes(alone)
    assert np.array_equal(read(tmp_path / "b.tif").array[0], planes)
    (tmp_path / "c.tif").write_bytes(alone[:-1])
    with pytest.raises(RefusedFile):
        read(tmp_path / "c.tif")


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "ZCYX", "CYX"])
def test_ome_axes_and_lengths(tmp_path, axes):
    shape = {"Z": 5, "C": 2, "Y": 20, "X": 30}
    values = RNG.integers(0, 65536, [shape[axis] for axis in axes], dtype=np.uint16)
    metadata = {"axes": axes, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25,
                "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 2, "PhysicalSizeZUnit": "µm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", values, metadata=metadata, photometric="minisblack")
    scan = read(tmp_path / "a.ome.tif")
    full = values if "C" in axes else values[None]
    order = "C" + axes if "C" not in axes else axes
    wanted = "CZYX" if "Z" in axes else "CYX"
    assert np.array_equal(scan.array, full.transpose([order.index(axis) for axis in wanted]))
    assert scan.spacing_mm == pytest.approx((0.002, 0.00025, 0.0005)[-(scan.array.ndim - 1) :])
    assert scan.header["colour"] is False


@pytest.mark.parametrize("axes", ["TYX", "TZYX", "TCYX"])
def test_points_in_time_are_refused(tmp_path, axes):
    values = RNG.integers(0, 9, [{"T": 4, "Z": 5, "C": 2, "Y": 20, "X": 30}[axis] for axis in axes], dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, imagej=True, metadata={"axes": axes})
    with pytest.raises(RefusedFile, match="4 points in time"):
        read(tmp_path / "a.tif")


def test_two_unnamed_axes_of_pages_are_refused_and_one_is_depth(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    with pytest.raises(RefusedFile, match="more than planes and channels"):
        read(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", STACK[:, 0], photometric="minisblack")
    assert np.array_equal(read(tmp_path / "b.tif").array[0], STACK[:, 0])


def test_white_zeros_alpha_and_palettes(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", GREY, photometric="miniswhite")
    scan = read(tmp_path / "w.tif")
    assert np.array_equal(scan.array[0], 255 - GREY)
    assert "white" in scan.remarks[0]
    opaque = np.dstack([DEEP, np.full((20, 30), 65535, np.uint16)])
    tifffile.imwrite(tmp_path / "o.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read(tmp_path / "o.tif").array, DEEP.transpose(2, 0, 1))
    opaque[3, 3, 3] = 9
    tifffile.imwrite(tmp_path / "t.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(RefusedFile, match="transparent"):
        read(tmp_path / "t.tif")
    table = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", GREY, photometric="palette", colormap=table)
    assert np.array_equal(read(tmp_path / "p.tif").array, (table >> 8).astype(np.uint8)[:, GREY])
    assert np.array_equal(read(tmp_path / "p.tif", indices=True).array[0], GREY)


def test_cuts_odd_pages_and_limits_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    raw = (tmp_path / "a.tif").read_bytes()
    for size in (len(raw) - 1, len(raw) // 2, 20):
        (tmp_path / "b.tif").write_bytes(raw[:size])
        with pytest.raises(RefusedFile):
            read(tmp_path / "b.tif")
    with pytest.raises(RefusedFile, match="beyond the limits"):
        read(tmp_path / "a.tif", limits=Limits(array_bytes=1000))
    tifffile.imwrite(tmp_path / "c.tif", RNG.normal(size=(4, 4)).astype(np.complex64))
    with pytest.raises(RefusedFile, match="neither integers nor real"):
        read(tmp_path / "c.tif")


@pytest.mark.parametrize("offset", [0, 4, 20])
def test_pixels_that_lie_in_the_header_or_the_directory_are_refused(tmp_path, offset):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((6, 7), 9, np.uint16), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["StripOffsets"]
        place = tag.offset + 8
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = offset.to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(RefusedFile, match="where its header or directory is"):
        read_picture(path)


def test_a_stack_whose_pages_point_elsewhere_is_refused(tmp_path):
    """ImageJ reads the planes behind each other, others where the pages say; where these differ, nobody knows."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7), imagej=True, metadata={"axes": "ZYX"})
    assert read_picture(path).array.shape == (1, 5, 6, 7)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[2].aspage().tags["StripOffsets"]
        place, offset = tag.offset + 8, tag.value[0]
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = (offset - 42).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(RefusedFile, match="where ImageJ reads them"):
        read_picture(path)


def test_colours_stored_in_an_unknown_way_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((6, 7, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["PlanarConfiguration"].offset + 8
    raw = bytearray(path.read_bytes())
    raw[place] = 0
    path.write_bytes(raw)
    with pytest.raises(RefusedFile, match=r"how its colours are stored|malformed"):
        read_picture(path)


def test_half_precision_is_read_exactly(tmp_path):
    half = np.random.default_rng(0).normal(0, 40, (9, 8)).astype(np.float16)
    tifffile.imwrite(tmp_path / "half.tif", half)
    scan = read(tmp_path / "half.tif")
    assert scan.array.dtype == np.float32
    assert np.array_equal(scan.array[0], tifffile.imread(tmp_path / "half.tif"))


def test_a_stack_of_imagej_without_a_depth_has_one_unit_of_it(tmp_path):
    stack = np.zeros((4, 9, 8), np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "unit": "um"})
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        assert "spacing" not in file.imagej_metadata
    assert np.allclose(read(tmp_path / "s.tif").spacing_mm, (1e-3, 5e-4, 5e-4))


def test_bits_whose_0_is_white_are_an_image_and_no_mask(tmp_path):
    inside = np.zeros((9, 8), bool)
    inside[2:4, 3:6] = True
    tifffile.imwrite(tmp_path / "m.tif", inside)  # as scikit-image writes a mask
    # The two readers of most people disagree, so that neither reading may be taken without a word.
    assert np.array_equal(tifffile.imread(tmp_path / "m.tif"), inside)
    assert np.array_equal(np.array(Image.open(tmp_path / "m.tif")), ~inside)
    scan = read(tmp_path / "m.tif")
    assert np.array_equal(scan.array[0], ~inside)
    with pytest.raises(RefusedFile, match="programs disagree on what is inside; save it as a .png"):
        whole_values(scan, tmp_path / "m.tif")
    tifffile.imwrite(tmp_path / "b.tif", inside, photometric="minisblack")
    assert np.array_equal(whole_values(read(tmp_path / "b.tif"), tmp_path / "b.tif")[0], inside)
