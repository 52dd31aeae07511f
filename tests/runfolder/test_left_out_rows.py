"""What a lock says of left-out cases has its form, whoever edited it."""

import json
from pathlib import Path

import pytest

from equipoise.errors import LedgerError
from equipoise.runfolder.lock_form import check_lock

LOCK = Path(__file__).resolve().parents[1] / "data" / "run-of-0.1" / "segmentation" / "lock.json"
ROW = {"reason": "it is empty", "cases": 1, "patients": 1}


@pytest.mark.parametrize(("key", "value"), [("reason", None), ("cases", None), ("cases", "1"), ("patients", -1)])
def test_a_row_without_reason_or_counts_is_refused_by_its_place(key: str, value: object) -> None:
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    lock["cohort"]["excluded"] = [ROW]
    check_lock(LOCK, lock)
    lock["cohort"]["excluded"] = [{k: v for k, v in (ROW | {key: value}).items() if v is not None}]
    with pytest.raises(LedgerError, match=rf"excluded\D*0\D*{key}"):
        check_lock(LOCK, lock)
