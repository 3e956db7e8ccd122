import keras
import numpy as np
import pytest
import tensorflow as tf

from models.optimizers import Adam, AdamW

STARTS = (np.linspace(-1, 1, 12).reshape(3, 4), np.array([5.0, 1e-4]))


def minimized(optimizer: keras.optimizers.Optimizer, n_steps: int) -> list[np.ndarray]:
    """Two variables after some steps towards a place, with gradients of very different sizes."""
    variables = [keras.Variable(values, dtype="float32") for values in STARTS]
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((variables[0].value - 0.3) ** 2) + 100 * tf.reduce_sum(variables[1].value ** 4)
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)

    for _ in range(n_steps):
        step()
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize(
    ("ours", "of_keras", "settings"),
    [
        (Adam, keras.optimizers.Adam, {}),
        (Adam, keras.optimizers.Adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
        (AdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_steps_are_those_of_keras(ours, of_keras, settings):
    for n_steps in (1, 50):
        results = [
            minimized(kind(keras.optimizers.schedules.InverseTimeDecay(0.05, 10, 1.0), **settings), n_steps)
            for kind in (ours, of_keras)
        ]
        for mine, theirs in zip(*results, strict=True):
            # Where Keras has 1 - 0.999, the kernel has that of float32, which is 5e-5 more of itself.
            assert np.allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_first_step_goes_by_the_learning_rate_against_the_gradients_sign():
    [first, _] = minimized(Adam(0.05), 1)
    before = STARTS[0]
    assert np.allclose(first, before - 0.05 * np.sign(before - 0.3), atol=1e-6)
