"""What repeated trainings say about the difference of two architectures, and how sure one can be of it.

Two sources of noise are kept apart. The events that were scored: both architectures were scored on the same ones, so
the error of the difference is that of the paired differences, far smaller than that of two means. And the seeds:
another initialisation and order of rows gives another network.
"""

import dataclasses
import math

import numpy as np
from scipy.special import stdtr

from metrics.paired import PairedSums, quantile

CONFIDENCE = 0.95
CORRECTION = "Holm"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An architecture against the baseline.

    Attributes:
      difference: mean crossentropy minus the baseline's, over events and repeats, in nats.
      interval: of the difference, for the trained networks: paired over events.
      interval_with_seeds: of the difference, for networks trained with other seeds, too.
      p_value: how often a difference this large comes about where there is none; its complement is the confidence at
        which `interval_with_seeds` ends at 0.
    """

    difference: float
    interval: tuple[float, float]
    interval_with_seeds: tuple[float, float]
    p_value: float


def compare(losses: np.ndarray, baseline: np.ndarray, confidence: float = CONFIDENCE) -> Comparison:
    """Compares two architectures on the same events.

    The variance of the difference is that of the paired differences over events, each a mean over repeats, plus that of
    each architecture's means over repeats; its degrees of freedom are Welch's and Satterthwaite's (Biometrics Bulletin
    2 (1946) 110). One repeat tells nothing of seeds: both intervals are then the same.

    Args:
      losses: crossentropies of the architecture, float64 [n_repeats, n_events].
      baseline: the same of the baseline; repeats may differ in number.
      confidence: of the two-sided intervals.
    """
    paired = PairedSums()
    paired.add(losses.mean(axis=0) - baseline.mean(axis=0))
    parts = [(paired.standard_error**2, paired.n - 1)]
    for repeats in (losses, baseline):
        n_repeats = len(repeats)
        if n_repeats > 1:
            parts.append((repeats.mean(axis=1).var(ddof=1) / n_repeats, n_repeats - 1))
    error, n_free = _combined(parts)
    half = error * quantile(confidence, n_free)
    p_value = 2 * float(stdtr(n_free, -abs(paired.mean) / error)) if error else float(paired.mean == 0)
    return Comparison(paired.mean, paired.interval(confidence), (paired.mean - half, paired.mean + half), p_value)


def _combined(parts: list[tuple[float, int]]) -> tuple[float, float]:
    """Standard error of a sum whose parts have these variances and degrees of freedom, and its degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return 0.0, parts[0][1]
    return math.sqrt(variance), variance**2 / sum(part**2 / free for part, free in parts)


def adjusted(p_values) -> np.ndarray:
    """Corrects p-values for being several, by Holm's method (Scandinavian Journal of Statistics 6 (1979) 65).

    Whoever calls those below a level significant is wrong about any of them no more often than the level says, however
    the comparisons depend on each other.

    >>> adjusted([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])

    Args:
      p_values: float [n], in any order.

    Returns:
      float64 [n], in the same order, at most 1.
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    result = np.empty_like(stepped)
    result[order] = np.minimum(stepped, 1.0)
    return result


def mean_and_sd(values) -> dict[str, float | None]:
    """Mean and standard deviation over repeats; the latter is None for a single one."""
    values = np.asarray(values, np.float64)
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1)) if len(values) > 1 else None}
