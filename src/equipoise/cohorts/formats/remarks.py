"""Remarks of parsers that later steps act on, in one place that a parser's small process can import."""

WHITE_IS_0 = "its stored 0 is white; it was inverted, so that bright means more"
"""A TIFF with PhotometricInterpretation 0."""
