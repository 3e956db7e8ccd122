"""From raw events to what the network sees; the same graph in training, evaluation and serving."""

import tensorflow as tf
import tensorflow_transform as tft

from models.features import FEATURES, LABEL


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
