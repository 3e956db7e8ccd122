"""The report's numbers, against numbers computed by hand."""

import math

import numpy as np
import pytest

from metrics.curves import Calibration, Roc, Significance, asimov, importance, smooth
from models.architecture_words import in_words
from report.texts import group, number

# Signal at 0.8 and 0.4; background at 0.9, 0.5, 0.2 and 0.1.
LABELS = np.array([1, 1, 0, 0, 0, 0])
PROBABILITIES = np.array([0.8, 0.4, 0.9, 0.5, 0.2, 0.1])


def test_smoothing_weighs_neighbours_by_a_gaussian_cut_off_at_the_ends():
    near, far = math.exp(-1 / 2), math.exp(-2)
    expected = [near / (1 + near + far), 1 / (1 + 2 * near), near / (1 + near + far)]
    np.testing.assert_allclose(smooth([0, 1, 0], scale=1), expected)


@pytest.mark.parametrize("n_epochs", [1, 3, 500])
def test_smoothing_leaves_a_constant_as_it_is(n_epochs):
    np.testing.assert_allclose(smooth([0.6] * n_epochs), [0.6] * n_epochs)


def test_rejection_is_background_rows_for_each_one_that_passes_with_half_the_signal():
    roc = Roc.of(LABELS, PROBABILITIES)
    assert roc.rejection(0.5) == 4  # a cut at 0.8 lets one of four through
    assert roc.rejection(1.0) == 2  # a cut at 0.4 lets two of four through
    assert roc.n_background == 4
    assert roc.auc == pytest.approx(5 / 8)  # 3 of 4 pairs for 0.8, 2 of 4 for 0.4


def test_rejection_without_passing_background_is_infinite():
    roc = Roc.of(np.array([1, 1, 0]), np.array([0.9, 0.5, 0.7]))
    assert roc.rejection(0.5) == math.inf
    assert math.isnan(roc.rejection_error(0.5))


def test_error_of_rejection_is_binomial():
    labels = np.array([1, 1] + [0] * 8)
    roc = Roc.of(labels, np.array([0.8, 0.1, 0.9, 0.9, *[0.5] * 6]))
    assert roc.rejection(0.5) == 4  # two of eight
    assert roc.rejection_error(0.5) == pytest.approx(math.sqrt(0.25 * 0.75 / 8) / 0.25**2)


def test_calibration_compares_equally_many_rows_per_bin():
    bins = Calibration.of(np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.1, 0.5, 0.5, 0.9, 0.9]))
    np.testing.assert_allclose(bins.predicted, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(bins.observed, [0, 0.5, 1])
    np.testing.assert_allclose(bins.error, [0, math.sqrt(0.25 / 2), 0])


@pytest.mark.parametrize(("n_rows", "n_bins"), [(60, 3), (399, 3), (400, 4), (1000, 10), (5000, 10)])
def test_calibration_has_a_bin_for_every_hundred_rows_but_at_most_ten(n_rows, n_bins):
    probabilities = np.linspace(0, 1, n_rows) ** 4  # crowded near 0
    bins = Calibration.of(np.arange(n_rows) % 2, probabilities)
    assert len(bins.predicted) == n_bins
    np.testing.assert_allclose(bins.observed, 0.5, atol=0.03)


def test_importance_is_the_rise_of_the_crossentropy_and_0_for_what_the_model_does_not_see():
    # Two rows with logits 2 and -2: swapped, each loses log(1 + e^2) instead of log(1 + e^-2), which is 2 nats more.
    features = np.array([[1.0, 5.0], [-1.0, 7.0]], np.float32)
    rises = importance(lambda rows: 1 / (1 + np.exp(-2 * rows[:, 0])), features, np.array([1, 0]))
    assert rises.shape == (2, 5)
    assert {round(rise, 6) for rise in rises[0]} == {0, 2}
    assert importance(lambda rows: rows[:, 0] / 4 + 0.5, features, np.array([1, 1])).shape == (2, 5)  # of one class
    np.testing.assert_allclose(rises[1], 0, atol=1e-12)


def test_importance_is_the_same_each_time():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)

    def rises():
        return importance(lambda rows: 1 / (1 + np.exp(-rows.sum(1))), features, labels)

    np.testing.assert_array_equal(rises(), rises())


