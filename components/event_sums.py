"""What the metrics of a classifier are computed from, summed over batches of events in bounded memory."""

import dataclasses

import numpy as np

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


def describe(sums: EventSums) -> str:
    """The two figures that a person wants first."""
    return f"Binary crossentropy {sums.mean(sums.bce):.4f}, AUC {sums.auc:.4f}"
