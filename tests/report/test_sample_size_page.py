"""A sample size from a run folder, as a page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.report.pages.sample_size_page import grant_page
from equipoise.report.text.sample_size import GrantText
from equipoise.trials.samplesize import samplesize


def test_the_page_has_what_the_text_has() -> None:
    text = GrantText("Size", ("With < 3 runs",), ("spreads", "3 runs"), (("as measured", "120"),), ("Somebody 1995.",))
    page = grant_page(text)
    for words in ("<h1>Size</h1>", "With &lt; 3 runs", "<td>120</td>", "<li>Somebody 1995.</li>"):
        assert words in page
    assert text.plain() == "Size\n\nWith < 3 runs\n\nspreads      3 runs\nas measured  120\n\n1. Somebody 1995.\n"


@pytest.mark.long
def test_a_run_folder_states_its_margin(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    planned = samplesize([str(folder)], seeds=[3])
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    assert planned.size.difference == lock["endpoints"]["margin"]
    assert repr(lock["name"]) in planned.text.plain()
    assert not {"size-rule", "majority-class"} & set(planned.size.arms)
    assert planned.page().startswith("<!DOCTYPE html>")
    assert "&#39;" in planned.page()  # the name stands in quotes, escaped
