"""The gate's operating curve: how often it blesses a candidate that is truly better or worse by so much.

    python -m benchmarks.gate_curve --gates 1000

A gate here is not a run but what decides one: labels and the scores of three simulated models on as many events as an
eval split has, our metrics of them, and TFMA's validator with the thresholds of `pipeline.gate` and
`components.champion`. The models see an event's true log-odds through noise, as much as gives the binary crossentropy
wanted, which is therefore known, not measured. Part of the noise is common to all models of an event, so that paired
differences spread as much as those of real networks do. Writes a table, JSON and a figure.
"""

import dataclasses
import json
from pathlib import Path

import click
import numpy as np
import scipy.optimize
import scipy.stats
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tensorflow_model_analysis.utils import update_eval_config_with_defaults

from benchmarks.processes import ROOT
from components.champion import with_champion
from components.event_metrics import BCE, CHAMPION, CHAMPION_METRICS, NO_SKILL, PAIRED_METRICS
from metrics.paired import PairedSums
from metrics.sums import EventSums, crossentropies
from pipeline.gate import eval_config

ROWS = (1_000, 10_000, 100_000)
DIFFERENCES = (-0.04, -0.03, -0.02, -0.015, -0.01, -0.005, -0.002, 0.0, 0.002, 0.005, 0.01, 0.02)  # nats, true
RIVAL_BCE = 0.61  # of what the candidate is held against: tiny's on the 10,000 real rows
WEAK_BCE = 0.67  # of the baseline where the champion is what matters
SPREAD = 1.9  # standard deviation of the true log-odds; the best that can be had is then 0.474
COMMON = 1.35  # of the noise: differences then spread by 0.35 nats; those of `combined` to `tiny` on real rows by 0.32
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
SETTINGS = {
    "any improvement": "against the baseline, gate.confidence=0",
    "sure": "against the baseline, gate.confidence=0.95",
    "champion": "against the champion, gate.max_regression=0",
}
FOLDER = ROOT / "docs"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that scores an event with `slope` times its true log-odds seen through noise.

    Attributes:
      noise: standard deviation of what the model mistakes the log-odds by, at least COMMON.
      slope: what makes the scores those of a calibrated model.
    """

    noise: float
    slope: float

    @classmethod
    def of(cls, bce: float) -> "Model":
        """The model whose binary crossentropy over all events there could be is this many nats."""
        noise = scipy.optimize.brentq(lambda value: _best(value)[0] - bce, COMMON, 50.0, xtol=1e-9)
        return cls(noise, _best(noise)[1])

    def score(self, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Probabilities of the signal, of events whose log-odds are seen through the common noise already."""
        own = np.sqrt(self.noise**2 - COMMON**2)
        return _sigmoid(self.slope * (seen + own * rng.standard_normal(len(seen))))


def _best(noise: float) -> tuple[float, float]:
    """The least crossentropy with that noise, and the slope that gives it, by Gauss-Hermite quadrature."""
    truth = SPREAD * NODES[:, None]
    seen, shares = truth + noise * NODES, WEIGHTS[:, None] * WEIGHTS / WEIGHTS.sum() ** 2

    def bce(slope: float) -> float:
        return float((shares * (np.logaddexp(0, slope * seen) - _sigmoid(truth) * slope * seen)).sum())

    found = scipy.optimize.minimize_scalar(bce, bounds=(0.0, 2.0), method="bounded", options={"xatol": 1e-10})
    return found.fun, found.x


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


class Gate:
    """The gate's decision on scores, with some settings."""

    def __init__(self, confidence: float = 0.0, champion: bool = False):
        config = update_eval_config_with_defaults(eval_config(0.0, confidence), has_baseline=True)
        self._config = _decisive(with_champion(config, 0.0) if champion else config)
        self._confidence = confidence or 0.95
        self._rivals = {"baseline": PAIRED_METRICS} | ({CHAMPION: CHAMPION_METRICS} if champion else {})

    def blesses(self, labels: np.ndarray, scores: dict[str, np.ndarray]) -> bool:
        """Whether TFMA's validator passes the candidate; `scores` are probabilities by model."""
        losses = {name: crossentropies(labels, values) for name, values in scores.items()}
        metrics = {}

        def add(name: str, value: float, is_diff: bool) -> None:
            metrics[tfma.metrics.MetricKey(name, model_name="candidate", is_diff=is_diff)] = value

        sums = EventSums()
        sums.add(labels, scores["candidate"])
        add(NO_SKILL, sums.over_no_skill.interval(self._confidence)[1], False)
        for rival, functions in self._rivals.items():
            paired = PairedSums()
            paired.add(losses["candidate"] - losses[rival])
            for name, function in functions.items():
                add(name, function(paired, self._confidence), rival == "baseline")
        add(BCE, losses["candidate"].mean() - losses["baseline"].mean(), True)
        return validate_metrics(((), metrics), self._config).validation_ok


