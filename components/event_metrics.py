"""Metrics for TFMA that accumulate whole batches of events with numpy.

TFMA's own take one event at a time through Python, and some fail on a NaN, where a gate has to say no. Their results
are named as TFMA's are and agree with them. An element may hold one event or a batch of events of one slice, as
`components.slicing` makes them.
"""

import abc

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tensorflow_model_analysis.utils.model_util import get_baseline_model_spec

from metrics.paired import PairedSums
from metrics.sums import EventSums, crossentropies

CHAMPION = "champion"  # what TFMA calls the served model, where there is one

BCE = "binary_crossentropy"
NO_SKILL = "over_no_skill_upper"
PAIRED_LOWER, PAIRED_UPPER = f"{BCE}_lower", f"{BCE}_upper"
OVER_CHAMPION, OVER_CHAMPION_LOWER, OVER_CHAMPION_UPPER = (f"over_champion{end}" for end in ("", "_lower", "_upper"))

# Metric name, as TFMA's own are called, to a function of EventSums and a confidence.
METRICS = {
    BCE: lambda sums, _: sums.mean(sums.bce),
    "auc": lambda sums, _: sums.auc,
    "binary_accuracy": lambda sums, _: sums.mean(sums.right),
    "calibration": lambda sums, _: sums.predicted / sums.signal if sums.signal else float("nan"),
    "mean_label": lambda sums, _: sums.signal / sums.n if sums.n else float("nan"),
    "mean_prediction": lambda sums, _: sums.mean(sums.predicted),
    "example_count": lambda sums, _: float(sums.n),
    # Not in TFMA: the upper confidence bound of the model's loss minus the best constant's, in nats.
    NO_SKILL: lambda sums, confidence: sums.over_no_skill.interval(confidence)[1],
}

# Name of a metric of the candidate's crossentropy minus the baseline's to a function of PairedSums and a confidence.
PAIRED_METRICS = {
    PAIRED_LOWER: lambda sums, confidence: sums.interval(confidence)[0],
    PAIRED_UPPER: lambda sums, confidence: sums.interval(confidence)[1],
}

# The same of the candidate's crossentropy minus the champion's.
CHAMPION_METRICS = {
    OVER_CHAMPION: lambda sums, _: sums.mean,
    OVER_CHAMPION_LOWER: lambda sums, confidence: sums.interval(confidence)[0],
    OVER_CHAMPION_UPPER: lambda sums, confidence: sums.interval(confidence)[1],
}


class _Combine(beam.CombineFn, abc.ABC):
    """Combines TFMA's inputs into sums, under the key of the sums."""

    def __init__(self, key: tfma.metrics.MetricKey, eval_config: EvalConfig):
        self._key = key
        self._eval_config = eval_config

    def _events(self, element: tfma.metrics.StandardMetricInputs, model: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and a model's probabilities, [n] each."""
        [(labels, probabilities, _)] = tfma.metrics.to_label_prediction_example_weight(
            element, self._eval_config, model, self._key.output_name, flatten=False
        )
        return np.ravel(labels), np.ravel(probabilities)

    def merge_accumulators(self, accumulators):
        total = self.create_accumulator()
        for accumulator in accumulators:
            total.merge(accumulator)
        return total

    def extract_output(self, accumulator) -> dict:
        return {self._key: accumulator}


class _SumEvents(_Combine):
    """The EventSums of one model."""

    def create_accumulator(self) -> EventSums:
        return EventSums()

    def add_input(self, accumulator: EventSums, element) -> EventSums:
        accumulator.add(*self._events(element, self._key.model_name))
        return accumulator


class _SumDifferences(_Combine):
    """The PairedSums of a model against its rival."""

    def __init__(self, key: tfma.metrics.MetricKey, eval_config: EvalConfig, rival: str):
        super().__init__(key, eval_config)
        self._rival = rival

    def create_accumulator(self) -> PairedSums:
        return PairedSums()

    def add_input(self, accumulator: PairedSums, element) -> PairedSums:
        ours, theirs = (crossentropies(*self._events(element, m)) for m in (self._key.model_name, self._rival))
        accumulator.add(ours - theirs)
        return accumulator


class _Metric(tfma.metrics.Metric, abc.ABC):
    """A function of sums; TFMA computes the sums once for all metrics that share them."""

    _IS_DIFF = False  # in TFMA's sense: whether it compares a candidate with the baseline

    def __init__(self, name: str, confidence: float):
        super().__init__(self._create_computations, name=name, confidence=confidence)
        self._confidence = confidence

    @abc.abstractmethod
    def _combine(self, sums: tfma.metrics.MetricKey, eval_config: EvalConfig) -> _Combine:
        """What makes the sums."""

    def _create_computations(
        self, eval_config=None, model_names=None, output_names=None, example_weighted=False, **_
    ) -> list:
        baseline = get_baseline_model_spec(eval_config)
        skipped = {baseline.name if baseline else ""} if self._IS_DIFF else set()
        computations = []
        for model in set(model_names or [""]) - skipped:
            for output in output_names or [""]:
                place = {"model_name": model, "output_name": output, "is_diff": self._IS_DIFF}
                sums = tfma.metrics.MetricKey(self._SUMS, **place)
                result = tfma.metrics.MetricKey(self.name, example_weighted=example_weighted, **place)
                combine = self._combine(sums, eval_config)
                computations.append(tfma.metrics.MetricComputation([sums], None, combine))
                computations.append(tfma.metrics.DerivedMetricComputation([result], self._deriving(sums, result)))
        return computations

    def _deriving(self, sums, result):
        return lambda metrics: {result: self._METRICS[self.name](metrics[sums], self._confidence)}


class EventMetric(_Metric):
    """One of METRICS, by name."""

    _SUMS, _METRICS = "_event_sums", METRICS

    def _combine(self, sums, eval_config):
        return _SumEvents(sums, eval_config)


class PairedMetric(_Metric):
    """One of PAIRED_METRICS, by name; of a candidate only."""

    _SUMS, _METRICS, _IS_DIFF = "_paired_sums", PAIRED_METRICS, True

    def _combine(self, sums, eval_config):
        return _SumDifferences(sums, eval_config, get_baseline_model_spec(eval_config).name)


class ChampionMetric(_Metric):
    """One of CHAMPION_METRICS, by name; of a candidate only, beside a model of the name CHAMPION."""

    _SUMS, _METRICS = "_champion_sums", CHAMPION_METRICS

    def _combine(self, sums, eval_config):
        return _SumDifferences(sums, eval_config, CHAMPION)
