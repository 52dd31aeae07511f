"""Untrusted XML as a tree: no document type, so no entities at all; size, depth and number of elements are limited."""

from os import PathLike
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile

XML_LIMITS = Limits(file_bytes=64 * MIB)
DEEPEST = 32
MOST_ELEMENTS = 2_000_000


def read_xml(path: str | PathLike[str]) -> tuple[Element, str]:
    """Return the root element, names without their namespaces, and the SHA-256 of the file.

    Refuses what is not well formed, holds a document type (the way in for entity bombs and outside files), is nested
    deeper than 32 or has more than two million elements.
    """
    raw, digest = read_bytes(path, XML_LIMITS)
    builder = TreeBuilder()
    # expat reports a document type as it begins and every element as it opens, so a bomb is refused before it has
    # grown.
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = count = 0

    def opened(name: str, attributes: dict[str, str]) -> None:
        """Begin an element within the limits."""
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEEPEST or count > MOST_ELEMENTS:
            raise RefusedFile(path, "it is nested too deeply or has too many elements", "give an annotation file")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def closed(name: str) -> None:
        """End an element."""
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def typed(*_: object) -> None:
        """Refuse a document type: entities could grow without bound."""
        raise RefusedFile(path, "it holds a document type", "save it without <!DOCTYPE>")

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, typed
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise RefusedFile(path, f"it is not well-formed XML ({error})", "copy the file again") from error
    return builder.close(), digest


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