def _decisive(config: EvalConfig) -> EvalConfig:
    """The configuration without the metrics that have no threshold, which take the validator most of its time."""
    for spec in config.metrics_specs:
        kept = [metric for metric in spec.metrics if metric.per_slice_thresholds]
        del spec.metrics[:]
        spec.metrics.extend(kept)
    return config


def simulate(n_rows: int, n_gates: int, seed: int) -> list[dict]:
    """The share of gates that bless, for each setting and true difference."""
    rng = np.random.default_rng([seed, n_rows])
    gates = {"any improvement": Gate(), "sure": Gate(0.95), "champion": Gate(champion=True)}
    rival, weak = Model.of(RIVAL_BCE), Model.of(WEAK_BCE)
    candidates = {difference: Model.of(RIVAL_BCE + difference) for difference in DIFFERENCES}
    blessed = {(setting, difference): 0 for setting in gates for difference in DIFFERENCES}
    for _ in range(n_gates):
        log_odds = SPREAD * rng.standard_normal(n_rows)
        labels = (rng.random(n_rows) < _sigmoid(log_odds)).astype(np.int64)
        seen = log_odds + COMMON * rng.standard_normal(n_rows)
        theirs, served, weaks = (model.score(seen, rng) for model in (rival, rival, weak))
        for difference, candidate in candidates.items():
            scores = {"candidate": candidate.score(seen, rng), "baseline": theirs}
            for setting, gate in gates.items():
                held = scores | {CHAMPION: served, "baseline": weaks} if setting == "champion" else scores
                blessed[setting, difference] += gate.blesses(labels, held)
    return [
        {"setting": setting, "rows": n_rows, "difference": difference, "gates": n_gates, "blessed": count}
        for (setting, difference), count in blessed.items()
    ]


def interval(point: dict) -> tuple[float, float]:
    """The 95 % interval of a share of gates, by Clopper and Pearson (Biometrika 26 (1934) 404)."""
    found = scipy.stats.binomtest(point["blessed"], point["gates"]).proportion_ci(0.95)
    return found.low, found.high


def table(points: list[dict]) -> str:
    """Shares of blessings in percent with their intervals, as Markdown."""
    lines = ["| setting | rows of eval |" + "".join(f" {difference:+g} |" for difference in DIFFERENCES)]
    lines.append("|" + "---|" * (2 + len(DIFFERENCES)))
    for setting in SETTINGS:
        for n_rows in sorted({point["rows"] for point in points}):
            found = {p["difference"]: p for p in points if (p["setting"], p["rows"]) == (setting, n_rows)}
            cells = [_cell(found[difference]) for difference in DIFFERENCES]
            lines.append(f"| {SETTINGS[setting]} | {n_rows:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(point: dict) -> str:
    low, high = interval(point)
    return f"{point['blessed'] / point['gates']:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def plot(points: list[dict], path: Path) -> None:
    """Writes the share of blessings against the true difference, a panel for each setting, as .png."""
    from report.figures import MARKERS, draw, ink

    sizes = sorted({point["rows"] for point in points})

    def paint(panels) -> None:
        for axes, (setting, title) in zip(panels, SETTINGS.items(), strict=True):
            axes.axvspan(0, DIFFERENCES[-1], color=ink("grey"), alpha=0.15, linewidth=0)
            for n_rows, colour, marker in zip(sizes, ("orange", "blue", "purple"), MARKERS, strict=False):
                ours = [point for point in points if (point["setting"], point["rows"]) == (setting, n_rows)]
                shares = np.array([point["blessed"] / point["gates"] for point in ours])
                bounds = np.array([interval(point) for point in ours]).T
                errors = np.abs(bounds - shares)
                style = {"color": ink(colour), "marker": marker, "markersize": 4, "capsize": 2}
                axes.errorbar([p["difference"] for p in ours], shares, errors, label=f"{n_rows:,} rows", **style)
            axes.set(ylabel="Share of blessings", ylim=(-0.03, 1.03))
            axes.set_title(title, loc="right", pad=4)
        panels[-1].set_xlabel("True difference (nats); in grey a blessing is false")
        panels[0].legend(loc="upper right")

    figure = draw(path.stem, "Share of gates that bless, against the true difference.", "", paint, 7.5, len(SETTINGS))
    path.with_suffix(".png").write_bytes(figure.png)


@click.command()
@click.option("--gates", default=1000, show_default=True, help="For each size, difference and setting.")
@click.option("--rows", "sizes", multiple=True, type=int, default=ROWS, show_default=True, help="Sizes of eval.")
@click.option("--seed", default=0, show_default=True, help="Of the events.")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=FOLDER, help="Where the figure goes. [docs]")
def main(gates: int, sizes: tuple[int, ...], seed: int, folder: Path):
    """Simulates gates and writes gate.json and gate.png."""
    points = [point for n_rows in sizes for point in simulate(n_rows, gates, seed)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gate.json").write_text(json.dumps(points, indent=0) + "\n")
    plot(points, folder / "gate.png")
    print(table(points))


if __name__ == "__main__":
    main()
