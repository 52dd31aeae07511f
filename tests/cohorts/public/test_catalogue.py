"""The catalogue: every entry is whole, checksums are real ones, and one real file bears witness."""

import hashlib
import re

import pytest

from equipoise.cohorts.public import catalogue
from equipoise.cohorts.public.catalogue import entries, entry_named
from equipoise.errors import CohortError

MEDMNIST_2D = "path chest derma oct pneumonia retina breast blood tissue organa organc organs"
MEDMNIST_3D = "organ nodule adrenal fracture vessel synapse"


def test_every_set_of_medmnist_is_there_in_every_size():
    for size in ("", "-64", "-128", "-224"):
        assert all(f"{name}mnist{size}" in entries() for name in MEDMNIST_2D.split())
    for size in ("", "-64"):
        assert all(f"{name}mnist3d{size}" in entries() for name in MEDMNIST_3D.split())
    assert sum(entry.reader == "decathlon" for entry in entries().values()) == 10


@pytest.mark.parametrize("entry", entries().values(), ids=lambda entry: entry.name)
def test_entries_are_whole(entry):
    assert entry.licence
    assert entry.citation
    assert entry.page.startswith(("https://", "http://medicaldecathlon.com"))
    if entry.ask:
        assert entry.file is None
        return
    assert entry.file.address.startswith("https://")
    assert entry.file.address.split("/")[2] in entry.hosts
    assert entry.file.checksum is None or re.fullmatch("md5:[0-9a-f]{32}", entry.file.checksum)
    assert entry.checksum_from
    assert 0 < entry.about_mb < 200_000
    assert entry.file.at_most_bytes > 10**6


def test_no_checksum_stands_twice():
    checksums = [entry.file.checksum for entry in entries().values() if entry.file and entry.file.checksum]
    assert len(checksums) == len(set(checksums)) == 12 * 4 + 6 * 2 + 10


def test_only_the_annotations_of_lidc_have_none():
    assert [e.name for e in entries().values() if e.file and not e.file.checksum] == ["lidc-idri"]


def test_a_checksum_that_was_forgotten_is_no_unpinned_file():
    with pytest.raises(ValueError, match="either a checksum or unpinned"):
        catalogue._file("x.zip", None, 1, {"address": "https://x/{file}"})
    with pytest.raises(ValueError, match="either a checksum or unpinned"):
        catalogue._file("x.zip", "md5:0", 1, {"address": "https://x/{file}", "unpinned": True})


def test_names_are_forgiving_and_unknown_ones_answered():
    assert entry_named("PneumoniaMNIST_64") is entries()["pneumoniamnist-64"]
    with pytest.raises(CohortError, match="did you mean 'pneumoniamnist'"):
        entry_named("pneumonamnist")


def test_a_file_as_published_has_the_checksum(shared_data):
    file = shared_data / "adrenalmnist3d" / "adrenalmnist3d.npz"
    assert entries()["adrenalmnist3d"].file.checksum == "md5:" + hashlib.md5(file.read_bytes()).hexdigest()
