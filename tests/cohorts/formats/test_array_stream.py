"""Rows of large arrays: numpy's own values, a row's worth of memory, and damage anywhere is refused."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from equipoise.cohorts.formats import array_stream
from equipoise.cohorts.formats.array_stream import LargeArrayFile, inflated_bytes
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts import array_rows
from equipoise.cohorts.layouts.medmnist import medmnist

SAVE = {"packed": np.savez_compressed, "stored": np.savez}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def arrays():
    random = np.random.default_rng(0)
    return {
        "grey": random.integers(0, 255, (40, 12, 13), dtype=np.uint8),
        "colour": random.integers(0, 255, (9, 12, 13, 3), dtype=np.uint8),
        "volumes": random.normal(size=(7, 5, 6, 7)).astype(">f4"),
        "labels": np.arange(40)[:, None],
    }


@pytest.mark.parametrize("save", SAVE)
def test_rows_are_those_of_numpy(save, tmp_path):
    file = tmp_path / "a.npz"
    SAVE[save](file, **arrays())
    opened = LargeArrayFile(file)
    assert set(opened.names) == set(arrays())
    for name, expected in arrays().items():
        assert np.array_equal(opened[name], expected)
        rows = opened.rows(name)
        assert (len(rows), rows.shape, rows.ndim, rows.dtype) == (
            len(expected),
            expected.shape,
            expected.ndim,
            expected.dtype,
        )
        for index in (0, len(rows) // 2, len(rows) - 1):
            assert np.array_equal(rows[index], expected[index])
            assert rows[index].dtype.isnative
        for beyond in (-1, len(rows)):
            with pytest.raises(IndexError):
                rows[beyond]


@pytest.mark.long
def test_memory_is_that_of_a_row(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(
        file, images=np.zeros((2000, 80, 80), np.uint8) + np.arange(2000, dtype=np.uint8)[:, None, None]
    )
    tracemalloc.start()
    rows = LargeArrayFile(file).rows("images")
    assert rows[1999].max() == 1999 % 256
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20 < inflated_bytes(file)


def test_a_second_process_unpacks_nothing(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", **arrays())
    LargeArrayFile(tmp_path / "a.npz").rows("grey")

    def never(*_):
        raise AssertionError("unpacked again")

    monkeypatch.setattr(LargeArrayFile, "_unpack", never)
    assert np.array_equal(LargeArrayFile(tmp_path / "a.npz").rows("grey")[3], arrays()["grey"][3])


def test_a_damaged_copy_is_noticed_at_its_row(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **arrays())
    rows = LargeArrayFile(tmp_path / "a.npz").rows("grey")
    raw = bytearray(rows.file.read_bytes())
    raw[3 * 12 * 13] ^= 1
    rows.file.write_bytes(raw)
    assert np.array_equal(rows[2], arrays()["grey"][2])
    with pytest.raises(RefusedFile, match="row 3 is damaged"):
        rows[3]
    rows.file.write_bytes(raw[:-1])  # of another size: it is made again
    assert np.array_equal(LargeArrayFile(tmp_path / "a.npz").rows("grey")[3], arrays()["grey"][3])


@pytest.mark.parametrize("save", SAVE)
def test_every_damage_of_the_file_is_refused_or_harmless(save, tmp_path):
    SAVE[save](tmp_path / "a.npz", grey=arrays()["grey"])
    raw = (tmp_path / "a.npz").read_bytes()
    changes = [raw[:end] for end in range(0, len(raw), len(raw) // 23)]
    changes += [raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :] for at in range(0, len(raw), len(raw) // 97)]
    for content in changes:
        (tmp_path / "a.npz").write_bytes(content)
        try:
            rows = LargeArrayFile(tmp_path / "a.npz").rows("grey")
            assert all(np.array_equal(rows[index], arrays()["grey"][index]) for index in range(len(rows)))
        except RefusedFile:
            continue
    assert not list((tmp_path / "cache" / "rows").glob(".*"))


def test_what_has_no_rows_or_lies_about_its_size(tmp_path):
    objects = np.array([{}, []], dtype=object)
    np.savez(tmp_path / "a.npz", fortran=np.asfortranarray(arrays()["grey"]), flat=np.arange(3), objects=objects)
    opened = LargeArrayFile(tmp_path / "a.npz", Limits(array_bytes=100))
    for name, match in (
        ("fortran", "C order"),
        ("flat", "C order"),
        ("objects", "never unpickled"),
        ("none", "choose one"),
    ):
        with pytest.raises(RefusedFile, match=match):
            opened.rows(name)
    with pytest.raises(RefusedFile, match="more than it can hold"):
        opened["fortran"]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**9, 99), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("grey.npy", header.getvalue() + bytes(100))
    with pytest.raises(RefusedFile, match="and 100 are there"):
        LargeArrayFile(tmp_path / "b.npz").rows("grey")


def test_unpacked_arrays_that_were_unused_longest_make_room(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", **arrays())
    opened = LargeArrayFile(tmp_path / "a.npz")
    first = opened.rows("grey").file
    monkeypatch.setattr(array_stream, "MOST_CACHED_BYTES", 6000)
    opened.rows("colour")
    assert not first.exists()
    monkeypatch.setattr(array_stream.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(RefusedFile, match="on a larger disk"):
        opened.rows("volumes")


@pytest.mark.parametrize("size", [28, 64, 128, 224])
@pytest.mark.parametrize("kind", ["grey", "colour", "volume"])
def test_medmnist_of_every_size_is_read_by_rows(size, kind, tmp_path, monkeypatch):
    """With the limit lowered, so that a file of a few megabytes counts as large; oracle: numpy."""
    monkeypatch.setattr(array_rows, "LARGE_BYTES", 1000)
    shape = {"grey": (size, size), "colour": (size, size, 3), "volume": (min(size, 64),) * 3}[kind]
    random = np.random.default_rng(size)
    images = {part: random.integers(0, 255, (3, *shape), dtype=np.uint8) for part in ("train", "val", "test")}
    labels = {f"{part}_labels": np.array([[0], [1], [0]], np.uint8) for part in images}
    file = tmp_path / f"x_{size}.npz"
    np.savez_compressed(file, **labels, **{f"{part}_images": array for part, array in images.items()})
    cohort = medmnist(file)
    assert cohort.spatial_dims == (3 if kind == "volume" else 2)
    assert len(list((tmp_path / "cache" / "rows").glob("*.rows"))) == 3
    for index, case in enumerate(cohort.cases):
        expected = images[("train", "val", "test")[index // 3]][index % 3]
        image = case.read().array
        assert np.array_equal(image, np.moveaxis(expected, -1, 0) if kind == "colour" else expected[None])
