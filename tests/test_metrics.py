import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sklearn_metrics

from components.event_metrics import METRICS
from components.slicing import slice_batch
from metrics.paired import PairedSums, quantile
from metrics.sums import EventSums


def sums(labels, probabilities) -> EventSums:
    result = EventSums()
    result.add(np.array(labels), np.array(probabilities, np.float32))
    return result


def test_metrics_of_four_events_are_those_computed_by_hand():
    events = sums([1, 1, 0, 0], [0.8, 0.4, 0.6, 0.2])
    assert METRICS["binary_crossentropy"](events, 0.95) == pytest.approx(-np.log(0.8 * 0.4 * 0.4 * 0.8) / 4)
    assert METRICS["binary_accuracy"](events, 0.95) == 0.5
    assert METRICS["auc"](events, 0.95) == 0.75  # of four pairs only 0.4 against 0.6 is in the wrong order
    assert METRICS["calibration"](events, 0.95) == pytest.approx(1.0)
    assert METRICS["example_count"](events, 0.95) == 4


def test_batches_in_any_division_give_the_same_sums():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 1000), rng.random(1000)
    whole, parts = sums(labels, probabilities), EventSums()
    for start in range(0, 1000, 77):
        parts.merge(sums(labels[start : start + 77], probabilities[start : start + 77]))
    assert parts.bce == pytest.approx(whole.bce)
    assert parts.auc == whole.auc
    assert parts.auc == pytest.approx(sklearn_metrics.roc_auc_score(labels, probabilities), abs=1e-4)


def test_sums_grow_by_what_is_added():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 200), rng.random(200).astype(np.float32)
    grown, paired = EventSums(), PairedSums()
    for part in (slice(0, 50), slice(50, 200)):
        grown.add(labels[part], probabilities[part])
        paired.add(probabilities[part])
    whole = sums(labels, probabilities)
    assert grown.by_label == pytest.approx(whole.by_label)
    assert (grown.predicted, grown.right) == (pytest.approx(whole.predicted), whole.right)
    assert np.array_equal(grown.histograms, whole.histograms)
    assert whole.histograms.sum(axis=1).tolist() == whole.by_label[:, 0].tolist() == np.bincount(labels).tolist()
    assert (paired.n, paired.mean) == (200, pytest.approx(probabilities.mean()))
    assert paired.standard_error == pytest.approx(probabilities.std(ddof=1) / np.sqrt(200), rel=1e-5)


def test_only_a_probability_above_one_half_says_signal():
    assert METRICS["binary_accuracy"](sums([1, 1, 1, 0], [0.5, 0.6, 0.4, 0.1]), 0.95) == 0.5


def test_probabilities_of_0_and_1_have_a_place_in_the_order():
    assert METRICS["auc"](sums([1, 0], [1.0, 0.99995]), 0.95) == 0.5  # of one bin of the histogram
    assert METRICS["auc"](sums([1, 0], [1.0, 0.9998]), 0.95) == 1.0


@pytest.mark.parametrize(("label", "probability"), [(1, 0.0), (0, 1.0)])
def test_certain_and_wrong_costs_what_keras_makes_it_cost(label, probability):
    assert METRICS["binary_crossentropy"](sums([label], [probability]), 0.95) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"example_count", "mean_label"}))
def test_one_nan_makes_a_metric_nan(metric):
    assert np.isnan(METRICS[metric](sums([1, 0, 1], [0.5, 0.5, np.nan]), 0.95))


def test_no_events_and_one_class_have_no_area():
    assert np.isnan(EventSums().auc)
    assert np.isnan(sums([1, 1], [0.2, 0.3]).auc)


def test_batch_is_divided_into_all_rows_and_each_slice():
    extracts = {
        "labels": {"candidate": np.array([1, 0, 1])},
        "predictions": {"candidate": {"probability": np.array([0.1, 0.2, 0.3])}},
        "transformed_features": {"candidate": {"n_b_tags": np.array([[2], [0], [2]])}},
        "features": {},
    }
    slices = {part["_slice_key_types"][0]: part for part in slice_batch(extracts, ["n_b_tags"], overall=True)}
    assert set(slices) == {(), (("n_b_tags", 0),), (("n_b_tags", 2),)}
    assert slices[()]["labels"]["candidate"].tolist() == [1, 0, 1]
    assert slices[(("n_b_tags", 2),)]["predictions"]["candidate"]["probability"].tolist() == [0.1, 0.3]


def test_paired_interval_is_that_computed_by_hand():
    paired, rest = PairedSums(), PairedSums()
    paired.add(np.array([-0.3, -0.1]))
    rest.add(np.array([-0.2, 0.4]))
    paired.merge(rest)
    # Mean -0.05, sum of squared deviations 0.0625 + 0.0025 + 0.0225 + 0.2025, over 3 and 4; t of 3 degrees of freedom
    # is 3.182446.
    assert paired.mean == pytest.approx(-0.05)
    assert paired.standard_error == pytest.approx(np.sqrt(0.29 / 3 / 4))
    half = 3.182446 * np.sqrt(0.29 / 12)
    assert paired.interval(0.95) == pytest.approx((-0.05 - half, -0.05 + half))


def test_interval_covers_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        paired = PairedSums()
        paired.add(rng.normal(0.01, 0.3, 200))
        low, high = paired.interval(0.95)
        covered += low < 0.01 < high
    assert 930 <= covered <= 970


@pytest.mark.parametrize("n_free", [1.0, 999.0, 1000.0, 5000.5, 1e7])
@pytest.mark.parametrize("confidence", [0.0, 0.5, 0.95, 0.9999, 1 - 1e-9])
def test_quantile_is_students_on_both_sides_of_a_thousand(n_free, confidence):
    expected = scipy.stats.t.ppf((1 + confidence) / 2, n_free)
    assert quantile(confidence, n_free) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_certainty_reaches_from_one_end_to_the_other():
    assert [quantile(1.0, n_free) for n_free in (3, 5000)] == [np.inf, np.inf]


@pytest.mark.parametrize("differences", [[], [0.1], [np.nan, 0.1, 0.2]])
def test_too_few_events_or_a_nan_have_no_interval(differences):
    paired = PairedSums()
    paired.add(np.array(differences))
    assert all(np.isnan(end) for end in paired.interval(0.95))


def test_no_skill_is_the_crossentropy_of_the_events_own_share_of_signal():
    over = sums([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]).over_no_skill
    assert over.mean == pytest.approx(np.log(2) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75), abs=1e-7)
    differences = np.log(2) + np.log([0.25, 0.75, 0.75, 0.75])
    assert over.standard_error == pytest.approx(np.std(differences, ddof=1) / 2, abs=1e-7)
