"""Training as TensorFlow's tutorial "Overfit and underfit" does it: Keras's `fit` over a tf.data pipeline.

Source: https://www.tensorflow.org/tutorials/keras/overfit_and_underfit
"""

import keras
import tensorflow as tf

from models.layers import Dropout
from models.rules import Rules

BUFFER = 10_000  # rows that are shuffled at a time


def with_its_layers(network: keras.Model) -> keras.Model:
    """A network of the same weights whose dropout is Keras's."""

    def copied(layer):
        if isinstance(layer, Dropout):
            return keras.layers.Dropout(layer.rate)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    return copy


def fit(network: keras.Model, rules: Rules, train, val, callbacks=()) -> dict[str, list[float]]:
    """Trains a network, stopping early by the tutorial's rule with the patience of `rules`.

    Args:
      network: from float32 [batch, 28] to logits; changed in place.
      rules: how; the seed is not used, for the tutorial has none.
      train: features, float32 [n_rows, 28], normalised, and labels, float32 [n_rows, 1].
      val: the same.
      callbacks: Keras callbacks to call as well.

    Returns:
      Metric to its values by epoch.
    """
    steps = len(train[0]) // rules.batch_size
    rate = keras.optimizers.schedules.InverseTimeDecay(
        rules.learning_rate, decay_steps=steps * rules.decay_epochs, decay_rate=1.0, staircase=False
    )
    network.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryCrossentropy(from_logits=True, name="binary_crossentropy"), "accuracy"],
    )
    stopping = keras.callbacks.EarlyStopping(monitor="val_binary_crossentropy", patience=rules.patience)
    training = tf.data.Dataset.from_tensor_slices(tuple(train)).cache().shuffle(BUFFER).repeat()
    history = network.fit(
        training.batch(rules.batch_size),
        steps_per_epoch=steps,
        epochs=rules.epochs,
        validation_data=tf.data.Dataset.from_tensor_slices(tuple(val)).cache().batch(rules.batch_size),
        callbacks=[stopping, *callbacks],
        verbose=0,
    )
    return history.history
