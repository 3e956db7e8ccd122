"""Layers that Keras lacks, or has slower."""

import keras
import tensorflow as tf


class Dropout(keras.layers.Layer):
    """Sets a fraction of its inputs to 0 in training and scales the others, so that the mean stays.

    Like Keras's, but one 32-bit random number decides over four units, or over two where `rate` is no multiple of
    1/256; it is then rounded to a multiple of 1/65,536.
    """

    def __init__(self, rate: float, seed: int):
        """Makes the layer.

        Args:
          rate: the fraction, at least 0 and less than 1.
          seed: of the random numbers; equal seeds drop the same units.
        """
        super().__init__()
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._bits = tf.uint8 if (256 * rate).is_integer() else tf.uint16
        self._n_levels = self._bits.max + 1

    def call(self, inputs, training=False):
        if not training:
            return inputs
        n_dropped = min(round(self.rate * self._n_levels), self._n_levels - 1)
        kept = self._draw(tf.shape(inputs)) >= tf.constant(n_dropped, self._bits)
        return inputs * (tf.cast(kept, inputs.dtype) * (self._n_levels / (self._n_levels - n_dropped)))

    def _draw(self, shape):
        """Random numbers of all levels, each as likely as any other."""
        n_values, n_in_draw = tf.reduce_prod(shape), tf.uint32.size // self._bits.size
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        # One algorithm everywhere: XLA, processors and GPUs draw the same.
        n_draws = (n_values + n_in_draw - 1) // n_in_draw
        draws = tf.random.stateless_uniform([n_draws], seed, None, None, tf.uint32, "philox")
        return tf.reshape(tf.reshape(tf.bitcast(draws, self._bits), [-1])[:n_values], shape)

    def compute_output_shape(self, input_shape):
        """The shape of the inputs."""
        return input_shape


class ActivityPenalty(keras.layers.Layer):
    """Passes activities [batch, n_units] on, and adds a penalty of them to the loss, as a mean over events.

    Keras's own `activity_regularizer` is the sum over events up to 3.12 and their mean later on.
    """

    def __init__(self, penalty: keras.regularizers.Regularizer):
        super().__init__()
        self._penalty = penalty

    def call(self, activities):
        n_events = keras.ops.cast(keras.ops.shape(activities)[0], activities.dtype)
        self.add_loss(self._penalty(activities) / n_events)
        return activities


class MeanProbability(keras.layers.Layer):
    """The logit of the mean of some logits' probabilities; in training the logits themselves, side by side.

    From a list of m float32 [batch, 1] to [batch, 1], or [batch, m] in training, where each member learns by its own
    crossentropy: a crossentropy of the mean would let them rely on each other.
    """

    def call(self, logits, training=False):
        logits = keras.ops.concatenate(logits, axis=1)
        if training:
            return logits
        # log(mean(p) / mean(1 - p)), from logarithms, so that neither mean can be rounded to 0.
        signal, background = (keras.ops.log_sigmoid(sign * logits) for sign in (1.0, -1.0))
        return keras.ops.logsumexp(signal, axis=1, keepdims=True) - keras.ops.logsumexp(
            background, axis=1, keepdims=True
        )

    def compute_output_shape(self, input_shape):
        """The shape outside of training."""
        return input_shape[0]
