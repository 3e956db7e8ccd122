"""Adam by TensorFlow's own kernel: one operation per variable, where Keras's takes a dozen and as many passes.

For small networks operations are most of a step's time, for large ones the passes over memory are a tenth of it.
"""

import keras
import tensorflow as tf

from models.architectures import Architecture
from models.rules import Rules


def optimizer_for(architecture: Architecture, rules: Rules, n_rows: int) -> keras.optimizers.Optimizer:
    """Adam, or AdamW for an architecture with weight decay, at a rate that falls by inverse time.

    Args:
      architecture: what is trained.
      rules: how.
      n_rows: of training, by which steps make epochs.
    """
    steps_per_epoch = -(-n_rows // rules.batch_size)
    rate = keras.optimizers.schedules.InverseTimeDecay(
        rules.learning_rate, decay_steps=steps_per_epoch * rules.decay_epochs, decay_rate=1.0
    )
    if architecture.weight_decay:
        return AdamW(rate, weight_decay=architecture.weight_decay)
    return Adam(rate)


class _InOneOperation:
    """The update of Kingma and Ba (2015), section 2, in its last form: with epsilon beside the uncorrected root."""

    def update_step(self, gradient, variable, learning_rate):
        """See Keras's; called for each variable."""
        index = self._get_variable_index(variable)
        n_steps = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**n_steps,
            beta2_power=self.beta_2**n_steps,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Adam(_InOneOperation, keras.optimizers.Adam):
    """See `keras.optimizers.Adam`."""


class AdamW(_InOneOperation, keras.optimizers.AdamW):
    """See `keras.optimizers.AdamW`."""
