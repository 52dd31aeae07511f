import baycomp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from equipoise.statistics.binormal import draw
from equipoise.statistics.comparison import (
    Contrast,
    Design,
    Error,
    compare,
    crossed_terms,
    design,
    equivalence_p,
    moderated,
    non_inferiority_p,
    pooled_variance,
    resampled_contrast,
)
from equipoise.statistics.covariance import estimates
from equipoise.statistics.influence import rank_influence


def arms(
    generator: int = 0, auc: tuple[float, ...] = (0.85, 0.8), seeds: int = 3, sd: float = 0.01, n: int = 150
) -> Design:
    made = draw(np.random.default_rng(generator), n, auc, seeds, sd)
    found = estimates([rank_influence(made.scores, made.truth, made.patient, n)])
    names = [f"arm{k // seeds}" for k in range(len(made.scores))]
    return design(found.value, found.covariance, names, n)


def test_crossed_form_is_the_published_reader_study() -> None:
    """Van Dyke's data: 2 modalities, 5 readers; the ANOVA terms and the results are those MRMCaov prints."""
    treatment, interaction, second, third = 0.004796171, 0.0005510306, 0.0003395265, 0.0002358497
    squared, df = crossed_terms(interaction, second - third, seeds=5)
    f = treatment / (squared * 5 / 2)  # MS(T) = 5 D^2 / 2 for two modalities
    assert f == pytest.approx(4.484854, rel=1e-6)
    assert df == pytest.approx(15.06611, rel=1e-6)
    assert stats.f.sf(f, 1, df) == pytest.approx(0.05123303, rel=1e-6)


def test_crossed_comparison_of_the_published_readers() -> None:
    """The same study from its ten areas; the variances that cancel out of the crossed form are arbitrary."""
    areas = [
        0.9196457,
        0.8587762,
        0.9038647,
        0.9731079,
        0.8297907,
        0.9478261,
        0.9053140,
        0.9217391,
        0.9993559,
        0.9299517,
    ]
    reader = np.tile(np.arange(5), 2)
    modality = np.repeat([0, 1], 5)
    covariance = np.where(modality[:, None] == modality, 0.0003395265, 0.0002358497)
    covariance[reader[:, None] == reader] = 0.0003466
    np.fill_diagonal(covariance, 0.0008)
    found = compare(design(np.array(areas), covariance, ["spin echo"] * 5 + ["cine"] * 5, 114), 0, 1, shared_seeds=True)
    assert found.method == "crossed"
    assert (found.difference / found.se) ** 2 == pytest.approx(4.484854, rel=2e-6)
    assert found.df == pytest.approx(15.06611, rel=2e-6)
    assert found.p == pytest.approx(0.05123303, rel=5e-6)  # areas to seven digits


def test_welch_form_is_the_formula() -> None:
    """SE^2 = W_a + W_b + 2 max(C2 - C3, 0), W = s^2 / S, and Satterthwaite's df with W raised, written out in loops."""
    made = draw(np.random.default_rng(1), 150, (0.85, 0.8), 3, 0.03)
    found = estimates([rank_influence(made.scores, made.truth, made.patient, 150)])
    value, covariance = found.value, found.covariance
    own = [value[:3].var(ddof=1) / 3, value[3:].var(ddof=1) / 3]
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j and i // 3 == j // 3]
    second = np.mean([covariance[pair] for pair in pairs])
    third = np.mean([covariance[i, 3 + j] for i in range(3) for j in range(3)])
    squared = sum(own) + 2 * max(second - third, 0)
    result = compare(design(value, covariance, ["a"] * 3 + ["b"] * 3, 150), 0, 1)
    weights = np.array([1, 1, 1, -1, -1, -1]) / 3
    assert squared > weights @ covariance @ weights  # the guard does not bind here
    assert result.difference == pytest.approx(value[:3].mean() - value[3:].mean())
    assert result.se == pytest.approx(np.sqrt(squared), rel=1e-12)
    raised = [w * (1 + 3 / 2) for w in own]
    whole = sum(raised) + 2 * max(second - third, 0)
    assert result.df == pytest.approx(min(whole**2 / sum(w**2 / 2 for w in raised), 149), rel=1e-12)
    assert result.p == pytest.approx(2 * stats.t.sf(abs(result.difference) / result.se, result.df), rel=1e-12)
    assert result.se_patients**2 + result.se_seeds**2 == pytest.approx(squared)


def test_pooled_variance_is_the_mean_over_arms_of_equal_runs() -> None:
    variance, df = pooled_variance(arms(auc=(0.85, 0.85, 0.8), sd=0.03))
    assert variance == pytest.approx(np.mean([v.var(ddof=1) for v in arms(auc=(0.85, 0.85, 0.8), sd=0.03).values]))
    assert df == 6


