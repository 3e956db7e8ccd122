"""Training on simulated events before the real ones: more data than there is.

Every event is seen once: fresh events cost less than the steps that they train, and none can be learned by heart, so
that nothing is dropped or penalised. They are made while the network trains, in bounded memory, from a seed of their
own, so that the same network comes out of the same settings.
"""

import dataclasses
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from events.higgs.columns import FEATURES
from events.higgs.simulate import GENERATOR_VERSION, generate
from models.architectures import Architecture
from models.loop import Loop
from models.networks import build
from models.optimizers import Adam
from models.replicas import Replicas

SEED = 77  # no other rows come from this one
BATCH_ROWS = 500
CHUNK_ROWS = 100_000  # in memory at a time
LEARNING_RATE = 1e-3  # falls to 0 along a cosine
FINE_TUNING = 0.03  # of the learning rate that real rows have where nothing came before them


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """The result of pretraining.

    Attributes:
      weights: of the network, as Keras lists them.
      record: `n_rows`, `generator` and `seed` of the events, and `seconds`.
    """

    weights: list[np.ndarray]
    record: dict


def without_regularizers(architecture: Architecture) -> Architecture:
    """What is trained on simulated events: regularizers are for real rows."""
    return dataclasses.replace(architecture, l1=0.0, l2=0.0, dropout=0.0, weight_decay=0.0, augment=False)


def pretrain(
    architecture: Architecture,
    seed: int,
    n_inputs: int,
    normalize: Callable[[dict[str, tf.Tensor]], tf.Tensor],
    replicas: Replicas,
) -> Pretrained:
    """Trains a network on `architecture.pretrain` simulated events; called within the scope of the replicas' strategy.

    Args:
      architecture: of the network, see `without_regularizers`.
      seed: of the initial weights and the order within a chunk.
      n_inputs: how many values an event has, see `Architecture.inputs`.
      normalize: from 28 named float32 [n] to float32 [n, n_inputs].
      replicas: who trains together.
    """
    started = time.monotonic()
    n_rows = architecture.pretrain
    network = build(without_regularizers(architecture), seed, n_inputs)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, decay_steps=-(-n_rows // BATCH_ROWS))
    loop = Loop(network, Adam(rate), BATCH_ROWS, seed, replicas=replicas)

    @tf.function(autograph=False, reduce_retracing=True)
    def to_inputs(features):
        return normalize(dict(zip(FEATURES, tf.unstack(features, num=len(FEATURES), axis=1), strict=True)))

    bar = tqdm(
        total=n_rows, desc="simulated", unit="event", unit_scale=True, file=sys.stdout, dynamic_ncols=True,
        mininterval=0.5 if sys.stdout.isatty() else 10.0, disable=not replicas.is_chief,
    )  # fmt: skip
    with bar:
        for index, rows in enumerate(generate(n_rows, SEED, CHUNK_ROWS)):
            own = rows[replicas.worker :: replicas.n_workers]
            with replicas.host_device():
                features, labels = to_inputs(tf.constant(own[:, 1:])), tf.constant(own[:, :1])
            means = loop.train(features, labels, index)
            bar.set_postfix(bce=f"{means['bce']:.4f}", refresh=False)
            bar.update(len(rows))
    seconds = round(time.monotonic() - started, 3)
    record = {"n_rows": n_rows, "generator": GENERATOR_VERSION, "seed": SEED, "seconds": seconds}
    return Pretrained(network.get_weights(), record)
