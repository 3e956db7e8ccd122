"""Figures of what networks say of the eval rows: separation, calibration, importance of features, differences."""

import numpy as np

from events.higgs.columns import HIGH_LEVEL
from metrics.curves import REFERENCE_EFFICIENCY, Calibration, Roc, Significance
from pipeline.config import ReportConfig
from report.figures import Figure, draw, ink, legend, plain_ticks
from report.texts import interval, number

COLORS = {"candidate": "blue", "baseline": "orange"}
LINES = {"candidate": "-", "baseline": (0, (5, 1.5))}
N_POINTS = 201  # of a drawn curve
FEWEST_PASSING = 10  # background rows; below, rejection is mostly noise
N_BINS = 40
FEWEST_ROWS = 100  # of a slice whose interval the axis makes room for


def roc(curves: dict[str, Roc], labels: dict[str, str]) -> Figure:
    """Signal efficiency against background efficiency."""

    def paint(axes):
        axes.plot([0, 1], [0, 1], color=ink("grey"), linewidth=1, linestyle=":")
        for model, curve in curves.items():
            rows = np.linspace(0, len(curve.signal) - 1, min(len(curve.signal), 5 * N_POINTS)).astype(int)
            style = {"color": ink(COLORS[model]), "linestyle": LINES[model]}
            axes.plot(curve.background[rows], curve.signal[rows], label=labels[model], **style)
        axes.set(xlabel="Background efficiency", ylabel="Signal efficiency", xlim=(0, 1), ylim=(0, 1))
        legend(axes)

    areas = ", ".join(f"{labels[model]} {curve.auc:.4f}" for model, curve in curves.items())
    caption = f"Area under the curve: {areas}. Dotted: random guessing."
    return draw("roc", f"ROC curves. Areas: {areas}.", caption, paint)


def rejection(curves: dict[str, Roc], labels: dict[str, str]) -> Figure:
    """Background rejection against signal efficiency."""

    def paint(axes):
        efficiency = np.linspace(0.01, 1, N_POINTS)
        axes.set(xlabel="Signal efficiency", ylabel="1 / background efficiency", yscale="log", xlim=(0, 1))
        for model, curve in curves.items():
            value = curve.rejection(efficiency)
            shown = value <= curve.n_background / FEWEST_PASSING
            style = {"color": ink(COLORS[model]), "linestyle": LINES[model]}
            axes.plot(efficiency[shown], value[shown], label=labels[model], **style)
            axes.plot(REFERENCE_EFFICIENCY, curve.rejection(REFERENCE_EFFICIENCY), "o", color=ink(COLORS[model]))
        axes.axvline(REFERENCE_EFFICIENCY, color=ink("grey"), linewidth=1, linestyle=":")
        plain_ticks(axes.yaxis)
        legend(axes)

    half = ", ".join(f"{labels[model]} {show_rejection(curve)}" for model, curve in curves.items())
    return draw(
        "rejection",
        f"Background rejection by signal efficiency. At {REFERENCE_EFFICIENCY:.0%}: {half}.",
        f"At {REFERENCE_EFFICIENCY:.0%} signal efficiency: {half}. Drawn where at least {FEWEST_PASSING} background "
        "rows pass.",
        paint,
    )


def show_rejection(curve: Roc) -> str:
    """Rejection at the reference efficiency with its standard error, as far as there is one."""
    value, error = curve.rejection(REFERENCE_EFFICIENCY), curve.rejection_error(REFERENCE_EFFICIENCY)
    if np.isinf(value):
        return f"above {curve.n_background:,}, as no background row passes"
    return f"{value:.2f}" if np.isnan(error) else f"{value:.2f} ± {error:.2f}"


