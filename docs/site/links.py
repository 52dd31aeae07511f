"""Check the built site: every link and anchor exists, and no page loads anything from another host."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
"""What a browser fetches by itself, and the attribute that says from where."""


class _Page(HTMLParser):
    """The ids, the links and the loaded addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names."""
        given = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := given.get(key))}
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        # A link that names a relation, as `canonical`, is not fetched.
        fetched = tag != "link" or given.get("rel") in ("stylesheet", "icon", "preload", "shortcut icon")
        if tag in LOADED and fetched and given.get(LOADED[tag]):
            self.loads.append(str(given[LOADED[tag]]))


def problems(site: Path) -> list[str]:
    """Return a line for every dead link, missing anchor and address of another host that a page would load."""
    pages = {file.resolve(): _Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    found_problems = []
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        for address in page.loads:
            parts = urlsplit(address)
            if parts.scheme in ("data", "blob"):
                continue
            if parts.netloc or parts.scheme:
                found_problems.append(f"{name} loads {address} from another host")
            elif not (file.parent / unquote(parts.path)).exists():
                found_problems.append(f"{name} loads {address}, which is not there")
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                found_problems.append(f"{name} links to {address}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                found_problems.append(f"{name} links to {address}, and that page has no such anchor")
    for file in site.rglob("*.css"):
        text = file.read_text(encoding="utf-8", errors="replace")
        if "url(http" in text or "@import" in text:
            found_problems.append(f"{file.relative_to(site)} loads from another host")
    return sorted(set(found_problems))
