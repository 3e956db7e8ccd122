"""From an architecture to a Keras model."""

import itertools
from collections.abc import Iterator

import keras
import tensorflow as tf

from events.higgs.columns import FEATURES
from models.architectures import Architecture
from models.layers import ActivityPenalty, Dropout, MeanProbability


def build(architecture: Architecture, seed: int = 0, n_inputs: int = len(FEATURES)) -> keras.Model:
    """Builds the network.

    Args:
      architecture: what to build.
      seed: of the initial weights and of dropout; equal seeds give equal networks.
      n_inputs: how many values an event has, see `Architecture.inputs`.

    Returns:
      An uncompiled model from float32 [batch, n_inputs], normalised features, to float32 [batch, 1], the logit of the
      signal's probability. In training it gives one column for each of the architecture's members instead.
    """
    seeds = itertools.count(1000 * seed)
    inputs = keras.Input([n_inputs], name="features")
    members = [_member(architecture, inputs, seeds) for _ in range(architecture.members)]
    return keras.Model(inputs, members[0] if len(members) == 1 else MeanProbability(name="logit")(members))


def _member(architecture: Architecture, outputs, seeds: Iterator[int]):
    """One multilayer perceptron's logit, [batch, 1]."""
    layers = zip(*(architecture.per_layer(name) for name in ("l1", "l2", "dropout")), strict=True)
    for n_units, (l1, l2, dropout) in zip(architecture.hidden_units, layers, strict=True):
        # The crossentropy is a mean over members, and so is the penalty.
        penalty = keras.regularizers.L1L2(l1 / architecture.members, l2 / architecture.members) if l1 or l2 else None
        of_activity = architecture.penalized == "activity"
        outputs = _dense(
            n_units,
            next(seeds),
            use_bias=not architecture.batch_norm,
            kernel_regularizer=None if of_activity else penalty,
        )(outputs)
        if architecture.batch_norm:
            # With several replicas, batch statistics are those of the whole step.
            n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
            outputs = keras.layers.BatchNormalization(synchronized=n_replicas > 1)(outputs)
        outputs = keras.layers.Activation(architecture.activation)(outputs)
        if of_activity and penalty:
            outputs = ActivityPenalty(penalty)(outputs)
        if dropout:
            outputs = Dropout(dropout, next(seeds))(outputs)
    return _dense(1, next(seeds))(outputs)


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """The states of the random numbers that its layers draw in training."""
    return [layer.seed_generator.state for layer in model.layers if hasattr(layer, "seed_generator")]


def _dense(n_units: int, seed: int, **settings) -> keras.layers.Dense:
    return keras.layers.Dense(n_units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed), **settings)
