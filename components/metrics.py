"""Metrics for TFMA that accumulate whole batches of events with numpy.

TFMA's own take one event at a time through Python, and some fail on a NaN, where a gate has to say no. Their results
are named as TFMA's are and agree with them. An element may hold one event or a batch of events of one slice, as
`components.slicing` makes them.
"""

import dataclasses

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

EPSILON = 1e-7  # Keras clips probabilities to [EPSILON, 1 - EPSILON] before it takes their logarithm
N_BINS = 10_000  # of the histograms behind the area under the curve, as in TFMA


@dataclasses.dataclass
class EventSums:
    """What all metrics are computed from: sums over events.

    Attributes:
      n: events; signal: those of label 1; predicted: sum of probabilities; bce: sum of crossentropies in nats;
      right: events on the right side of 1/2.
      histograms: int64 [2, N_BINS], events by label and probability.
    """

    n: int = 0
    signal: float = 0.0
    predicted: float = 0.0
    bce: float = 0.0
    right: int = 0
    histograms: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, N_BINS), np.int64))

    def add(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds events.

        Args:
          labels: 0 or 1, [n].
          probabilities: of the signal, [n]; one NaN makes every metric NaN but the count.
        """
        probabilities = probabilities.astype(np.float64)
        clipped = np.clip(probabilities, EPSILON, 1 - EPSILON)
        self.n += len(labels)
        self.signal += float(labels.sum())
        self.predicted += float(probabilities.sum())
        self.bce -= float(np.where(labels == 1, np.log(clipped), np.log1p(-clipped)).sum())
        self.right += int(((probabilities > 0.5) == (labels == 1)).sum())
        bins = np.minimum(np.nan_to_num(probabilities) * N_BINS, N_BINS - 1).astype(np.int64)
        flat = np.bincount(bins + N_BINS * (labels == 1), minlength=2 * N_BINS)
        self.histograms += flat.reshape(2, N_BINS)

    def merge(self, other: "EventSums") -> None:
        """Adds the events of another sum."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def mean(self, total: float) -> float:
        """A sum by event; NaN where a prediction was, or where there is no event."""
        return total / self.n if self.n and not np.isnan(self.predicted) else float("nan")

    @property
    def auc(self) -> float:
        """Area under the ROC curve: the chance that a signal event ranks above a background event, ties by half."""
        background, signal = self.histograms
        n_pairs = background.sum() * signal.sum()
        if not n_pairs or np.isnan(self.predicted):
            return float("nan")
        below = np.cumsum(background) - background
        return float((signal * (below + background / 2)).sum() / n_pairs)


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
