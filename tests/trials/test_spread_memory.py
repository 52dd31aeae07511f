"""The spread between training runs is kept for later plans; a cache that fails is a remark."""

import logging

from equipoise.statistics.seed_spread import recall
from equipoise.trials.spread_memory import keep_spread

RESULTS = {
    "protocol_sha256": "p", "cohort": {"name": "c"},
    "variance": {"endpoint": "auc", "seed_sd": 0.02, "seed_df": 4},
}  # fmt: skip


def test_a_spread_is_recalled(tmp_path):
    keep_spread({**RESULTS, "variance": None}, tmp_path / "spreads.json")
    assert not (tmp_path / "spreads.json").exists()
    keep_spread(RESULTS, tmp_path / "spreads.json")
    assert recall(tmp_path / "spreads.json", "auc", "c").sd == 0.02


def test_a_cache_that_cannot_be_written_is_a_remark(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "equipoise"):
        keep_spread(RESULTS, tmp_path / "file" / "spreads.json")
    assert "could not be saved for later plans" in caplog.text
