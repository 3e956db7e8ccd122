import numpy as np
import pytest
import scipy.stats

from metrics.comparison import adjusted, compare, mean_and_sd

RNG = np.random.default_rng(0)


def test_one_repeat_is_compared_by_the_paired_t_interval():
    ours, tinys = RNG.gamma(2, 0.3, (2, 500))
    comparison = compare(ours[None], tinys[None])
    expected = scipy.stats.ttest_rel(ours, tinys).confidence_interval(0.95)
    assert comparison.difference == pytest.approx(ours.mean() - tinys.mean())
    assert comparison.interval == pytest.approx((expected.low, expected.high))
    assert comparison.interval_with_seeds == pytest.approx(comparison.interval)
    assert comparison.p_value == pytest.approx(scipy.stats.ttest_rel(ours, tinys).pvalue)


def test_events_that_are_hard_for_both_do_not_widen_the_interval():
    hard = RNG.gamma(1, 1.0, 1000)
    ours, tinys = hard - 0.01 + 0.02 * RNG.standard_normal((2, 1000)) * [[1], [0]]
    low, high = compare(ours[None], tinys[None]).interval
    assert high - low < 0.003 < 0.1 * hard.std()


def test_seeds_widen_the_interval_by_welchs_formula():
    # Every event is alike, so that only repeats differ: means 1, 2, 3 against 2 and 4.
    ours = np.repeat([[1.0], [2.0], [3.0]], 50, axis=1)
    tinys = np.repeat([[2.0], [4.0]], 50, axis=1)
    comparison = compare(ours, tinys)
    assert comparison.interval == pytest.approx((-1, -1))
    assert comparison.difference == -1
    welch = scipy.stats.ttest_ind([1, 2, 3], [2, 4], equal_var=False).confidence_interval(0.95)
    assert comparison.interval_with_seeds == pytest.approx((welch.low, welch.high))
    assert comparison.p_value == pytest.approx(scipy.stats.ttest_ind([1, 2, 3], [2, 4], equal_var=False).pvalue)


def test_interval_with_seeds_covers_the_true_difference_as_often_as_it_says():
    n_covered, n_studies = 0, 500
    for _ in range(n_studies):
        events = RNG.normal(0, 0.3, (2, 1, 200))  # each architecture's own difficulty of each event
        seeds = RNG.normal(0, 0.02, (2, 3, 1))
        ours, tinys = events + seeds + RNG.normal(0, 0.05, (2, 3, 200))
        low, high = compare(ours + 0.01, tinys).interval_with_seeds
        n_covered += low < 0.01 < high
    assert 0.92 <= n_covered / n_studies <= 0.98


def test_architecture_against_itself_is_no_difference():
    losses = RNG.gamma(2, 0.3, (1, 100))
    comparison = compare(losses, losses)
    assert comparison.interval == comparison.interval_with_seeds == (0, 0)
    assert comparison.p_value == 1


def test_p_value_is_that_of_the_confidence_at_which_the_interval_ends_at_0():
    ours, tinys = RNG.gamma(2, 0.3, (2, 3, 500))
    p_value = compare(ours, tinys).p_value
    assert min(np.abs(compare(ours, tinys, confidence=1 - p_value).interval_with_seeds)) == pytest.approx(0, abs=1e-9)


def test_p_values_are_corrected_by_holms_method():
    # Worked by hand: 4 x 0.01, 3 x 0.02, 2 x 0.03, and 0.04, which may not be less than the one before.
    assert adjusted([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjusted([0.9, 0.8]) == pytest.approx([1, 1])
    assert adjusted([]).size == 0


def test_of_many_comparisons_without_a_difference_rarely_any_is_significant():
    n_false = sum(min(adjusted(RNG.uniform(size=13))) < 0.05 for _ in range(2000))
    assert 0.03 < n_false / 2000 < 0.07


def test_mean_and_standard_deviation_of_repeats():
    assert mean_and_sd([1.0, 2.0, 3.0]) == {"mean": 2.0, "sd": 1.0}
    assert mean_and_sd([1.0, 2.0]) == {"mean": 1.5, "sd": pytest.approx(np.sqrt(0.5))}
    assert mean_and_sd([0.5]) == {"mean": 0.5, "sd": None}
