"""A trial whose plan gives a secondary endpoint a margin: its results tell what is confirmed, others are unchanged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.report import summarise


@pytest.mark.long
def test_a_trial_tells_what_is_confirmed_of_the_endpoints_that_have_a_margin(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    plain = summarise(folder)
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    name = lock["endpoints"]["secondary"][0]
    lock["endpoints"]["margins"] = {name: 0.05}
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    found = summarise(folder)
    assert found["comparisons"] == plain["comparisons"]
    assert found["baseline_comparisons"] == plain["baseline_comparisons"]
    for pair in found["secondary_comparisons"]:
        assert ("confirmed" in pair) == ("non_inferior" in pair) == (pair["endpoint"] == name)
    for before in plain["secondary_comparisons"]:
        assert not {"confirmed", "claims", "non_inferior"} & set(before)
    told = [pair["reason"] for pair in found["secondary_comparisons"] if pair["endpoint"] == name]
    assert all("in fixed sequence" in reason or reason.startswith("No verdict") for reason in told)
