import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.statistics.seed_spread import Design, SeedSpread, pooled_spread, recall, remember


def test_spreads_are_pooled_by_their_degrees_of_freedom() -> None:
    generator = np.random.default_rng(0)
    groups = [generator.standard_normal(n) * 0.02 for n in (3, 5, 9)]
    found = pooled_spread([SeedSpread(float(g.std(ddof=1)), len(g) - 1) for g in groups])
    residual = np.concatenate([g - g.mean() for g in groups])
    assert found.df == 14
    assert found.sd == pytest.approx(np.sqrt((residual**2).sum() / 14))
    assert pooled_spread([]) == SeedSpread(0.01, 0)


AUC = Design("lidc", "auc", ("benign", "malignant"), ("densenet", "resnet"), 40, "first trial")


def test_a_store_remembers_each_trial_once(tmp_path: Path) -> None:
    store = tmp_path / "new" / "spreads.json"
    assert recall(store, AUC) == SeedSpread()
    remember(store, "first", AUC, SeedSpread(0.02, 4))
    remember(store, "first", AUC, SeedSpread(0.01, 4))
    remember(store, "second", replace(AUC, cohort="brats"), SeedSpread(0.01, 6))
    remember(store, "second", replace(AUC, cohort="brats", endpoint="dice"), SeedSpread(0.005, 6))
    assert recall(store, AUC) == pooled_spread([SeedSpread(0.01, 4, trials=("first trial",))])
    adrenal = replace(AUC, cohort="adrenal")
    assert recall(store, adrenal) == SeedSpread(), "ten degrees of freedom on other cohorts are too few"
    remember(store, "third", replace(AUC, cohort="brats", trial="third trial"), SeedSpread(0.01, 12))
    elsewhere = recall(store, adrenal)
    assert (elsewhere.sd, elsewhere.df, elsewhere.elsewhere) == (pytest.approx(0.01), 22, True)
    assert elsewhere.trials == ("first trial", "third trial")
    assert recall(store, replace(AUC, endpoint="hd95")) == SeedSpread()
    assert [p.name for p in store.parent.iterdir()] == ["spreads.json"]


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        ({}, True),
        ({"trial": "another name"}, True),
        ({"epochs": 80}, True),
        ({"epochs": 20}, True),
        ({"epochs": 81}, False),
        ({"epochs": 2}, False),
        ({"classes": ("benign", "unclear", "malignant")}, False),
        ({"networks": ("densenet",)}, False),
        ({"endpoint": "accuracy"}, False),
    ],
)
def test_only_trials_of_the_same_design_count(tmp_path: Path, plan: dict[str, Any], counts: bool) -> None:
    store = tmp_path / "spreads.json"
    remember(store, "first", AUC, SeedSpread(0.02, 30))
    assert (recall(store, replace(AUC, **plan)).df > 0) is counts
    assert (recall(store, replace(AUC, cohort="another", **plan)).df > 0) is counts


def test_entries_that_do_not_say_what_was_trained_do_not_count(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    old = {"trial": "t", "cohort": "lidc", "endpoint": "auc", "sd": 0.05, "df": 40}
    store.write_text(json.dumps({"schema": 1, "spreads": [old]}))
    assert recall(store, AUC) == SeedSpread()
    remember(store, "first", AUC, SeedSpread(0.02, 4))
    assert old in json.loads(store.read_text())["spreads"], "an earlier version may still read it"


def test_nothing_is_stored_where_nothing_was_seen(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    remember(store, "t", AUC, SeedSpread(0.01, 0))
    remember(store, "t", AUC, SeedSpread(float("nan"), 4))
    assert not store.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"spreads": [{"trial": "t"}]}'])
def test_a_damaged_store_is_named(tmp_path: Path, text: str) -> None:
    store = tmp_path / "spreads.json"
    store.write_text(text)
    with pytest.raises(PredictionError, match="is not a store of seed spreads"):
        recall(store, AUC)


@pytest.mark.parametrize("true", [0.0, 0.005, 0.02])
def test_the_interval_of_a_spread_covers_it_also_where_it_is_estimated_as_0(true: float) -> None:
    # Drawn from the model that the estimate is made for: values of runs vary by training and by the patients whom each
    # run judges differently; both variances are estimated, the first from 3 runs of two arms, the second from 14
    # patients.
    generator, own, df, own_df, draws = np.random.default_rng(3), 0.015, 4, 13, 4000
    run_square = (true**2 + own**2) * generator.chisquare(df, draws) / df
    own_square = own**2 * generator.chisquare(own_df, draws) / own_df
    below = above = zero = 0
    for run, part in zip(run_square, own_square, strict=True):
        sd = float(np.sqrt(max(run - part, 0.0)))
        low, high = SeedSpread(sd, df, run_sd=float(run**0.5), own_sd=float(part**0.5), own_df=own_df).ends
        below, above, zero = below + (true < low), above + (true > high), zero + (sd == 0)
        assert low <= sd <= high
    assert zero > 0 or true > own
    assert below / draws < 0.12
    assert above / draws < 0.12


def test_a_spread_of_0_keeps_its_upper_limit_from_trial_to_trial(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    seen = SeedSpread(0.0, 4, run_sd=0.009, own_sd=0.017, own_df=13)
    remember(store, "first", AUC, seen)
    known = recall(store, AUC)
    assert (known.sd, known.df, known.trials) == (0.0, 4, ("first trial",))
    assert known.ends == pytest.approx(seen.ends)
    assert known.ends[1] > 0


def test_a_spread_of_0_without_its_limit_says_nothing(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    remember(store, "first", AUC, SeedSpread(0.0, 4))
    rows = json.loads(store.read_text())
    for row in rows["spreads"]:
        del row["run_sd"], row["own_sd"], row["own_df"]
    store.write_text(json.dumps(rows))
    assert recall(store, AUC) == SeedSpread()


def test_a_damaged_part_of_a_spread_is_named(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    remember(store, "first", AUC, SeedSpread(0.01, 4))
    store.write_text(store.read_text().replace('"own_sd": 0.0', '"own_sd": "many"'))
    with pytest.raises(PredictionError, match="is not a store of seed spreads"):
        recall(store, AUC)
