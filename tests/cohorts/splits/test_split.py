"""No patient is ever in two parts, classes keep their shares, and what cannot be split is refused with a remedy."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.cohorts.splits.split import Fold, split
from equipoise.errors import CohortError, ProtocolError


def nothing() -> Image:
    return Image(np.zeros((1, 2, 2)), (1.0, 1.0))


def cohort_of(rows: list[tuple[str, int]], classes: int = 2, parts: list[str | None] | None = None) -> Cohort:
    """A classification cohort from (patient, label) rows."""
    cases = tuple(
        Case(f"c{index}", patient, nothing, label, parts[index] if parts else None, MappingProxyType({}))
        for index, (patient, label) in enumerate(rows)
    )
    names = tuple(f"class {index}" for index in range(classes))
    return Cohort("rows", "classification", cases, names, ("share",), 2)


def assert_sound(cohort: Cohort, fold: Fold) -> None:
    """Disjoint patients, every case once, indices ascending integers."""
    parts = [fold.train, fold.validation, fold.test]
    together = np.concatenate(parts)
    assert sorted(together) == list(range(len(cohort)))
    owners = [set(cohort.patients[part]) for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    assert all(part.dtype == np.int64 and np.all(np.diff(part) > 0) for part in parts)


@pytest.fixture(scope="module")
def lidc() -> Cohort:
    return lidc_contours()


@pytest.mark.long
def test_no_patient_in_two_parts_and_shares_near_target_on_seeds_0_to_99(lidc: Cohort) -> None:
    share = np.mean(lidc.labels)
    tests = set()
    for seed in range(100):
        (fold,) = split(lidc, seed=seed)
        assert_sound(lidc, fold)
        for part, fraction in zip((fold.train, fold.validation, fold.test), (0.8, 0.1, 0.1), strict=True):
            assert len(part) / len(lidc) == pytest.approx(fraction, abs=0.006)
            assert np.mean(lidc.labels[part]) == pytest.approx(share, abs=0.015)
            assert len(set(lidc.patients[part])) / len(set(lidc.patients)) == pytest.approx(fraction, abs=0.012)
        tests.add(fold.test.tobytes())
    assert len(tests) == 100


@pytest.mark.long
def test_patients_with_many_cases_spread_over_the_parts(lidc: Cohort) -> None:
    _, owner, sizes = np.unique(lidc.patients, return_inverse=True, return_counts=True)
    many = [np.mean(sizes[owner[split(lidc, seed=seed)[0].test]] >= 5) for seed in range(30)]
    assert np.mean(many) == pytest.approx(np.mean(sizes[owner] >= 5), rel=0.25)


@pytest.mark.long
def test_the_seed_alone_decides_and_the_order_of_cases_does_not(lidc: Cohort) -> None:
    first, again, other = split(lidc, seed=4)[0], split(lidc, seed=4)[0], split(lidc, seed=5)[0]
    np.testing.assert_array_equal(first.test, again.test)
    assert set(first.test) != set(other.test)
    backwards = Cohort("b", lidc.task, lidc.cases[::-1], lidc.classes, lidc.channels, 2)
    turned = split(backwards, seed=4)[0]
    assert {lidc.cases[i].id for i in first.test} == {backwards.cases[i].id for i in turned.test}


@pytest.mark.long
def test_kfold_tests_every_case_once_per_repeat(lidc: Cohort) -> None:
    folds = split(lidc, scheme="kfold", folds=5, repeats=2, seed=1)
    assert len(folds) == 10
    for fold in folds:
        assert_sound(lidc, fold)
        assert len(fold.validation) / (len(fold.train) + len(fold.validation)) == pytest.approx(1 / 9, abs=0.01)
    for repeat in (folds[:5], folds[5:]):
        assert sorted(np.concatenate([fold.test for fold in repeat])) == list(range(len(lidc)))
    assert {fold.test.tobytes() for fold in folds[:5]}.isdisjoint({fold.test.tobytes() for fold in folds[5:]})


def test_given_parts_are_kept_and_validation_is_carved_by_patient() -> None:
    rows = [(f"p{index // 2}", index // 2 % 2) for index in range(120)]
    parts: list[str | None] = ["test" if index >= 100 else "train" for index in range(120)]
    cohort = cohort_of(rows, parts=parts)
    (fold,) = split(cohort, scheme="given")
    assert_sound(cohort, fold)
    assert list(fold.test) == list(range(100, 120))
    assert 8 <= len(fold.validation) <= 14
    parts[:10] = ["validation"] * 10
    assert list(split(cohort_of(rows, parts=parts), scheme="given")[0].validation) == list(range(10))


@pytest.mark.long
def test_a_rare_class_reaches_every_part_when_it_has_as_many_patients_as_parts() -> None:
    rows = [(f"p{index}", 0) for index in range(200)] + [(f"rare{index}", 1) for index in range(3)]
    cohort = cohort_of(rows)
    for seed in range(20):
        (fold,) = split(cohort, seed=seed)
        assert [cohort.class_counts(part)["class 1"] for part in (fold.train, fold.validation, fold.test)] == [1, 1, 1]


def test_tasks_without_labels_split_by_patient_alone() -> None:
    cases = tuple(Case(f"c{i}", f"p{i // 3}", nothing) for i in range(90))
    cohort = Cohort("masks", "segmentation", cases, ("background", "tumour"), ("t1",), 2)
    (fold,) = split(cohort)
    assert_sound(cohort, fold)
    assert (len(fold.validation), len(fold.test)) == (9, 9)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 2)), min_size=30, max_size=120),
    st.integers(0, 10**6),
    st.sampled_from(["holdout", "kfold"]),
)
def test_any_cohort_is_split_soundly_or_refused(rows: list[tuple[int, int]], seed: int, scheme: str) -> None:
    cohort = cohort_of([(f"p{patient}", label) for patient, label in rows], classes=3)
    try:
        folds = split(cohort, scheme=scheme, fractions=(0.6, 0.2, 0.2), folds=3, seed=seed)
    except CohortError:
        return
    for fold in folds:
        assert_sound(cohort, fold)
        for part in (fold.train, fold.validation, fold.test):
            assert min(cohort.class_counts(part).values()) >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "random"}, "split.scheme is 'random'; choose one of holdout, kfold, given"),
        ({"fractions": (0.5, 0.5)}, "three shares"),
        ({"fractions": (0.9, 0.1, 0.1)}, "sum to 1"),
        ({"fractions": (1.0, 0.0, 0.0)}, "above 0"),
        ({"scheme": "kfold", "folds": 1}, "split.folds is 1"),
        ({"scheme": "kfold", "repeats": 0}, "split.repeats is 0"),
    ],
)
def test_impossible_settings_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        split(cohort_of([("a", 0), ("b", 1), ("c", 0)]), **options)  # type: ignore[arg-type]


def test_a_class_with_fewer_patients_than_parts_is_refused() -> None:
    rows = [(f"p{index}", 0) for index in range(50)] + [("one", 1), ("one", 1), ("two", 1)]
    with pytest.raises(CohortError, match="class class 1 of cohort rows has 2 patients for 3 parts; merge"):
        split(cohort_of(rows))
    with pytest.raises(CohortError, match=r"class class 2 .* has 0 patients"):
        split(cohort_of([*rows[:50], ("q1", 1), ("q2", 1), ("q3", 1)], classes=3))
    with pytest.raises(CohortError, match="2 patients for 3 parts; add patients$"):
        split(cohort_of([("a", 0), ("b", 0)], classes=1))
    with pytest.raises(CohortError, match="has 1 patient for 3 parts; add patients$"):
        split(cohort_of([("a", 0), ("a", 0)], classes=1))


def test_a_given_part_without_a_class_is_refused() -> None:
    rows = [(f"p{index}", index % 2) for index in range(20)] + [("q", 0)]
    with pytest.raises(CohortError, match="the test part of cohort rows has no case of class class 1"):
        split(cohort_of(rows, parts=["train"] * 10 + ["validation"] * 10 + ["test"]), scheme="given")
    with pytest.raises(CohortError, match=r"c0 .* part ''"):
        split(cohort_of(rows), scheme="given")
    with pytest.raises(CohortError, match="no official test part"):
        split(cohort_of(rows, parts=["train"] * 21), scheme="given")


def test_dealt_by_case_patients_are_divided_and_every_case_has_its_place() -> None:
    cohort = cohort_of([(f"p{index // 10}", index % 2) for index in range(100)])
    (fold,) = split(cohort, unit="case")
    assert sorted(np.concatenate([fold.train, fold.validation, fold.test])) == list(range(100))
    assert set(cohort.patients[fold.train]) & set(cohort.patients[fold.test])
    assert [len(fold.part(part)) for part in ("train", "validation", "test")] == [80, 10, 10]
    with pytest.raises(ProtocolError, match="choose one of patient, case"):
        split(cohort, unit="slice")
