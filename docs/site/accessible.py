"""What the theme leaves out for readers with a keyboard or a screen reader: levels, names, and stops of the Tab key."""

import re
from pathlib import Path

REPAIRS = (
    # A heading without a level: Sphinx marks the captions of the contents so.
    (re.compile(r'<p class="caption" role="heading">'), '<p class="caption" role="heading" aria-level="2">'),
    # What scrolls sideways must be reachable without a mouse.
    (re.compile(r"<pre(?! tabindex)(?=[ >])"), '<pre tabindex="0"'),
    (re.compile(r'<div (class="table-wrapper[^"]*")>'), r'<div \1 tabindex="0">'),
    # Two landmarks of one kind need names.
    (re.compile(r'<aside (class="sidebar-drawer")>'), r'<aside \1 aria-label="All pages">'),
    (re.compile(r'<aside (class="toc-drawer[^"]*")>'), r'<aside \1 aria-label="This page">'),
)


def accessible(page: str) -> str:
    """Return the HTML of a page with these repairs; repaired once, it stays the same."""
    for pattern, repaired in REPAIRS:
        page = pattern.sub(repaired, page)
    return page


def repair(site: Path) -> None:
    """Repair every page that the theme made."""
    for file in site.rglob("*.html"):
        file.write_text(accessible(file.read_text(encoding="utf-8")), encoding="utf-8")
