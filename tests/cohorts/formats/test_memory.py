"""What a file claims is checked against its bytes and against the memory that is free, before that memory is taken."""

import gzip
import struct
import tracemalloc

import numpy as np
import psutil
import pytest

from equipoise.cohorts.formats import memory, volume_claim
from equipoise.cohorts.formats.memory import free_memory_bytes, refuse_beyond_memory
from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.errors import CohortError, EquipoiseError
from equipoise.preprocessing import intensity
from equipoise.preprocessing.intensity import Scale


def packed_zeros(path, size, bytes_there):
    """A .nii.gz of a cube of uint8 with that many bytes of voxels, whatever the header claims."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, size, size, size, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<h", header, 254, 1)
    for row in range(3):
        struct.pack_into("<4f", header, 280 + 16 * row, *(float(column == row) for column in range(4)))
    header[344:348] = b"n+1\0"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(bytes(header))
        for _ in range(bytes_there >> 20):
            file.write(bytes(1 << 20))
        file.write(bytes(bytes_there & ((1 << 20) - 1)))
    return path


def test_a_short_bomb_is_refused_before_its_claim_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_claim, "_SURPRISING_BYTES", 1 << 20)
    size = 160  # 4 MB in 4 kB
    file = packed_zeros(tmp_path / "bomb.nii.gz", size, size**3 - 1)
    good = packed_zeros(tmp_path / "empty.nii.gz", size, size**3)
    assert read_nifti(good).array.shape == (1, size, size, size)  # and what reading imports is there
    tracemalloc.start()
    try:
        with pytest.raises(RefusedFile, match=f"claims {size**3 + 352} bytes and {size**3 + 351} are there"):
            read_nifti(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_file_that_does_not_fit_ends_the_reading_and_is_no_problem_of_a_case(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_ALWAYS_BYTES", 0)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 1000)
    file = packed_zeros(tmp_path / "large.nii.gz", 16, 16**3)
    with pytest.raises(EquipoiseError, match=r"large.nii.gz needs about 0.0 GB of memory .* 0.0 GB are free") as caught:
        read_nifti(file)
    assert not isinstance(caught.value, CohortError), "it would become a row that can be left out"


def test_small_files_ask_nobody(monkeypatch):
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: pytest.fail("it was asked for"))
    refuse_beyond_memory(1 << 27, "x")


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"memory.max": "max", "memory.current": "5"}, None),
        ({"memory.max": "1000", "memory.current": "300"}, 700),
        ({"memory.max": "1000", "memory.current": "300", "memory.stat": "anon 1\ninactive_file 200\n"}, 900),
        ({"memory.max": "1000", "memory.current": "3000"}, 0),
        ({"memory.max": "1000", "memory.current": "300", "memory.stat": "torn"}, 700),
        # a job of a scheduler, whose ceiling lies below the root, or above the group of its step
        ({"slurm/job_7/memory.max": "1000", "slurm/job_7/memory.current": "400"}, 600),
        ({"slurm/memory.max": "900", "slurm/memory.current": "400", "slurm/job_7/memory.max": "max"}, 500),
        ({"slurm/job_8/memory.max": "1000", "slurm/job_8/memory.current": "400"}, None),
        # the first version, which some systems still have
        ({"memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "100"}, 900),
        (
            {
                "memory/job/memory.limit_in_bytes": "1000",
                "memory/job/memory.usage_in_bytes": "800",
                "memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 300",
            },
            500,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "100"}, None),
    ],
)
def test_what_is_free_is_the_least_of_machine_and_container(tmp_path, files, free):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    own = tmp_path / "own"
    own.write_text("9:name=systemd:/\n4:memory:/job/step\n0::/slurm/job_7\n")
    if free is None:
        assert free_memory_bytes(tmp_path, own) == pytest.approx(psutil.virtual_memory().available, rel=0.5)
    else:
        assert free_memory_bytes(tmp_path, own) == free


def test_statistics_of_a_large_image_go_piece_by_piece_and_are_those_of_the_whole(monkeypatch):
    image = np.random.default_rng(0).normal(1000, 3, (1, 7, 30, 31)).astype(np.float32)
    image[0, :2] = image.min() - 1
    whole = Scale("zscore").apply(image, 3)
    monkeypatch.setattr(intensity, "_AT_ONCE", 500)
    np.testing.assert_allclose(Scale("zscore").apply(image, 3), whole, rtol=1e-6, atol=1e-6)
    constant = np.full((1, 7, 30, 31), 4, np.float32)
    assert not Scale("zscore").apply(constant, 3).any()
