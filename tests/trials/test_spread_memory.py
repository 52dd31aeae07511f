"""The spread between training runs is kept for later plans; a cache that fails is a remark."""

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from equipoise.protocol import Protocol
from equipoise.report.text.plan_reasons import plan_assumptions
from equipoise.statistics.seed_spread import Design, recall
from equipoise.trials.spread_memory import design_of, keep_spread

RESULTS = {
    "protocol_sha256": "p", "cohort": {"name": "c"},
    "variance": {"endpoint": "auc", "seed_sd": 0.02, "seed_df": 4},
}  # fmt: skip
DESIGN = Design("c", "auc", ("no", "yes"), ("unet",), 12, "pilot")


def test_a_spread_is_recalled(tmp_path):
    keep_spread({**RESULTS, "variance": None}, DESIGN, tmp_path / "spreads.json")
    assert not (tmp_path / "spreads.json").exists()
    keep_spread(RESULTS, DESIGN, tmp_path / "spreads.json")
    assert recall(tmp_path / "spreads.json", DESIGN).sd == 0.02
    assert recall(tmp_path / "spreads.json", replace(DESIGN, epochs=2)).df == 0


def test_the_plan_says_which_trials_its_spread_is_from():
    facts = {
        "case_sd": 0.15, "auc": 0.8, "share": None, "per_patient": 1, "correlation": 0.5, "seed_sd": 0.02,
        "elsewhere": False, "comparisons": 1,
    }  # fmt: skip
    assert "(from earlier trials ('pilot') with 4 degrees of freedom)" in plan_assumptions(
        **facts, seed_df=4, trials=("pilot",)
    )
    assert "('a', 'b', 'c' and 1 more)" in plan_assumptions(**facts, seed_df=4, trials=tuple("abcd"))
    assert "assumed: no earlier trial of this user has these networks" in plan_assumptions(**facts, seed_df=0)


def test_a_cache_that_cannot_be_written_is_a_remark(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "equipoise"):
        keep_spread(RESULTS, DESIGN, tmp_path / "file" / "spreads.json")
    assert "could not be saved for later plans" in caplog.text


def test_the_design_is_that_of_the_protocol():
    protocol = Protocol.load(Path(__file__).parents[1] / "shared_trials" / "classification.toml")
    design = design_of(protocol, SimpleNamespace(name="squares", classes=("small", "large")))
    assert (design.cohort, design.classes) == ("squares", ("small", "large"))
    assert design.networks == ("nets_for_trial:Net", "unet")
    assert (design.endpoint, design.epochs) == (protocol.endpoints.primary, protocol.training.epochs)
    assert design.trial == protocol.trial.name
