"""A listing as text for a terminal, and as Markdown for the documentation."""

import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from equipoise.catalogue.entry import Entry, Listing
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest

NARROWEST = 60
"""Columns below which a table is not squeezed further."""
GAP = "  "


def text(listing: Listing, *, only: str = "", width: int = 0) -> str:
    """Return the listing as a table of plain text.

    only: keeps the entries whose name contains it, and shows their settings. width: columns, 0 asks the terminal.
    """
    width = max(NARROWEST, width or shutil.get_terminal_size((110, 24)).columns)
    kept = [entry for entry in listing.entries if only.lower() in entry.name.lower()]
    if not kept:
        names = [entry.name for entry in listing.entries]
        raise EquipoiseError(f"no {only!r} among the {listing.kind}; {nearest(only, names)}")
    settings = any(entry.settings for entry in kept)
    columns, rows = _cells(kept, settings and not only)
    parts = [f"{listing.title} ({len(kept)}). Written as: {listing.where}", "", *_aligned(columns, rows, width)]
    for entry in kept if only else ():
        if entry.settings:
            inner = [[one.name, one.default or "must be given", one.meaning] for one in entry.settings]
            parts += ["", f"Settings of {entry.name}", *_aligned(["setting", "default", "meaning"], inner, width)]
        parts += ["", *textwrap.wrap(entry.further, width, break_on_hyphens=False)] if entry.further else []
    if settings and not only:
        parts += ["", f"The settings of one entry, with defaults and meanings: equipoise list {listing.kind} NAME"]
    return "\n".join(parts)


def _cells(entries: Sequence[Entry], settings: bool) -> tuple[list[str], list[list[str]]]:
    """Return the headings of a table and its rows; columns without any value are left out."""
    headings = list(dict.fromkeys(heading for entry in entries for heading, value in entry.facts if value))
    columns = ["name", *headings, "presets", "settings", "what it is"]
    rows = [
        [
            entry.name,
            *(dict(entry.facts).get(heading, "") for heading in headings),
            ", ".join(entry.presets),
            ", ".join(one.name for one in entry.settings) if settings else "",
            entry.meaning,
        ]
        for entry in entries
    ]
    used = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    return [columns[column] for column in used], [[row[column] for column in used] for row in rows]


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return lines of columns that fit into `width`; long cells are wrapped, the first column never is."""
    longest = [max(len(row[column]) for row in [columns, *rows]) for column in range(len(columns))]
    widths = _widths(longest, width - len(GAP) * (len(columns) - 1))
    lines = []
    for row in [columns, ["-" * one for one in widths], *rows]:
        cells = [textwrap.wrap(cell, one) or [""] for cell, one in zip(row, widths, strict=True)]
        lines += [
            GAP.join(part.ljust(one) for part, one in zip(line, widths, strict=True)).rstrip()
            for line in zip_longest(*cells, fillvalue="")
        ]
    return lines


def _widths(longest: Sequence[int], room: int) -> list[int]:
    """Return the width of each column: all that fit get what they need, the others share the rest equally.

    >>> _widths([5, 100, 10, 200], 75)
    [5, 30, 10, 30]
    """
    widths = list(longest)
    open_columns = list(range(1, len(longest)))
    while open_columns and sum(widths) > room:
        share = (room - sum(widths[one] for one in range(len(widths)) if one not in open_columns)) // len(open_columns)
        share = max(share, 8)
        fitting = [one for one in open_columns if longest[one] <= share]
        if not fitting:
            for one in open_columns:
                widths[one] = share
            break
        open_columns = [one for one in open_columns if one not in fitting]
    return widths


def markdown(listing: Listing) -> str:
    """Return the listing as a table; entries with settings follow it, each with a table of its own."""
    columns, rows = _cells(listing.entries, settings=False)
    parts = [f"Written as `{listing.where}`."]
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        above, dot, key = row[0].partition(".")
        group, name = (above, key) if dot and above.isidentifier() and ":" not in key else ("", row[0])
        groups.setdefault(group, []).append([f"`{name}`", *row[1:]])
    # Dotted names are keys of tables, and each table gets a heading of its own.
    for group, members in groups.items():
        parts += [*([f"## [{group}]"] if group else []), _table(columns, members)]
    for entry in listing.entries:
        if entry.settings:
            settings = [
                [f"`{one.name}`", _code(one.default) or "must be given", _code(one.kind), one.meaning]
                for one in entry.settings
            ]
            parts += [f"## {entry.name}", _table(["setting", "default", "type", "what it does"], settings)]
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|")


def _code(value: str) -> str:
    return f"`{value}`" if value else ""