def test_moderated_form_leans_on_the_spread_of_all_arms() -> None:
    """s~^2 = max(s^2, (d0 mean + d s^2) / (d0 + d)), written out; the test gains less than the weight of the mean."""
    plain = arms(auc=(0.85, 0.85, 0.8), sd=0.03)
    squares = [v.var(ddof=1) for v in plain.values]
    own = [max(square, (0.5 * np.mean(squares) + 2 * square) / 2.5) / 3 for square in squares]
    patients = plain.shared[0] + plain.shared[1] - 2 * plain.between[0, 1]
    result = compare(moderated(plain), 0, 1)
    squared = own[0] + own[1] + max(patients, 0)
    raised = [each * (1 + 1.5 / 2.25) for each in own]
    df = (sum(raised[:2]) + max(patients, 0)) ** 2 / ((raised[0] ** 2 + raised[1] ** 2) / 2.25)
    assert (result.se, result.df) == pytest.approx((np.sqrt(squared), min(df, 149)))


@pytest.mark.long
@pytest.mark.parametrize(("n", "decimals"), [(200, 1), (2_000, 2), (100_000, 15)])
def test_two_single_runs_are_mlstatkits_delong(n: int, decimals: int) -> None:
    """One case a patient, one seed: the same z with and without ties (Student's t takes the place of its normal)."""
    generator = np.random.default_rng(n)
    truth = generator.random(n) < 0.3
    scores = np.round(generator.standard_normal((2, n)) + truth * np.array([[1.0], [1.05]]), decimals)
    found = estimates([rank_influence(scores, truth, np.arange(n), n)])
    result = compare(design(found.value, found.covariance, ["a", "b"], n), 0, 1)
    z, p = Delong_test(truth.astype(int), scores[0], scores[1])[:2]
    assert abs(result.difference / result.se) == pytest.approx(abs(z), abs=1e-9)
    assert 2 * stats.norm.sf(abs(result.difference / result.se)) == pytest.approx(p, abs=1e-9)


