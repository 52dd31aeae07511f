"""Untrusted XML: trees as the standard library makes them, and none of its dangers."""

import hashlib
from xml.etree import ElementTree

import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.xml_tree import read_xml

LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


def write(folder, content):
    path = folder / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_tree_is_the_standard_library_s_without_namespaces(shared_data):
    path = sorted(shared_data.glob("lidc_xml/LIDC*.xml"))[0]
    root, digest = read_xml(path)
    truth = ElementTree.parse(path).getroot()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    for own, other in zip(root.iter(), truth.iter(), strict=True):
        assert own.tag == other.tag.rpartition("}")[2]
        assert (own.text or "") == (other.text or "")


@pytest.mark.parametrize("content", [LAUGHS, OUTSIDE, '<!DOCTYPE a SYSTEM "http://x/y.dtd"><a/>'])
def test_document_types_are_refused(tmp_path, content):
    with pytest.raises(RefusedFile, match="document type"):
        read_xml(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<a>" * 100_000, "nested too deeply"),
        ("<a><b></a>", "not well-formed"),
        ("<a>&undefined;</a>", "not well-formed"),
        (b"\xff\xfe\x00", "not well-formed"),
        ("plain text", "not well-formed"),
        ("", "it is empty"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "not well-formed"),
    ],
)
def test_broken_and_deep_files_are_refused(tmp_path, content, reason):
    with pytest.raises(RefusedFile, match=reason):
        read_xml(write(tmp_path, content))
