"""Words of the glossary marked where they first stand on a page, and the page's own script with its hash."""

import base64
import hashlib
import re
from importlib.resources import files

from markupsafe import Markup, escape

from equipoise.report.text.glossary import Term, occurrences

_COMMAND = re.compile("`(equipoise [^`]+)`")


class Explained:
    """A filter of a template: the first occurrence of each term on the page gets its meaning, for a pointer over it."""

    def __init__(self) -> None:
        self._marked: dict[str, Term] = {}

    def __call__(self, value: object) -> Markup:
        """Return text, escaped, with the terms that the page has not explained yet."""
        text, parts, at = str(value), [], 0
        for start, end, one in occurrences(text):
            if one.name in self._marked:
                continue
            self._marked[one.name] = one
            parts += [escape(text[at:start]), _mark(text[start:end], one)]
            at = end
        return commands_marked(Markup("").join([*parts, escape(text[at:])]))

    def terms(self) -> list[Term]:
        """Return the terms that have been marked so far, in alphabetical order."""
        return sorted(self._marked.values(), key=lambda one: one.name.casefold())


def commands_marked(text: Markup) -> Markup:
    """Return escaped text with the commands that it quotes as code, as in "`equipoise ids` names them"."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", text))  # noqa: S704 - the text is escaped


def _mark(word: str, one: Term) -> Markup:
    return Markup('<abbr title="{}">{}</abbr>').format(one.meaning, word)


def template_text(name: str) -> str:
    """Read a template, a style sheet or the script of this package."""
    return files("equipoise.report.pages").joinpath("templates", name).read_text(encoding="utf-8")


def script_hash() -> str:
    """Return the source expression by which a page's security policy allows its one script, and no other."""
    digest = hashlib.sha256(template_text("page.js").encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
