"""Paired comparison of two models on the same events: the standard error of a difference, not of two means."""

import dataclasses

import numpy as np
from scipy.special import stdtrit


@dataclasses.dataclass
class PairedSums:
    """Sums over events of how much one model loses more than another on the same event.

    Attributes:
      n: events; total: sum of differences, in nats; squares: sum of squared differences.
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, differences: np.ndarray) -> None:
        """Adds events: the first model's crossentropy minus the second's, float [n]."""
        differences = np.asarray(differences, np.float64)
        self.n += differences.size
        self.total += float(differences.sum())
        self.squares += float((differences**2).sum())

    def merge(self, other: "PairedSums") -> None:
        """Adds the events of another sum."""
        self.n += other.n
        self.total += other.total
        self.squares += other.squares

    @property
    def mean(self) -> float:
        """The difference of the two mean crossentropies, in nats."""
        return self.total / self.n if self.n else float("nan")

    @property
    def standard_error(self) -> float:
        """Of the mean, over draws of events; NaN below two events."""
        if self.n < 2:
            return float("nan")
        variance = (self.squares - self.total * self.mean) / (self.n - 1)
        return float(np.sqrt(np.maximum(variance, 0.0) / self.n))  # rounding may leave a variance below 0

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval of the mean difference at that confidence, by Student's t."""
        half = self.standard_error * quantile(confidence, self.n - 1)
        return self.mean - half, self.mean + half


def quantile(confidence: float, n_free: float) -> float:
    """How many standard errors a two-sided interval reaches to either side, by Student's t."""
    return float(stdtrit(n_free, (1 + confidence) / 2))