PLAIN = {"hidden_units": [64, 64, 64], "activation": "elu", "l1": 0.0, "l2": 0.0, "dropout": 0.0, "batch_norm": False}


def test_network_without_regularization_is_a_size_and_every_other_a_regularizer():
    assert group(PLAIN) == "sizes"
    for change in ({"l2": 1e-3}, {"dropout": 0.5}, {"batch_norm": True}, {"weight_decay": 0.01}):
        assert group(PLAIN | change) == "regularizers"


def test_texts_say_only_what_is_there():
    assert in_words(PLAIN) == "64x3"
    by_layer = PLAIN | {"l2": [1e-4, 0.0, 1e-4], "penalized": "activity", "augment": True}
    assert in_words(by_layer) == "64x3, l2 0.0001:0:0.0001, augment, on activities"
    changed = PLAIN | {"hidden_units": [16], "l2": 1e-4, "batch_norm": True}
    assert in_words(changed) == "16, l2 0.0001, batch norm"
    assert number(-0.02, sign=True) == "\N{MINUS SIGN}0.0200"
    assert number(None) == number(math.nan) == "n/a"


def test_significance_of_a_known_background_is_the_asimov_value():
    # sqrt(2 (110 ln(1.1) - 10)) by hand; near s / sqrt(b) = 1 for few signal events.
    assert asimov(10, 100, 0) == pytest.approx(math.sqrt(2 * (110 * math.log(1.1) - 10)))
    assert asimov(1, 1e8, 0) == pytest.approx(1e-4, rel=1e-3)


def test_significance_falls_with_the_uncertainty_of_the_background():
    assert asimov(50, 100, 1e-6) == pytest.approx(asimov(50, 100, 0), rel=1e-6)
    # For few signal events it is s / sqrt(b + (uncertainty b)^2).
    assert asimov(1, 10_000, 0.05) == pytest.approx(1 / math.sqrt(10_000 + 500**2), rel=1e-2)
    values = [float(asimov(50, 100, uncertainty)) for uncertainty in (0, 0.1, 0.3, 1.0)]
    assert values == sorted(values, reverse=True)
    assert asimov(0, 100, 0.1) == 0


def test_significance_of_a_background_measured_in_a_sideband_is_that_of_li_and_ma():
    # A sideband tau times as large counts tau b: an uncertainty of 1 / sqrt(tau b) of b. Li and Ma's equation 17 with
    # s + b events on source, tau b off source and alpha = 1 / tau.
    s, b, tau = 20.0, 50.0, 4.0
    on, off, alpha = s + b, tau * b, 1 / tau
    terms = on * math.log((1 + alpha) / alpha * on / (on + off)) + off * math.log((1 + alpha) * off / (on + off))
    assert asimov(s, b, 1 / math.sqrt(tau * b)) == pytest.approx(math.sqrt(2 * terms))


def test_best_cut_is_the_most_significant_of_those_that_enough_background_passes():
    labels = np.repeat([1, 0], [4, 4])
    curve = Roc.of(labels, np.array([0.9, 0.8, 0.7, 0.1, 0.75, 0.3, 0.2, 0.05]))
    value = Significance.of(curve, 100, 1000, 0.0, fewest=1)
    # Three of four signal rows pass with one of four background rows: 75 of 100 on 250 of 1,000.
    assert value.best == pytest.approx((0.75, float(asimov(75, 250, 0))))
    uncertain = Significance.of(curve, 100, 1000, 0.2, fewest=1)
    assert uncertain.sigmas == pytest.approx(asimov(100 * uncertain.efficiency, [250, 250, 500, 750, 750, 1000], 0.2))
    assert Significance.of(curve, 100, 1000, 0.0, fewest=4).best == pytest.approx((1.0, float(asimov(100, 1000, 0))))
    # Of fewer than that, all must pass.
    assert Significance.of(curve, 100, 1000, 0.0, fewest=10).best == pytest.approx((1.0, float(asimov(100, 1000, 0))))
