"""Sums over events that metrics are computed from, whole batches at a time."""

import dataclasses

import numpy as np

from metrics.paired import PairedSums

EPSILON = 1e-7  # Keras clips probabilities to [EPSILON, 1 - EPSILON] before it takes their logarithm
N_BINS = 10_000  # of the histograms behind the area under the curve, as in TFMA


def crossentropies(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each event's binary crossentropy in nats, float64 [n], from labels 0 or 1 and signal probabilities, [n].

    >>> crossentropies(np.array([1, 0]), np.array([0.5, 0.2])).round(4)
    array([0.6931, 0.2231])
    """
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    return -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))


@dataclasses.dataclass
class EventSums:
    """What the metrics of one model are computed from: sums over events.

    Attributes:
      by_label: float64 [2, 3]: for each label the events, the sum of crossentropies in nats, and of their squares.
      predicted: sum of probabilities.
      right: events on the right side of 1/2.
      histograms: int64 [2, N_BINS], events by label and probability.
    """

    by_label: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 3)))
    predicted: float = 0.0
    right: int = 0
    histograms: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, N_BINS), np.int64))

    def add(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds events.

        Args:
          labels: 0 or 1, [n].
          probabilities: of the signal, [n]; one NaN makes every metric NaN but the count.
        """
        probabilities = probabilities.astype(np.float64)
        losses = crossentropies(labels, probabilities)
        for label in (0, 1):
            ours = losses[labels == label]
            self.by_label[label] += len(ours), ours.sum(), (ours**2).sum()
        self.predicted += float(probabilities.sum())
        self.right += int(((probabilities > 0.5) == (labels == 1)).sum())
        bins = np.minimum(np.nan_to_num(probabilities) * N_BINS, N_BINS - 1).astype(np.int64)
        flat = np.bincount(bins + N_BINS * (labels == 1), minlength=2 * N_BINS)
        self.histograms += flat.reshape(2, N_BINS)

    def merge(self, other: "EventSums") -> None:
        """Adds the events of another sum."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def n(self) -> int:
        """Events."""
        return int(self.by_label[:, 0].sum())

    @property
    def signal(self) -> int:
        """Events of label 1."""
        return int(self.by_label[1, 0])

    @property
    def bce(self) -> float:
        """Sum of crossentropies, in nats."""
        return float(self.by_label[:, 1].sum())

    @property
    def over_no_skill(self) -> PairedSums:
        """The model's crossentropies minus those of the best constant, which is these events' own share of signal."""
        counts, sums, squares = self.by_label.T
        constants = -np.log(np.clip(counts / max(self.n, 1), EPSILON, 1))
        total = (sums - counts * constants).sum()
        squared = (squares - 2 * constants * sums + counts * constants**2).sum()
        return PairedSums(self.n, float(total), float(squared))

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
