"""The ending of a name that tells a file's kind, by every way of writing names."""

import itertools
from pathlib import Path

from equipoise.cohorts.formats.reading import VOLUMES, suffix_of


def by_pathlib(name):
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    joined = "".join(suffixes[-2:])
    return joined if joined in VOLUMES else (suffixes[-1] if suffixes else "")


def test_the_ending_is_that_of_pathlib_two_in_one_for_packed_volumes():
    pieces = ["a", ".", ".nii", ".gz", ".PNG", "/", "..", "img.", " "]
    for names in itertools.chain.from_iterable(itertools.product(pieces, repeat=count) for count in range(4)):
        name = "".join(names)
        assert suffix_of(name) == suffix_of(Path(name)) == by_pathlib(name), name
