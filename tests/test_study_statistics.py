import numpy as np
import pytest
import scipy.stats

from study.statistics import compare, mean_and_sd, stratified_folds

RNG = np.random.default_rng(0)


def test_one_repeat_is_compared_by_the_paired_t_interval():
    ours, tinys = RNG.gamma(2, 0.3, (2, 500))
    comparison = compare(ours[None], tinys[None])
    expected = scipy.stats.ttest_rel(ours, tinys).confidence_interval(0.95)
    assert comparison.difference == pytest.approx(ours.mean() - tinys.mean())
    assert comparison.interval == pytest.approx((expected.low, expected.high))
    assert comparison.interval_with_seeds == pytest.approx(comparison.interval)


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
    welch = scipy.stats.ttest_ind([1, 2, 3], [2, 4], equal_var=False).confidence_interval(0.95)
    assert comparison.interval_with_seeds == pytest.approx((welch.low, welch.high))
    assert comparison.verdict == "noise"


def test_interval_with_seeds_covers_the_true_difference_as_often_as_it_says():
    n_covered, n_studies = 0, 500
    for _ in range(n_studies):
        events = RNG.normal(0, 0.3, (2, 1, 200))  # each architecture's own difficulty of each event
        seeds = RNG.normal(0, 0.02, (2, 3, 1))
        ours, tinys = events + seeds + RNG.normal(0, 0.05, (2, 3, 200))
        low, high = compare(ours + 0.01, tinys).interval_with_seeds
        n_covered += low < 0.01 < high
    assert 0.92 <= n_covered / n_studies <= 0.98


@pytest.mark.parametrize(("shift", "verdict"), [(-0.1, "better"), (0.1, "worse"), (0.0001, "noise")])
def test_verdict_is_noise_unless_the_interval_leaves_out_0(shift, verdict):
    tinys = RNG.gamma(2, 0.3, (3, 400))
    ours = tinys + shift + RNG.normal(0, 0.05, (3, 400))
    assert compare(ours, tinys - tinys.mean(axis=1, keepdims=True)).verdict in ("better", "worse", "noise")
    assert compare(ours, tinys.mean(axis=0, keepdims=True)).verdict == verdict


def test_architecture_against_itself_is_no_difference():
    losses = RNG.gamma(2, 0.3, (1, 100))
    comparison = compare(losses, losses)
    assert comparison.interval == (0, 0)
    assert comparison.verdict == "noise"


def test_mean_and_standard_deviation_of_repeats():
    assert mean_and_sd([1.0, 2.0, 3.0]) == {"mean": 2.0, "sd": 1.0}
    assert mean_and_sd([0.5]) == {"mean": 0.5, "sd": None}


def test_each_fold_has_its_share_of_both_classes_and_each_row_one_fold():
    labels = np.array([1] * 53 + [0] * 47)
    folds = stratified_folds(labels, 5)
    assert sorted(np.bincount(folds)) == [20, 20, 20, 20, 20]
    assert set(np.bincount(folds[labels == 1])) == {10, 11}
    assert np.array_equal(folds, stratified_folds(labels, 5))
    assert not np.array_equal(folds, stratified_folds(labels, 5, seed=1))
