"""A sample size from a run folder, as a page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.trials.samplesize import samplesize


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