@pytest.mark.long
@given(st.integers(0, 1_000), st.integers(1, 5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_comparison_is_antisymmetric(seed: int, seeds: int, leaning: bool) -> None:
    found = arms(seed, (0.85, 0.83, 0.8), seeds, n=40)
    found = moderated(found) if leaning else found
    one, other = compare(found, 0, 2), compare(found, 2, 0)
    assert one.difference == -other.difference
    assert (one.se, one.df, one.p) == pytest.approx((other.se, other.df, other.p), rel=1e-12)
    low, high = one.interval()
    assert other.interval() == pytest.approx((-high, -low), rel=1e-9)
    assert one.turned().difference == other.difference
    assert low <= one.difference <= high


def test_a_method_is_never_surer_than_its_networks() -> None:
    """The larger p and the wider interval of runs as readers and of runs fixed, each with its own df."""
    wider = set()
    for seed in range(40):
        sample = arms(seed, sd=0.0, n=60)
        fixed = sample.between[0, 0] + sample.between[1, 1] - 2 * sample.between[0, 1]
        own = sample.seed_variance / 3
        patients = max(sample.shared[0] + sample.shared[1] - 2 * sample.between[0, 1], 0)
        readers = own.sum() + patients
        raised = own * (1 + 3 / 2)
        df = min((raised.sum() + patients) ** 2 / (raised**2 / 2).sum(), 59)
        result = compare(sample, 0, 1)
        t = abs(result.difference)
        expected = 2 * max(stats.t.sf(t / np.sqrt(readers), df), stats.t.sf(t / np.sqrt(fixed), 59))
        assert result.p == pytest.approx(expected, rel=1e-9)
        half = max(stats.t.ppf(0.975, df) * np.sqrt(readers), stats.t.ppf(0.975, 59) * np.sqrt(fixed))
        assert result.interval()[1] - result.difference == pytest.approx(half, rel=1e-9)
        wider.add(result.method)
    assert wider == {"Welch", "Welch, wider with runs fixed"}


def test_a_comparison_joined_by_a_second_error_must_pass_both() -> None:
    readers = Contrast(0.04, 0.01, 3.0, 0.0, 0.01, "Welch")
    both = readers.joined(Error(0.015, 100.0), "with runs fixed")
    assert both.p == pytest.approx(2 * max(stats.t.sf(4, 3), stats.t.sf(0.04 / 0.015, 100)))
    for level in (0.9, 0.95, 0.999):
        half = max(stats.t.ppf(0.5 + level / 2, df) * se for se, df in ((0.01, 3), (0.015, 100)))
        assert both.interval(level) == pytest.approx((0.04 - half, 0.04 + half))
    # At 95 % the few degrees of freedom decide, at 80 % the larger standard error.
    assert (both.se, both.df, both.method) == (0.01, 3.0, "Welch")


def test_crossed_form_gains_where_seeds_are_shared() -> None:
    """A seed effect common to both arms cancels in the seed-wise differences."""
    generator = np.random.default_rng(0)
    shared = 0.03 * generator.standard_normal(5)
    value = np.concatenate([0.85 + shared, 0.82 + shared + 0.001 * generator.standard_normal(5)])
    found = design(value, np.eye(10) * 1e-6, ["a"] * 5 + ["b"] * 5, 200)
    assert compare(found, 0, 1, shared_seeds=True).se < 0.2 * compare(found, 0, 1).se
    few = design(value[[0, 1, 2, 5, 6, 7]], np.eye(6) * 1e-6, ["a"] * 3 + ["b"] * 3, 200)
    assert compare(few, 0, 1, shared_seeds=True).method.startswith("Welch")


def test_a_deterministic_rule_adds_patients_but_no_seeds() -> None:
    """As if the rule had been trained many times with the same outcome: only the other arm's seeds count."""
    made = draw(np.random.default_rng(2), 150, (0.85, 0.8), 3, 0.02)
    scores = np.concatenate([made.scores[:3], made.scores[3:4]])
    found = estimates([rank_influence(scores, made.truth, made.patient, 150)])
    rule = design(found.value, found.covariance, ["a"] * 3 + ["rule"], 150, {"rule"})
    twice = np.concatenate([made.scores[:3]] + [made.scores[3:4]] * 4)
    repeated = estimates([rank_influence(twice, made.truth, made.patient, 150)])
    many = design(repeated.value, repeated.covariance, ["a"] * 3 + ["rule"] * 4, 150)
    one, other = compare(rule, 0, 1), compare(many, 0, 1)
    assert (one.difference, one.se, one.df) == pytest.approx((other.difference, other.se, other.df))


def test_unequal_numbers_of_seeds_weigh_as_they_are() -> None:
    made = draw(np.random.default_rng(3), 150, (0.85, 0.8), 5, 0.03)
    keep = [0, 1, 2, 5, 6, 7, 8, 9]
    found = estimates([rank_influence(made.scores[keep], made.truth, made.patient, 150)])
    result = design(found.value, found.covariance, ["a"] * 3 + ["b"] * 5, 150)
    assert result.seeds.tolist() == [3, 5]
    own = [found.value[:3].var(ddof=1) / 3, found.value[3:].var(ddof=1) / 5]
    assert compare(result, 0, 1).se_seeds ** 2 == pytest.approx(sum(own))


def test_no_variation_at_all_has_no_p() -> None:
    same = design(np.full(6, 0.8), np.zeros((6, 6)), ["a"] * 3 + ["b"] * 3, 100)
    result = compare(same, 0, 1)
    assert result.se == 0
    assert np.isnan(result.p)


@pytest.mark.parametrize("seed", range(3))
def test_resampled_t_is_baycomps(seed: int) -> None:
    """Ten repeats of ten folds; baycomp's posterior probability is the one-sided p of the same t."""
    generator = np.random.default_rng(seed)
    a, b = generator.standard_normal((2, 100)) * 0.05 + 0.8
    found = resampled_contrast(a - b, 1 / 9)
    left, _ = baycomp.CorrelatedTTest.probs(a, b, rope=0, runs=10)
    assert stats.t.cdf(found.difference / found.se, found.df) == pytest.approx(left, abs=1e-12)
    assert found.p == pytest.approx(2 * min(left, 1 - left), abs=1e-12)


def test_overlap_of_training_sets_widens_the_interval() -> None:
    difference = np.array([0.01, 0.03, 0.02, 0.0, 0.04])
    found = resampled_contrast(difference, 1 / 4)
    assert found.se == pytest.approx(difference.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4))
    assert found.df == 4


def paired(margin_data: int) -> tuple[np.ndarray, np.ndarray, Contrast]:
    generator = np.random.default_rng(margin_data)
    a, b = generator.standard_normal((2, 30)) * 0.1 + 0.5
    difference = a - b
    return a, b, Contrast(difference.mean(), difference.std(ddof=1) / np.sqrt(30), 29, 0.0, 0.0, "t")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_tost_is_statsmodels(seed: int, margin: float) -> None:
    a, b, contrast = paired(seed)
    assert equivalence_p(contrast, margin) == pytest.approx(ttost_paired(a, b, -margin, margin)[0], abs=1e-12)


def test_small_p_means_the_ninety_percent_interval_lies_inside() -> None:
    for seed in range(30):
        _, _, contrast = paired(seed)
        low, high = contrast.interval(0.9)
        assert (equivalence_p(contrast, 0.05) < 0.05) == (low > -0.05 and high < 0.05)


def test_non_inferiority_is_one_sided() -> None:
    _, _, contrast = paired(1)
    expected = stats.t.sf((contrast.difference + 0.05) / contrast.se, 29)
    assert non_inferiority_p(contrast, 0.05) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(equivalence_p(Contrast(0.0, 0.0, 29, 0.0, 0.0, "t"), 0.05))
