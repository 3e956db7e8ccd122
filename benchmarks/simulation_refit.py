"""Whether the generator owes its figures to the rows that its constants were compared with.

    python -m benchmarks.simulation_refit higgs-10k.csv.gz      # 20 minutes of two cores

The constants of radiation and detector are fitted to rows 5,001 to 10,000, and again to rows 1 to 5,000. A network is
trained on simulated events of each, and of the generator as it is, and scored on rows 1 to 5,000: what the second fit
gains over the first is what a look at the scored rows is worth.

A fit goes through the constants in turn, changes one by a share of it either way, and keeps what lowers the distance;
the share is halved after each round. The distance is the mean of a chi-squared per degree of freedom: of all columns,
those of physics included, for signal and background, in bins that hold equal shares of the real rows.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from benchmarks.physics_columns import Inputs, probabilities
from benchmarks.simulation_fidelity import grade_tags, read_rows
from events.higgs import collisions, detector, radiation
from events.higgs.columns import FEATURES
from events.higgs.physics import physics_columns
from events.higgs.simulate import generate
from metrics.paired import PairedSums
from metrics.sums import crossentropies

N_BINS = 20
FIT_SEED = 5  # of the events that a fit compares
SHARES = (0.2, 0.1, 0.05)

CONSTANTS = {
    collisions: ("SIGNAL_JETS", "BACKGROUND_JETS", "SOFT_RECOIL"),
    radiation: ("RADIATED_SPREAD", "BRANCHING", "MIN_VIRTUALITY", "MAX_VIRTUALITY", "MIN_GLUON_SHARE"),
    detector: (
        "MAX_RADIUS", "TAG_TURN_ON", "LOOSE_TAG", "ORDER_RESOLUTION", "LEPTON_RESOLUTION", "STOCHASTIC", "CONSTANT",
        "NOISE", "JET_SCALE", "SOFT_RESOLUTION", "SEMILEPTONIC", "MAX_B_NEUTRINO",
    ),
}  # fmt: skip
LARGEST = {"MAX_VIRTUALITY": 0.49, "LOOSE_TAG": 1.0, "SEMILEPTONIC": 1.0, "MAX_B_NEUTRINO": 1.0}

Values = dict[str, float]  # name to value, of a tuple NAME.0 and NAME.1


def shipped() -> Values:
    """The constants as they are."""
    values = {}
    for module, names in CONSTANTS.items():
        for name in names:
            value = getattr(module, name)
            parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
            values |= {name if index is None else f"{name}.{index}": part for index, part in parts}
    return values


@contextlib.contextmanager
def generator_with(values: Values) -> Iterator[None]:
    """Has the generator use other constants for a while."""
    before = {(module, name): getattr(module, name) for module, names in CONSTANTS.items() for name in names}
    for (module, name), value in before.items():
        is_pair = isinstance(value, tuple)
        setattr(module, name, (values[f"{name}.0"], values[f"{name}.1"]) if is_pair else values[name])
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


@dataclasses.dataclass(frozen=True)
class Reference:
    """Real rows that simulated ones are compared with.

    Attributes:
      edges: of the bins of each column, by class.
      shares: of the real rows in each bin, likewise.
      n_rows: real rows, by class.
    """

    edges: dict[int, list[np.ndarray]]
    shares: dict[int, list[np.ndarray]]
    n_rows: dict[int, int]

    @classmethod
    def of(cls, rows: np.ndarray) -> "Reference":
        """Bins real rows [n, 29]."""
        edges, shares, n_rows = {}, {}, {}
        for label, columns in by_class(rows).items():
            quantiles = np.quantile(columns, np.linspace(0, 1, N_BINS + 1)[1:-1], axis=1).T
            edges[label] = [np.unique(column) for column in quantiles]
            shares[label] = [histogram(*pair) for pair in zip(columns, edges[label], strict=True)]
            n_rows[label] = columns.shape[1]
        return cls(edges, shares, n_rows)

    def distance(self, rows: np.ndarray) -> float:
        """How far simulated rows [n, 29] are from the real ones; 1 if they were from the same distribution."""
        distances = []
        for label, columns in by_class(rows).items():
            for column, edges, share in zip(columns, self.edges[label], self.shares[label], strict=True):
                expected = np.maximum(histogram(column, edges), 0.5 / columns.shape[1])
                spread = expected * (1 / self.n_rows[label] + 1 / columns.shape[1])
                if len(edges):
                    distances.append(((share - expected) ** 2 / spread).sum() / len(edges))
        return float(np.mean(distances))


def histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares of values in the bins between, below and above the edges."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) / len(values)


def by_class(rows: np.ndarray) -> dict[int, np.ndarray]:
    """Label to all columns, float32 [n_columns, n]."""
    columns = dict(zip(FEATURES, tf.unstack(tf.constant(rows[:, 1:]), axis=1), strict=True))
    columns = np.stack([*grade_tags(rows).T[1:], *(value.numpy() for value in physics_columns(columns).values())])
    return {label: columns[:, rows[:, 0] == label] for label in (0, 1)}


def fit(real: np.ndarray, n_events: int, title: str) -> Values:
    """The constants whose events are nearest to the real rows [n, 29]."""
    reference, values = Reference.of(real), shipped()

    def distance_with(some: Values) -> float:
        with generator_with(some):
            [rows] = generate(n_events, FIT_SEED, n_events)
        return reference.distance(rows)

    best = distance_with(values)
    print(f"{title}: {best:.3f} as it is")
    for share in SHARES:
        for name in tqdm(values, desc=f"{title}, by {share:.0%}", leave=False):
            for factor in (1 + share, 1 / (1 + share)):
                tried = values | {name: min(values[name] * factor, LARGEST.get(name, np.inf))}
                if (distance := distance_with(tried)) < best:
                    values, best = tried, distance
                    break
        print(f"{title}: {best:.3f} after changes by {share:.0%}")
    return values


@click.command(help=__doc__)
@click.argument("real", type=click.Path(exists=True, path_type=Path))
@click.option("--events", default=65_536, show_default=True, help="Simulated ones that a fit compares.")
@click.option("--pretrain", "n_simulated", default=2_000_000, show_default=True, help="Simulated ones to train on.")
@click.option("--seed", default=0, show_default=True, help="Of the networks.")
def main(real, events, n_simulated, seed):
    first, second = np.split(read_rows(real, 10_000), 2)
    fits = {
        "as it is": shipped(),
        "fitted to rows 5,001 to 10,000": fit(second, events, "rows 5,001 to 10,000"),
        "fitted to rows 1 to 5,000": fit(first, events, "rows 1 to 5,000"),
    }
    print("\n| constant | " + " | ".join(fits) + " |\n" + "|---" * (len(fits) + 1) + "|")
    for name in shipped():
        print(f"| {name} | " + " | ".join(f"{values[name]:.3g}" for values in fits.values()) + " |")
    reference, losses = Reference.of(first), {}
    print(f"\n{n_simulated:,} simulated events, seed {seed}; all figures on real rows 1 to 5,000.\n")
    print(
        "| generator | distance | BCE | AUC | difference to the first, with its standard error |\n|---|---|---|---|---|"
    )
    for title, values in fits.items():
        with generator_with(values):
            [rows] = generate(200_000, FIT_SEED + 1, 200_000)
            inputs = Inputs()
            scored = probabilities(inputs, list(inputs.sizes), n_simulated, seed, first)
        losses[title] = crossentropies(first[:, 0], scored)
        sums = PairedSums()
        sums.add(losses[title] - losses["as it is"])
        print(
            f"| {title} | {reference.distance(rows):.2f} | {losses[title].mean():.4f} "
            f"| {roc_auc_score(first[:, 0], scored):.4f} | {sums.mean:+.4f} ± {sums.standard_error:.4f} |"
        )


if __name__ == "__main__":
    main()