def significance(curves: dict[str, Roc], labels: dict[str, str], supposed: ReportConfig) -> Figure:
    """Significance of a discovery against signal efficiency, with the best cut of each network."""
    n_signal, n_background = supposed.signal_events, supposed.background_events
    uncertainty = supposed.background_uncertainty
    found = {
        model: Significance.of(curve, n_signal, n_background, uncertainty, FEWEST_PASSING)
        for model, curve in curves.items()
    }

    def paint(axes):
        for model, value in found.items():
            rows = np.linspace(0, len(value.sigmas) - 1, min(len(value.sigmas), 5 * N_POINTS)).astype(int)
            style = {"color": ink(COLORS[model]), "linestyle": LINES[model]}
            axes.plot(value.efficiency[rows], value.sigmas[rows], label=labels[model], **style)
            axes.plot(*value.best, "o", color=ink(COLORS[model]))
        axes.set(xlabel="Signal efficiency", ylabel="Significance (standard deviations)", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        legend(axes)

    best = ", ".join(
        f"{labels[model]} {value.best[1]:.2f} at {value.best[0]:.0%} signal efficiency"
        for model, value in found.items()
    )
    return draw(
        "significance",
        f"Significance of a discovery by signal efficiency. Highest: {best}.",
        f"For {n_signal:g} signal and {n_background:g} background events before the cut, the latter known to "
        f"{uncertainty:.0%}: highest {best}. Median by the Asimov data set, without the error of the "
        f"efficiencies; the cut is chosen on the rows shown. Drawn where at least {FEWEST_PASSING} background rows "
        "pass.",
        paint,
    )


def calibration(bins: dict[str, Calibration], labels: dict[str, str]) -> Figure:
    """A reliability diagram."""

    def paint(axes):
        axes.plot([0, 1], [0, 1], color=ink("grey"), linewidth=1, linestyle=":")
        for model, marker in zip(bins, "os", strict=False):
            values, style = bins[model], {"color": ink(COLORS[model]), "linestyle": LINES[model], "linewidth": 1.2}
            style |= {"marker": marker, "markersize": 4.5, "capsize": 2, "label": labels[model]}
            axes.errorbar(values.predicted, values.observed, values.error, **style)
        axes.set(xlabel="Predicted probability of signal", ylabel="Share of signal", xlim=(0, 1), ylim=(0, 1))
        legend(axes)

    off = ", ".join(
        f"{labels[model]} {np.mean(np.abs(values.observed - values.predicted)):.3f}" for model, values in bins.items()
    )
    return draw(
        "calibration",
        f"Reliability diagram. Mean distance from the diagonal: {off}.",
        f"Bins of equally many rows, with one standard error. Mean distance from the diagonal: {off}.",
        paint,
    )


def scores(labels: np.ndarray, probabilities: dict[str, np.ndarray], names: dict[str, str]) -> Figure:
    """Distributions of the predicted probability, by class and model."""

    def paint(panels):
        edges = np.linspace(0, 1, N_BINS + 1)
        for axes, (model, values) in zip(panels, probabilities.items(), strict=True):
            filled, outlined = {"alpha": 0.45}, {"histtype": "step", "linewidth": 1.5}
            axes.hist(values[labels == 1], edges, density=True, color=ink("purple"), label="signal", **filled)
            axes.hist(values[labels == 0], edges, density=True, color=ink("ink"), label="background", **outlined)
            axes.set(ylabel="Density", xlim=(0, 1))
            axes.set_title(names[model], loc="right", pad=4)
        panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        panels[-1].set_xlabel("Predicted probability of signal")

    means = "; ".join(
        f"{names[model]}: signal {values[labels == 1].mean():.3f}, background {values[labels == 0].mean():.3f}"
        for model, values in probabilities.items()
    )
    caption = f"Each distribution has area 1. Mean probability: {means}."
    return draw("scores", f"Distributions of predicted probability. Means: {means}.", caption, paint, 4.4, len(names))


def importances(features: tuple[str, ...], increases: np.ndarray, n_rows: int) -> Figure:
    """Permutation importance, float [n_features, n_shuffles], the most important feature on top."""
    mean, spread = increases.mean(1), increases.std(1, ddof=1)
    order = np.argsort(mean)

    def paint(axes):
        for group, color, marker, label in (
            (False, "green", "o", "low-level: as detected"),
            (True, "purple", "D", "high-level: masses"),
        ):
            places = [place for place, column in enumerate(order) if (features[column] in HIGH_LEVEL) == group]
            columns = order[places]
            style = {"fmt": marker, "color": ink(color), "markersize": 5, "elinewidth": 1.6, "label": label}
            axes.errorbar(mean[columns], places, xerr=spread[columns], **style)
        axes.axvline(0, color=ink("grey"), linewidth=1)
        axes.set_yticks(range(len(order)), [features[column] for column in order])
        axes.set(xlabel="Rise of binary crossentropy (nats)", ylim=(-0.7, len(order) - 0.3))
        axes.grid(axis="x", visible=False)
        axes.legend(loc="lower right")

    first = ", ".join(f"{features[column]} {mean[column]:.4f}" for column in order[:-4:-1])
    return draw(
        "importance",
        f"Permutation importance of {len(features)} features. Most important: {first} nats.",
        f"How much the candidate's crossentropy rises on {n_rows:,} eval rows when one column is shuffled: mean and "
        f"standard deviation of {increases.shape[1]} shuffles. Features that say the same share their importance.",
        paint,
        height=7.0,
    )


def differences(name: str, entries: list[dict], baseline: str, text: str) -> Figure:
    """A forest plot: each entry's difference to the baseline with its intervals, grey where it is within the noise.

    Args:
      name: of the figure.
      entries: `name`, `difference` (nats, below 0 is better) and `intervals`, each (low, high), the widest last; the
        best entry first. Within the noise are those whose `verdict` says so or, without one, whose widest interval
        holds 0. With `n_rows`, those of fewer than FEWEST_ROWS do not set the axis.
      baseline: the name of what is compared with.
      text: what the intervals are.
    """

    def paint(axes):
        for place, entry in enumerate(reversed(entries)):
            low, high = entry["intervals"][-1]
            is_noise = entry["verdict"] == "noise" if "verdict" in entry else low <= 0 <= high
            color = "grey" if is_noise else "blue" if entry["difference"] < 0 else "orange"
            for bounds, width in zip(entry["intervals"], (3.2, 1.2)[-len(entry["intervals"]) :], strict=True):
                axes.plot(bounds, [place, place], color=ink(color), linewidth=width, solid_capstyle="butt")
            axes.plot(entry["difference"], place, "D" if color == "grey" else "o", color=ink(color), markersize=6.5)
        axes.axvline(0, color=ink("ink"), linewidth=1)
        if clipped:
            ends = [0.0, *(bound for entry in sound for bounds in entry["intervals"] for bound in bounds)]
            margin = 0.05 * (max(ends) - min(ends))
            axes.set_xlim(min(ends) - margin, max(ends) + margin)
        axes.set_yticks(range(len(entries)), [entry["name"].replace(",", "\n") for entry in reversed(entries)])
        axes.set(xlabel=f"Difference to {baseline} (nats); left is better", ylim=(-0.7, len(entries) - 0.3))
        axes.grid(axis="y", visible=False)

    sound = [entry for entry in entries if entry.get("n_rows", FEWEST_ROWS) >= FEWEST_ROWS]
    clipped = bool(sound) and len(sound) < len(entries)
    if clipped:
        text = f"{text} Those of slices of fewer than {FEWEST_ROWS} rows may go on outside the figure."
    listed = "; ".join(
        f"{entry['name']} {number(entry['difference'], sign=True)}, {interval(entry['intervals'][-1])}"
        for entry in entries
    )
    return draw(
        name,
        f"Difference of crossentropy to {baseline}, with intervals: {listed}.",
        f"Binary crossentropy less that of {baseline}. {text} Blue: better. Grey diamonds: within the noise. Orange: "
        "worse.",
        paint,
        height=1.3 + 0.36 * len(entries),
    )
