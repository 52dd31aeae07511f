"""Arrays without pickles: numpy agrees on what is sound, and everything else is refused."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from equipoise.cohorts.formats.arrays import ArrayFile, read_array
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=hnp.arrays(st.sampled_from(["u1", "<i2", ">f4", "f8", "?", "U5"]), hnp.array_shapes(min_dims=0)))
def test_npy_and_npz_agree_with_numpy(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("n")
    np.save(folder / "a.npy", data)
    npz(folder / "a.npz", first=data, second=np.array(data, order="F"))
    for found in (
        read_array(folder / "a.npy"),
        read_array(folder / "a.npz", "first"),
        read_array(folder / "a.npz", "second"),
    ):
        assert np.array_equal(found, data, equal_nan=data.dtype.kind == "f")
        assert found.dtype == data.dtype.newbyteorder("=")
        assert found.flags.c_contiguous
        assert found.flags.writeable


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "o.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(RefusedFile, match="never unpickled"):
        read_array(tmp_path / "o.npy")
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(RefusedFile, match=r"not a \.npy or \.npz file"):
        read_array(tmp_path / "p.npy")
    assert not (tmp_path / "sprung").exists()


def test_false_shapes_truncations_and_missing_keys_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100, 100), np.uint8))
    raw = (tmp_path / "a.npy").read_bytes()
    for name, bad in {
        "grown": raw.replace(b"(100, 100)", b"(900, 900)"),
        "shrunk": raw.replace(b"(100, 100)", b"(100, 10)" + b" "),
        "cut": raw[:-1],
        "negative": raw.replace(b"(100, 100)", b"(-10, 100)"),
        "header": raw.replace(b"descr", b"crash"),
        "version": raw[:6] + b"\x09" + raw[7:],
    }.items():
        (tmp_path / "bad.npy").write_bytes(bad)
        with pytest.raises(RefusedFile, match=r"claims the shape|malformed header"):
            read_array(tmp_path / "bad.npy")
        assert name
    file = ArrayFile(npz(tmp_path / "a.npz", images=np.zeros(3), labels=np.zeros(3)))
    assert file.names == ("images", "labels")
    with pytest.raises(RefusedFile, match="choose one of images, labels"):
        file["image"]


@pytest.mark.long
def test_every_flipped_bit_of_an_npz_is_refused_or_changes_nothing(tmp_path):
    data = np.arange(64, dtype=np.int16)
    path = npz(tmp_path / "a.npz", x=data)
    good = path.read_bytes()
    for position in range(0, 8 * len(good), 5):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        path.write_bytes(bad)
        try:
            found = read_array(path, "x")
        except RefusedFile:
            continue
        assert np.array_equal(found, data)


@pytest.mark.long
def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (80_000_000,)})
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", stream.getvalue() + bytes(80_000_000))
    with pytest.raises(RefusedFile, match="more than it can hold or the limit allows"):
        read_array(tmp_path / "b.npz", "x", limits=Limits(array_bytes=1 << 20))


def test_the_real_archives_agree_with_numpy(shared_data):
    path = shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz"
    file, oracle = ArrayFile(path), np.load(path, allow_pickle=False)
    assert set(file.names) == set(oracle.files)
    for name in oracle.files:
        assert np.array_equal(file[name], oracle[name])
