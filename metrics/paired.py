"""Paired comparison of two models on the same events: the standard error of a difference, not of two means."""

import dataclasses
import math
from statistics import NormalDist

import numpy as np

MANY = 1000  # degrees of freedom from which the series below gives Student's t to 1e-12


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
        """The standard error of the mean, over draws of events; NaN below two events."""
        if self.n < 2:
            return float("nan")
        variance = (self.squares - self.total * self.mean) / (self.n - 1)
        return float(np.sqrt(np.maximum(variance, 0.0) / self.n))  # rounding may leave a variance below 0

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval of the mean difference at that confidence, by Student's t."""
        half = self.standard_error * quantile(confidence, self.n - 1)
        return self.mean - half, self.mean + half


def quantile(confidence: float, n_free: float) -> float:
    """How many standard errors a two-sided interval reaches to either side, by Student's t.

    >>> round(quantile(0.95, 10), 3), round(quantile(0.95, 1_000_000), 3)
    (2.228, 1.96)

    Source of the series: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5.
    """
    if confidence >= 1:
        return math.inf
    if n_free < MANY:
        from scipy.special import stdtrit  # by far the slowest import of a command that only reads records

        return float(stdtrit(n_free, (1 + confidence) / 2))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n_free ** (power + 1) for power, term in enumerate(terms))
