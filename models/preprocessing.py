"""From raw events to what the network sees; the same graph in training, evaluation and serving."""

import tensorflow as tf
import tensorflow_transform as tft

from events.higgs.columns import FEATURES, LABEL
from events.higgs.physics import physics_columns

CLIP = 6.0  # standard deviations; beyond, a physics column says no more


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Normalises each feature to mean 0 and standard deviation 1 over the training split.

    Args:
      inputs: column name to a tensor [batch].

    Returns:
      `features`, float32 [batch, 28] in the order of FEATURES, and `label`, int64 [batch].
    """
    # One analysis of a vector instead of 28 of scalars: each is a stage of its own in Beam.
    stacked = tf.stack([inputs[name] for name in FEATURES], axis=1)
    return {"features": tft.scale_to_z_score(stacked, elementwise=True), LABEL: inputs[LABEL]}


def physics_preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Adds the physics columns to what `preprocessing_fn` gives.

    Their long tails are tamed by sign(x) log(1 + |x|) before they are normalised and clipped to CLIP.

    Args:
      inputs: column name to a tensor [batch].

    Returns:
      As `preprocessing_fn`, and `physics`, float32 [batch, n_physics] in the order of `physics_columns`.
    """
    stacked = tf.stack(list(physics_columns(inputs).values()), axis=1)
    tamed = tf.sign(stacked) * tf.math.log1p(tf.abs(stacked))
    normalized = tft.scale_to_z_score(tamed, elementwise=True)
    return preprocessing_fn(inputs) | {"physics": tf.clip_by_value(normalized, -CLIP, CLIP)}
