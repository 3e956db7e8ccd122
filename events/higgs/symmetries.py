"""New events from old: what the detector's symmetries make of them, and the collision's.

The beams and the detector look the same turned around the beam axis and with the two beams exchanged. So an event whose
azimuthal angles are all turned by one angle, or whose pseudorapidities all change sign, is as likely as before, and of
the same class; masses, momenta and b-tags stay. Networks are not told so by the 28 columns.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from events.higgs.columns import FEATURES, HALF_TURN

AZIMUTHS = np.array([name.endswith("_phi") for name in FEATURES])
PSEUDORAPIDITIES = np.array([name.endswith("_eta") for name in FEATURES])


def rotate(events: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Turns events around the beam axis.

    Args:
      events: raw features, float32 [n, 28].
      angles: float32 [n], in units of the azimuth columns, where a half turn is HALF_TURN.

    Returns:
      float32 [n, 28], azimuths within [-HALF_TURN, HALF_TURN).
    """
    turned = tf.math.floormod(events + angles[:, None] + HALF_TURN, 2 * HALF_TURN) - HALF_TURN
    return tf.where(AZIMUTHS, turned, events)


def reflect(events: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    """Exchanges the two beams, for the events that bool [n] `flipped` names: their pseudorapidities change sign."""
    return tf.where(PSEUDORAPIDITIES & flipped[:, None], -events, events)


class Augmentation:
    """Draws, step by step, other events for those of the training split, and normalises them.

    Rows are taken raw: how they are normalised is the transform graph's affair, and comes after.
    """

    def __init__(self, raw: tf.Tensor, normalize: Callable[[dict[str, tf.Tensor]], tf.Tensor]):
        """Keeps what to draw from.

        Args:
          raw: raw features of the training split, float32 [n_rows, 28].
          normalize: from 28 named float32 [n] to what a network takes, float32 [n, 28].
        """
        self._raw = raw
        self._normalize = normalize

    def __call__(self, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Normalised features, float32 [n, 28], of events drawn for int [n] `rows`; int [2] `seed` decides how."""
        events = tf.gather(self._raw, rows)
        uniform = tf.random.stateless_uniform([2, tf.size(rows)], seed)
        events = reflect(rotate(events, (2 * uniform[0] - 1) * HALF_TURN), uniform[1] < 0.5)
        return self._normalize(dict(zip(FEATURES, tf.unstack(events, axis=1), strict=True)))
