"""Cache entries come back as they were, damaged ones do not come back, and the folder stays within its limit."""

import os
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.store import cache_folder, content_key, load, save

ARRAYS = {"shares": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "names": np.array(["a", "bcd"])}


def test_entries_come_back_equal(tmp_path: Path) -> None:
    assert save("k", ARRAYS, tmp_path) is None
    found = load("k", tmp_path)
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert load("other", tmp_path) is None
    assert not list(tmp_path.glob("*.part"))


def test_every_single_damaged_byte_is_noticed(tmp_path: Path) -> None:
    save("k", ARRAYS, tmp_path)
    path = tmp_path / "k.npz"
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert load("k", tmp_path) is None
        assert not path.exists()
    for length in (0, 10, 32, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert load("k", tmp_path) is None


def test_the_least_recently_used_entries_give_way(tmp_path: Path) -> None:
    for index, key in enumerate("abc"):
        save(key, ARRAYS, tmp_path)
        os.utime(tmp_path / f"{key}.npz", (index, index))
    assert load("a", tmp_path) is not None  # use makes it young again
    size = (tmp_path / "a.npz").stat().st_size
    save("d", ARRAYS, tmp_path, limit_bytes=3 * size)
    assert {path.stem for path in tmp_path.glob("*.npz")} == {"a", "c", "d"}
    assert "may hold" in str(save("e", ARRAYS, tmp_path, limit_bytes=size - 1))


def test_a_folder_that_cannot_be_written_gives_a_reason(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert "file" in str(save("k", ARRAYS, blocked))
    assert load("k", blocked) is None


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EQUIPOISE_CACHE")
    assert cache_folder().name in ("equipoise", "cache")


def test_keys_depend_on_every_ingredient() -> None:
    keys = {content_key(a=1, b=2), content_key(a=2, b=1), content_key(a=1), content_key(a=1, b=[2])}
    assert len(keys) == 4
