"""Names that would be markup, script, formulas or commands of a terminal are text in every file of an audit."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from equipoise import audit
from equipoise.report.pages.page import unbroken
from equipoise.sinks import original, printable

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(2)</script>", "{{7*7}}",
    "{% raw %}", "=cmd()", "@SUM(A1)", "+1+1", "-2+3", "\x1b[2Jcleared", "../../x", "a\u202egnp.exe",
    "javascript:alert(3)",
    "' onmouseover='alert(4)", "&lt;b&gt;", "line\nend", "]]>", "x" * 240, "\uff1dcmd", "<svg/onload=alert(5)>",
)  # fmt: skip


class Tags(HTMLParser):
    """The tags of a page and their attributes that run something."""

    def __init__(self):
        super().__init__()
        self.scripts, self.events, self.places = 0, [], []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.events += [name for name, _ in attrs if name.startswith("on")]
        self.places += [value for name, value in attrs if name in ("src", "href") and value]


def table():
    rng = np.random.default_rng(0)
    rows = {
        name: [] for name in ("arm", "case", "patient", "split", "truth", "site", *(f"score_{n}" for n in HOSTILE[:2]))
    }
    for arm in ("one", "two"):
        for number in range(60):
            score = float(rng.uniform(0.05, 0.95))
            values = (
                arm, f"{HOSTILE[number % 20]} {number}", f"{HOSTILE[number % 20]} p{number}", "test",
                HOSTILE[number % 2], HOSTILE[number % 3], score, 1 - score,
            )  # fmt: skip
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    return rows


@pytest.mark.long
@pytest.mark.parametrize("ids", ["plain", "pseudonyms"])
def test_no_name_is_markup_script_or_formula_anywhere(tmp_path, ids):
    results = audit(table(), out=tmp_path / "out", subgroups=["site"], below_chance=True, ids=ids)
    assert results["arms"]
    for page in tmp_path.rglob("*.html"):
        tags = Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        own = page.read_text(encoding="utf-8").count("<script>alert")
        assert (tags.events, own) == ([], 0)
        assert all(place.startswith(("data:", "#", "https://", "figures/")) for place in tags.places), tags.places
        assert "\u202e" not in page.read_text(encoding="utf-8")
        assert "\x1b" not in page.read_text(encoding="utf-8")
    for drawing in tmp_path.rglob("*.svg"):
        assert not re.search(r"<script|onload=|onerror=[^&]*>", drawing.read_text(encoding="utf-8").replace("&lt;", ""))
    for file in tmp_path.rglob("*.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                assert not any(re.match(r"[=@\t\r\uff1d]", one) for one in row), row
    for file in tmp_path.rglob("*.json"):
        assert json.loads(file.read_text(encoding="utf-8")) is not None
    outside = [path for path in tmp_path.rglob("*") if ".." in path.name or len(path.name) > 210]
    assert outside == []


@pytest.mark.parametrize("name", HOSTILE)
def test_pages_show_what_would_turn_or_hide_text(name):
    shown = unbroken(name)
    assert shown.replace("\u00a0", " ") == printable(name)
    assert original(name) == name or name.startswith("'")
