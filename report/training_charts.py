"""Figures of training: learning curves, of any number of networks, and a sweep over one setting."""

import dataclasses
import math
from collections.abc import Sequence
from itertools import cycle

import numpy as np

from metrics.curves import SMOOTHING_EPOCHS, smooth
from report.figures import CYCLE, HEIGHT, LEGEND_ROW, MARKERS, Figure, draw, ink, legend, legend_columns, plain_ticks

GUESSING = math.log(2)  # nats, of the probability 1/2 for every event
TOP = 0.75  # nats; above it is nothing to see
BELOW = 0.05  # nats, shown below the best validation; networks that learn their rows by heart go on far below
FEWEST_SMOOTHED = 100  # epochs
FIRST_EPOCH = 5  # on the logarithmic axis, as in the tutorial: before it, smoothing is all there is
MARGIN = 0.01  # nats, around the curves
BCE = "Binary crossentropy (nats)"


def learning_curves(name: str, title: str, histories: dict[str, dict], best: dict[str, int], log: bool) -> Figure:
    """Binary crossentropy by epoch: solid on the training rows, dashed on the validation rows.

    Args:
      name: of the figure.
      title: whose curves, for the alternative text.
      histories: label to a history with `bce` and `val_bce` by epoch.
      best: label to the epoch (from 1) whose weights were kept, to be marked.
      log: whether epochs are on a logarithmic axis.
    """
    raw = {label: {key: np.asarray(history[key]) for key in ("bce", "val_bce")} for label, history in histories.items()}
    curves = {label: {key: smoothed(curve) for key, curve in pair.items()} for label, pair in raw.items()}
    is_smoothed = any(len(pair["bce"]) >= FEWEST_SMOOTHED for pair in raw.values())
    low, top = (
        extreme([extreme(curve) for pair in curves.values() for curve in pair.values()]) for extreme in (min, max)
    )
    bottom = min(min(pair["val_bce"]) for pair in curves.values()) - BELOW

    def paint(axes):
        for color, marker, (label, pair) in zip(cycle(CYCLE), cycle(MARKERS), curves.items(), strict=False):
            epochs, style = np.arange(1, len(pair["bce"]) + 1), {"color": ink(color), "marker": marker, "markersize": 6}
            kept = best[label] - 1
            if len(epochs) >= FEWEST_SMOOTHED:
                for curve in raw[label].values():
                    axes.plot(epochs, curve, color=ink(color), linewidth=0.7, alpha=0.3)
            axes.plot(epochs, pair["bce"], color=ink(color))
            axes.plot(epochs, pair["val_bce"], color=ink(color), linestyle=(0, (4, 2)))
            axes.plot(epochs[kept], raw[label]["val_bce"][kept], **style)
            axes.plot([], [], **style, label=label)
        axes.set(xlabel="Epoch" + (" (logarithmic)" if log else ""), ylabel=BCE)
        axes.set_ylim(max(low, bottom) - MARGIN, min(top, TOP) + MARGIN)
        if guess:
            axes.axhline(GUESSING, color=ink("grey"), linewidth=1, linestyle=":")
        if log:
            n_epochs = max(len(pair["bce"]) for pair in curves.values())
            axes.set_xscale("log")
            axes.set_xlim(min(FIRST_EPOCH, max(n_epochs // 2, 1)), 1.05 * n_epochs)
            plain_ticks(axes.xaxis)
        legend(axes, len(curves))

    lows = ", ".join(
        f"{label} {min(histories[label]['val_bce']):.4f} at epoch {int(np.argmin(histories[label]['val_bce'])) + 1}"
        for label in curves
    )
    guess = " Dotted: ln 2, random guessing." if min(top, TOP) + MARGIN > GUESSING else ""
    clipped = " Curves go on outside the figure." if top > TOP or low < bottom else ""
    smoothing = (
        f" Smoothed with a Gaussian of {SMOOTHING_EPOCHS:g} epochs where there are {FEWEST_SMOOTHED} or more; faint: "
        "without."
    )
    return draw(
        name,
        f"{title}: binary crossentropy by epoch{' on a logarithmic axis' if log else ''}. Lowest on val: {lows}.",
        f"Solid: train, with dropout in effect. Dashed: val.{smoothing * is_smoothed} Marked: the epochs whose weights "
        f"were kept.{guess}{clipped}",
        paint,
    )


def smoothed(curve: np.ndarray) -> np.ndarray:
    """A curve as it is drawn: smoothed if it is long enough that smoothing hides nothing."""
    return smooth(curve) if len(curve) >= FEWEST_SMOOTHED else curve


def both_axes(name: str, title: str, histories: dict[str, dict], best: dict[str, int]) -> list[Figure]:
    """Learning curves, and again by the logarithm of epochs where there are enough of them to show more by it."""
    n_epochs = max(len(history["bce"]) for history in histories.values())
    logs = (False, True) if n_epochs >= FEWEST_SMOOTHED else (False,)
    return [learning_curves(f"{name}{'-log' * log}", title, histories, best, log) for log in logs]


def sweep(name: str, field: str, points: dict[str, Sequence]) -> Figure:
    """Binary crossentropy on train and val against one setting.

    Numbers that span a factor of 10 are on a logarithmic axis, where 0 stands apart; values that are no numbers, such
    as widths by layer, stand side by side.

    Args:
      name: of the figure.
      field: the setting's name.
      points: `values` of the setting, numbers or texts, and for each the means `train` and `val` and the standard
        deviation `val_sd`, None where there is none.
    """
    axis = _SweepAxis.of(points["values"])
    order = np.argsort(axis.places)
    columns = (axis.places, points["train"], points["val"], points["val_sd"])
    places, train, val, sd = (np.asarray(column, float)[order] for column in columns)
    labels = [str(points["values"][index]) for index in order]
    best = int(np.argmin(val))

    def paint(axes):
        split = np.array([places < axis.gap, places > axis.gap]) if axis.gap else [np.full(len(places), True)]
        for part in split:
            axes.plot(places[part], train[part], "o-", color=ink("blue"), markersize=5)
            axes.plot(places[part], val[part], "s--", color=ink("orange"), markersize=5)
        axes.errorbar(places, val, np.nan_to_num(sd), fmt="none", ecolor=ink("orange"), capsize=3)
        axes.plot([], [], "o-", color=ink("blue"), label="train")
        axes.plot([], [], "s--", color=ink("orange"), label="val")
        axes.plot(places[best], val[best], "s", color="none", markeredgecolor=ink("ink"), markersize=11)
        axis.paint(axes, field, labels, places)
        legend(axes)

    bars = " Bars are one standard deviation." if np.isfinite(sd).any() else ""
    return draw(
        name,
        f"Sweep over {field}: the lowest val crossentropy, {val[best]:.4f} nats, is at {labels[best]}.",
        f"Means over trainings.{bars} Boxed: the lowest on val, {field} = {labels[best]}.",
        paint,
    )


def sweeps(name: str, field: str, points: dict[str, dict[str, Sequence]], scored: str) -> Figure:
    """Binary crossentropy on the scored rows against one setting, a curve for each architecture.

    Args:
      name: of the figure.
      field: the setting's name.
      points: architecture to `values` of the setting, the same for each, and the means `eval` and standard deviations
        `eval_sd` of the scored rows, None where there is none.
      scored: which rows these are.
    """
    values = next(iter(points.values()))["values"]
    axis = _SweepAxis.of(values)
    order = np.argsort(axis.places)
    places = np.asarray(axis.places)[order]
    labels = [str(values[index]) for index in order]

    def paint(axes):
        for color, marker, (label, curve) in zip(cycle(CYCLE), cycle(MARKERS), points.items(), strict=False):
            means, deviations = (np.asarray(curve[key], float)[order] for key in ("eval", "eval_sd"))
            style = {"color": ink(color), "marker": marker, "markersize": 5, "capsize": 3}
            axes.errorbar(places, means, np.nan_to_num(deviations), label=label, **style)
        axis.paint(axes, field, labels, places)
        legend(axes)

    last = ", ".join(f"{label} {np.asarray(curve['eval'])[order][-1]:.4f}" for label, curve in points.items())
    return draw(
        name,
        f"Sweep over {field}: binary crossentropy by architecture. At {labels[-1]}: {last}.",
        f"Binary crossentropy on {scored}, means over trainings; bars are one standard deviation over seeds.",
        paint,
        height=HEIGHT + LEGEND_ROW * max(0, len(points) // legend_columns(points) - 2),
    )


@dataclasses.dataclass(frozen=True)
class _SweepAxis:
    """Where the values of a sweep stand.

    Attributes:
      places: x of each value.
      log: whether the axis is logarithmic.
      gap: x of the line that sets 0 apart; 0 if there is none.
    """

    places: list[float]
    log: bool = False
    gap: float = 0.0

    @classmethod
    def of(cls, values: Sequence) -> "_SweepAxis":
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            return cls(list(range(len(values))))
        positive = [number for number in numbers if number > 0]
        if min(numbers) < 0 or not positive or max(positive) / min(positive) < 10:
            return cls(numbers)
        apart = min(positive) / 10
        return cls([number or apart for number in numbers], True, apart * 10**0.5 if 0 in numbers else 0.0)

    def paint(self, axes, field: str, labels: list[str], places: np.ndarray) -> None:
        """Names the axis and its values, in order of their places."""
        axes.set(xlabel=f"{field} (logarithmic)" if self.log else field, ylabel=BCE)
        if self.log:
            axes.set_xscale("log")
        if self.gap:
            axes.axvline(self.gap, color=ink("grey"), linewidth=1, linestyle=":")
        axes.set_xticks(places, labels)
        axes.minorticks_off()
