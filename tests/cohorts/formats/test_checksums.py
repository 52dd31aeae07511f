"""Bytes and hashes of untrusted files."""

import hashlib
import os
import pickle

import pytest

from equipoise.cohorts.formats.checksums import check_size, read_bytes, sha256
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile


def test_bytes_and_hash_belong_together(tmp_path):
    path = tmp_path / "a.bin"
    content = os.urandom(3 * (1 << 20) + 7)
    path.write_bytes(content)
    raw, digest = read_bytes(path)
    assert raw == content
    assert digest == sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RefusedFile, match="not a regular file"):
        read_bytes(pipe)


def test_limits_and_missing_files_are_named(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    assert check_size(path) == 5
    with pytest.raises(RefusedFile, match="5 bytes and the limit is 4"):
        check_size(path, Limits(file_bytes=4))
    with pytest.raises(RefusedFile, match="cannot be opened"):
        sha256(tmp_path / "none")


def test_a_refusal_names_file_case_reason_and_remedy():
    refusal = RefusedFile("f.nii", "it is empty", "copy it again").of_case("case-7")
    assert str(refusal) == "f.nii (case case-7): it is empty; copy it again."
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)
    problem = refusal.problem("case-7")
    assert (problem.case, problem.file, problem.problem, problem.remedy) == (
        "case-7",
        "f.nii",
        "it is empty",
        "copy it again",
    )
