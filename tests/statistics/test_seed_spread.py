from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.statistics.seed_spread import SeedSpread, pooled_spread, recall, remember


def test_spreads_are_pooled_by_their_degrees_of_freedom() -> None:
    generator = np.random.default_rng(0)
    groups = [generator.standard_normal(n) * 0.02 for n in (3, 5, 9)]
    found = pooled_spread([SeedSpread(float(g.std(ddof=1)), len(g) - 1) for g in groups])
    residual = np.concatenate([g - g.mean() for g in groups])
    assert found.df == 14
    assert found.sd == pytest.approx(np.sqrt((residual**2).sum() / 14))
    assert pooled_spread([]) == SeedSpread(0.01, 0)


def test_a_store_remembers_each_trial_once(tmp_path: Path) -> None:
    store = tmp_path / "new" / "spreads.json"
    assert recall(store, "auc", "lidc") == SeedSpread()
    remember(store, "first", "lidc", "auc", SeedSpread(0.02, 4))
    remember(store, "first", "lidc", "auc", SeedSpread(0.01, 4))
    remember(store, "second", "brats", "auc", SeedSpread(0.01, 6))
    remember(store, "second", "brats", "dice", SeedSpread(0.005, 6))
    assert recall(store, "auc", "lidc") == pooled_spread([SeedSpread(0.01, 4)])
    assert recall(store, "auc", "adrenal") == SeedSpread(), "ten degrees of freedom on other cohorts are too few"
    remember(store, "third", "brats", "auc", SeedSpread(0.01, 12))
    elsewhere = recall(store, "auc", "adrenal")
    assert (elsewhere.sd, elsewhere.df, elsewhere.elsewhere) == (pytest.approx(0.01), 22, True)
    assert recall(store, "hd95", "lidc") == SeedSpread()
    assert [p.name for p in store.parent.iterdir()] == ["spreads.json"]


def test_nothing_is_stored_where_nothing_was_seen(tmp_path: Path) -> None:
    store = tmp_path / "spreads.json"
    remember(store, "t", "c", "auc", SeedSpread(0.01, 0))
    remember(store, "t", "c", "auc", SeedSpread(float("nan"), 4))
    assert not store.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"spreads": [{"trial": "t"}]}'])
def test_a_damaged_store_is_named(tmp_path: Path, text: str) -> None:
    store = tmp_path / "spreads.json"
    store.write_text(text)
    with pytest.raises(PredictionError, match="is not a store of seed spreads"):
        recall(store, "auc", "lidc")
