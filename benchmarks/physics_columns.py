"""What each group of physics columns is worth to a network that is trained on simulated events alone.

    python -m benchmarks.physics_columns HIGGS.csv.gz --pretrain 400000      # ten trainings, ten minutes

One network takes all columns, one the 28 alone, and one goes without each group of
`events.higgs.physics.physics_groups`. All are scored on the same real rows, none of which any of them has seen, each
against the network with all columns.
"""

from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from benchmarks.simulation_fidelity import read_rows
from events.higgs.columns import FEATURES
from events.higgs.physics import physics_groups
from events.higgs.simulate import generate
from metrics.paired import PairedSums
from metrics.sums import crossentropies
from models.architectures import named
from models.networks import build
from models.preprocessing import CLIP
from models.pretraining import pretrain, without_regularizers
from models.replicas import Replicas

COLUMNS, ALL = "the 28 columns", "all"
ANALYSED_ROWS = 100_000  # simulated events that means and standard deviations are taken of
ANALYSED_SEED = 1


class Inputs:
    """Normalised inputs of some groups of columns, as Transform would make them of simulated rows."""

    def __init__(self):
        """Analyses simulated events."""
        [rows] = generate(ANALYSED_ROWS, ANALYSED_SEED, ANALYSED_ROWS)
        groups = self._tamed(dict(zip(FEATURES, tf.unstack(tf.constant(rows[:, 1:]), axis=1), strict=True)))
        self.sizes = {name: values.shape[1] for name, values in groups.items()}
        self._moments = {name: tf.nn.moments(values, 0) for name, values in groups.items()}

    def take(self, names: list[str], features: dict[str, tf.Tensor]) -> tf.Tensor:
        """float32 [n, n_inputs] from 28 named float32 [n]."""
        groups = self._tamed(features)
        parts = []
        for name in names:
            mean, variance = self._moments[name]
            scaled = (groups[name] - mean) / tf.sqrt(variance)
            parts.append(scaled if name == COLUMNS else tf.clip_by_value(scaled, -CLIP, CLIP))
        return tf.concat(parts, 1)

    @staticmethod
    def _tamed(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Group to its values, float32 [n, n_columns], before normalisation."""
        stacked = {name: tf.stack(list(group.values()), axis=1) for name, group in physics_groups(features).items()}
        tamed = {name: tf.sign(values) * tf.math.log1p(tf.abs(values)) for name, values in stacked.items()}
        return {COLUMNS: tf.stack([features[name] for name in FEATURES], axis=1), **tamed}


def probabilities(inputs: Inputs, names: list[str], n_rows: int, seed: int, real: np.ndarray) -> np.ndarray:
    """Of the signal, float64 [n], for the real rows [n, 29], by a network that takes the named groups."""
    architecture = named(f"pretrained,pretrain={n_rows}")
    n_inputs = sum(inputs.sizes[name] for name in names)
    pretrained = pretrain(architecture, seed, n_inputs, lambda features: inputs.take(names, features), Replicas())
    network = build(without_regularizers(architecture), seed, n_inputs)
    network.set_weights(pretrained.weights)
    features = inputs.take(names, dict(zip(FEATURES, tf.unstack(tf.constant(real[:, 1:]), axis=1), strict=True)))
    result = tf.sigmoid(network(features, training=False)).numpy()[:, 0].astype(float)
    keras.backend.clear_session()
    return result


@click.command(help=__doc__)
@click.argument("real", type=click.Path(exists=True, path_type=Path))
@click.option("--rows", default=10_000, show_default=True, help="Of the file, to score.")
@click.option("--pretrain", "n_simulated", default=400_000, show_default=True, help="Simulated events to train on.")
@click.option("--seed", default=0, show_default=True, help="Of the networks.")
def main(real, rows, n_simulated, seed):
    real, inputs = read_rows(real, rows), Inputs()
    every = list(inputs.sizes)
    variants = {ALL: every, COLUMNS: [COLUMNS]}
    variants |= {f"without {name}": [other for other in every if other != name] for name in every[1:]}
    scored = {variant: probabilities(inputs, names, n_simulated, seed, real) for variant, names in variants.items()}
    labels, losses = real[:, 0], {variant: crossentropies(real[:, 0], p) for variant, p in scored.items()}
    print(f"\n{n_simulated:,} simulated events, seed {seed}; scored on {len(real):,} real rows.\n")
    print("| inputs | columns | BCE | AUC | difference to all, with its standard error |\n|---|---|---|---|---|")
    for variant, names in variants.items():
        sums = PairedSums()
        sums.add(losses[variant] - losses[ALL])
        difference = "" if variant == ALL else f"{sums.mean:+.4f} ± {sums.standard_error:.4f}"
        print(
            f"| {variant} | {sum(inputs.sizes[name] for name in names)} | {losses[variant].mean():.4f} "
            f"| {roc_auc_score(labels, scored[variant]):.4f} | {difference} |"
        )


if __name__ == "__main__":
    main()
