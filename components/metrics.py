"""Metrics for TFMA that accumulate whole batches of events with numpy.

TFMA's own take one event at a time through Python, and some fail on a NaN, where a gate has to say no. Their results
are named as TFMA's are and agree with them. An element may hold one event or a batch of events of one slice, as
`components.slicing` makes them.
"""

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from components.event_sums import EventSums


class _SumEvents(beam.CombineFn):
    """Combines TFMA's inputs into the EventSums of one model."""

    def __init__(self, key: tfma.metrics.MetricKey, eval_config: EvalConfig):
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> EventSums:
        return EventSums()

    def add_input(self, accumulator: EventSums, element: tfma.metrics.StandardMetricInputs) -> EventSums:
        for labels, probabilities, _ in tfma.metrics.to_label_prediction_example_weight(
            element, self._eval_config, self._key.model_name, self._key.output_name, flatten=False
        ):
            accumulator.add(np.ravel(labels), np.ravel(probabilities))
        return accumulator

    def merge_accumulators(self, accumulators) -> EventSums:
        total = EventSums()
        for accumulator in accumulators:
            total.merge(accumulator)
        return total

    def extract_output(self, accumulator: EventSums) -> dict:
        return {self._key: accumulator}


# Metric name, as TFMA's own are called, to a function of EventSums.
METRICS = {
    "binary_crossentropy": lambda sums: sums.mean(sums.bce),
    "auc": lambda sums: sums.auc,
    "binary_accuracy": lambda sums: sums.mean(sums.right),
    "calibration": lambda sums: sums.predicted / sums.signal if sums.signal else float("nan"),
    "mean_label": lambda sums: sums.signal / sums.n if sums.n else float("nan"),
    "mean_prediction": lambda sums: sums.mean(sums.predicted),
    "example_count": lambda sums: float(sums.n),
}


class EventMetric(tfma.metrics.Metric):
    """One of METRICS, by name; TFMA computes the sums once for all of them."""

    def __init__(self, name: str):
        super().__init__(self._create_computations, name=name)

    def _create_computations(
        self, eval_config=None, model_names=None, output_names=None, example_weighted=False, **_
    ) -> list:
        computations = []
        for model in model_names or [""]:
            for output in output_names or [""]:
                place = {"model_name": model, "output_name": output}
                sums = tfma.metrics.MetricKey("_event_sums", **place)
                result = tfma.metrics.MetricKey(self.name, example_weighted=example_weighted, **place)
                computations.append(tfma.metrics.MetricComputation([sums], None, _SumEvents(sums, eval_config)))
                computations.append(tfma.metrics.DerivedMetricComputation([result], self._deriving(sums, result)))
        return computations

    def _deriving(self, sums, result):
        return lambda metrics: {result: METRICS[self.name](metrics[sums])}
