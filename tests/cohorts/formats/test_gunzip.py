"""The gzip reader: the same bytes as the standard library, and no trust in the stream's shape."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.cohorts.formats.gunzip import GzipBytes
from equipoise.cohorts.formats.refusal import RefusedFile


@pytest.mark.long
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 400), st.integers(0, 30))
def test_members_read_in_pieces_equal_the_standard_library(parts, step, padding):
    raw = b"".join(gzip.compress(part) for part in parts) + bytes(padding)
    stream, found = GzipBytes(raw, "x.gz"), b""
    while piece := stream.read(step):
        found += piece
    assert found == gzip.decompress(raw) == b"".join(parts)
    assert stream.finish()


def test_a_large_stream_crosses_the_feed_size():
    content = bytes(range(256)) * 4000
    stream = GzipBytes(gzip.compress(content, compresslevel=0), "x.gz")
    assert stream.read(10) + stream.read(len(content)) == content
    assert stream.finish()


@pytest.mark.long
def test_what_is_left_over_is_noticed_without_inflating_it():
    stream = GzipBytes(gzip.compress(bytes(100_000_000)), "x.gz")
    stream.read(10)
    assert not stream.finish()


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 20])
def test_truncation_is_refused(cut):
    raw = gzip.compress(b"some text that is long enough to matter" * 3)
    stream = GzipBytes(raw[:-cut], "x.gz")
    with pytest.raises(RefusedFile, match="ends early"):
        stream.read(10_000)


@pytest.mark.parametrize("tail", [b"x", b"\0\0x", b"\x1f\x8b\x08broken"])
def test_what_follows_the_stream_is_refused(tail):
    stream = GzipBytes(gzip.compress(b"abc") + tail, "x.gz")
    with pytest.raises(RefusedFile, match="corrupt|ends early"):
        stream.read(1000)


@pytest.mark.long
def test_thousands_of_tiny_members_are_refused():
    stream = GzipBytes(gzip.compress(b"a") * 5000, "x.gz")
    with pytest.raises(RefusedFile, match="far more gzip members"):
        stream.read(10_000)
