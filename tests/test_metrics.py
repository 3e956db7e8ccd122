import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.metrics import METRICS, EventSums
from components.slicing import slice_batch


def sums(labels, probabilities) -> EventSums:
    result = EventSums()
    result.add(np.array(labels), np.array(probabilities, np.float32))
    return result


def test_metrics_of_four_events_are_those_computed_by_hand():
    events = sums([1, 1, 0, 0], [0.8, 0.4, 0.6, 0.2])
    assert METRICS["binary_crossentropy"](events) == pytest.approx(-np.log(0.8 * 0.4 * 0.4 * 0.8) / 4)
    assert METRICS["binary_accuracy"](events) == 0.5
    assert METRICS["auc"](events) == 0.75  # of four pairs only 0.4 against 0.6 is in the wrong order
    assert METRICS["calibration"](events) == pytest.approx(1.0)
    assert METRICS["example_count"](events) == 4


def test_batches_in_any_division_give_the_same_sums():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 1000), rng.random(1000)
    whole, parts = sums(labels, probabilities), EventSums()
    for start in range(0, 1000, 77):
        parts.merge(sums(labels[start : start + 77], probabilities[start : start + 77]))
    assert parts.bce == pytest.approx(whole.bce)
    assert parts.auc == whole.auc
    assert parts.auc == pytest.approx(sklearn_metrics.roc_auc_score(labels, probabilities), abs=1e-4)


def test_certain_and_wrong_costs_what_keras_makes_it_cost():
    assert METRICS["binary_crossentropy"](sums([1], [0.0])) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"example_count", "mean_label"}))
def test_one_nan_makes_a_metric_nan(metric):
    assert np.isnan(METRICS[metric](sums([1, 0, 1], [0.5, 0.5, np.nan])))


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
