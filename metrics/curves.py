"""The numbers behind the figures, from labels and probabilities alone."""

import dataclasses
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

SMOOTHING_EPOCHS = 10.0
REFERENCE_EFFICIENCY = 0.5  # of the signal, at which background rejection is quoted
FEWEST_BINS, MOST_BINS, BIN_ROWS = 3, 10, 100  # of a reliability diagram
N_SHUFFLES = 5


def smooth(values: Sequence[float] | np.ndarray, scale: float = SMOOTHING_EPOCHS) -> np.ndarray:
    """Smooths a curve with a Gaussian, as the plotter of "Overfit and underfit" does.

    At the ends the Gaussian is cut off and what is left of it weighs more, so that nothing is made up beyond the data.
    (The tutorial sets 10 epochs as well; its plotter's kernel, exp(-(x/5)**2), is narrower, whatever is set.)

    Args:
      values: one per epoch.
      scale: the Gaussian's standard deviation, in epochs.
    """
    from scipy.ndimage import gaussian_filter1d

    values = np.asarray(values, np.float64)
    weights = gaussian_filter1d(np.ones_like(values), scale, mode="constant")
    return gaussian_filter1d(values, scale, mode="constant") / weights


@dataclasses.dataclass(frozen=True)
class Roc:
    """What a cut on the probability lets through, from the tightest cut to none.

    Attributes:
      signal, background: efficiencies, float [n_cuts], rising from 0 to 1.
      n_background: background rows in all.
    """

    signal: np.ndarray
    background: np.ndarray
    n_background: int

    @classmethod
    def of(cls, labels: np.ndarray, probabilities: np.ndarray) -> "Roc":
        """The curve of labels of 0 or 1 and probabilities of the signal, both [n]."""
        from sklearn.metrics import roc_curve

        background, signal, _ = roc_curve(labels, probabilities, drop_intermediate=False)
        return cls(signal, background, int(np.sum(labels == 0)))

    @property
    def auc(self) -> float:
        """The area under the curve."""
        from sklearn.metrics import auc

        return float(auc(self.background, self.signal))

    def rejection(self, signal_efficiency: float | np.ndarray) -> np.ndarray:
        """Background rows for each one that passes the tightest cut which keeps so much signal; infinite if none does.

        Baldi et al. 2014 quote it for a signal efficiency of 50 %.
        """
        passing = self.background[np.searchsorted(self.signal, signal_efficiency)]
        with np.errstate(divide="ignore"):
            return 1 / passing

    def rejection_error(self, signal_efficiency: float) -> float:
        """One standard error of that, over draws of background rows; NaN where too few of them pass to tell."""
        passing = float(self.background[np.searchsorted(self.signal, signal_efficiency)])
        if passing * self.n_background < 2:
            return float("nan")
        return float(np.sqrt((1 - passing) / (passing * self.n_background)) / passing)


@dataclasses.dataclass(frozen=True)
class Significance:
    """How sure an experiment would be to see the signal, cut by cut; those that let too few rows pass are left out.

    Attributes:
      efficiency: of the signal, float [n_cuts], rising.
      sigmas: median significance of the discovery, in standard deviations of a Gaussian, float [n_cuts].
    """

    efficiency: np.ndarray
    sigmas: np.ndarray

    @classmethod
    def of(cls, curve: Roc, n_signal: float, n_background: float, uncertainty: float, fewest: int) -> "Significance":
        """The significance at each cut of a curve.

        Args:
          curve: of the network.
          n_signal, n_background: events expected before the cut.
          uncertainty: of the expected background, as a fraction of it.
          fewest: background rows that must pass a cut, or all if there are fewer; few say too little.
        """
        shown = curve.background * curve.n_background >= min(fewest, curve.n_background)
        signal, background = curve.signal[shown], curve.background[shown]
        return cls(signal, asimov(n_signal * signal, n_background * background, uncertainty))

    @property
    def best(self) -> tuple[float, float]:
        """Signal efficiency of the cut with the highest significance, and that significance."""
        place = int(np.argmax(self.sigmas))
        return float(self.efficiency[place]), float(self.sigmas[place])


def asimov(signal: np.ndarray, background: np.ndarray, uncertainty: float) -> np.ndarray:
    """The median significance of a discovery by counting events, from the Asimov data set.

    Source: Cowan, Cranmer, Gross, Vitells, European Physical Journal C 71 (2011) 1554; with an uncertain background,
    Li and Ma, Astrophysical Journal 272 (1983) 317, as written by Cowan (2012).

    >>> asimov(signal=np.array([10, 100]), background=np.array([100, 10_000]), uncertainty=0.0).round(3)
    array([0.984, 0.998])

    Args:
      signal, background: expected events, float [n], background above 0.
      uncertainty: one standard deviation of the background, as a fraction of it; 0 for a background that is known.

    Returns:
      Standard deviations of a Gaussian, float64 [n].
    """
    s, b = np.asarray(signal, np.float64), np.asarray(background, np.float64)
    if not uncertainty:
        return np.sqrt(2 * ((s + b) * np.log1p(s / b) - s))
    variance = (uncertainty * b) ** 2
    above = (s + b) * np.log((s + b) * (b + variance) / (b**2 + (s + b) * variance))
    below = b**2 / variance * np.log1p(variance * s / (b * (b + variance)))
    return np.sqrt(np.maximum(2 * (above - below), 0.0))  # rounding may leave less than 0 where there is no signal


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How often rows of about the same predicted probability are signal; bins hold equally many rows.

    Attributes:
      predicted, observed: mean probability and share of signal, float [n_bins].
      error: one standard error of `observed`.
    """

    predicted: np.ndarray
    observed: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, probabilities: np.ndarray) -> "Calibration":
        """The reliability of probabilities of the signal [n], given labels of 0 or 1 [n]."""
        from sklearn.calibration import calibration_curve

        n_bins = min(MOST_BINS, max(FEWEST_BINS, len(labels) // BIN_ROWS))
        observed, predicted = calibration_curve(labels, probabilities, n_bins=n_bins, strategy="quantile")
        error = np.sqrt(observed * (1 - observed) * len(observed) / len(labels))
        return cls(predicted, observed, error)


def importance(score: Callable[[np.ndarray], np.ndarray], features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Permutation importance (Breiman, Machine Learning 45 (2001) 5): by how much the loss rises without a feature.

    Args:
      score: from features to probabilities of the signal, float [n].
      features: float32 [n, n_features].
      labels: 0 or 1, [n].

    Returns:
      float [n_features, N_SHUFFLES], the rise of the mean binary crossentropy, in nats, when that column is shuffled.
    """
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import log_loss

    return permutation_importance(
        SimpleNamespace(fit=score),  # scikit-learn wants a model that can be fitted, and does not fit it
        features,
        labels,
        scoring=lambda model, rows, labels: -log_loss(labels, score(rows), labels=[0, 1]),
        n_repeats=N_SHUFFLES,
        random_state=0,
    ).importances
