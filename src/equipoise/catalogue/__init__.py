"""What a protocol may name, made from the code: `equipoise list KIND`, and the same pages of the documentation.

Nothing is written down twice: names come from the registries that `resolve` reads, parameters and meanings from the
signatures and docstrings beside them. What imports torch is read as text (`signatures`), so a list answers at once.
"""

from equipoise.catalogue.entry import Entry, Listing, Setting
from equipoise.catalogue.kinds import KINDS, listing
from equipoise.catalogue.table import markdown, text

__all__ = ["KINDS", "Entry", "Listing", "Setting", "listing", "markdown", "text"]
