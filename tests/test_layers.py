import numpy as np
import pytest
import tensorflow as tf

from models.layers import Dropout


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.3, 0.5, 0.999])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate):
    dropped = np.asarray(Dropout(rate, seed=3)(tf.ones([1000, 777]), training=True))
    n_values = dropped.size
    error = np.sqrt(rate * (1 - rate) / n_values)
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=4 * error + 1 / 65_536)
    assert dropped.max() == pytest.approx(1 / (1 - rate), rel=0.02)
    assert np.mean(dropped) == pytest.approx(1, abs=4 * error / (1 - rate) + 1e-6)


def test_every_step_every_row_and_every_unit_is_drawn_by_itself():
    layer, ones = Dropout(0.5, seed=0), tf.ones([512, 512])
    first, second = (np.asarray(layer(ones, training=True)) / 2 for _ in range(2))
    # 262,144 pairs of fair coins agree in one half, to a standard deviation of 0.001.
    assert np.mean(first == second) == pytest.approx(0.5, abs=0.005)
    assert np.mean(first[1:] == first[:-1]) == pytest.approx(0.5, abs=0.005)
    assert np.mean(first[:, 1:] == first[:, :-1]) == pytest.approx(0.5, abs=0.005)


def test_equal_seeds_drop_the_same_units_compiled_or_not():
    def dropped(seed, **settings):
        layer = Dropout(0.3, seed)
        return tf.function(lambda: layer(tf.ones([5, 7]), training=True), **settings)().numpy()

    assert np.array_equal(dropped(1), dropped(1))
    assert np.array_equal(dropped(1), dropped(1, jit_compile=True))
    assert not np.array_equal(dropped(1), dropped(2))


def test_gradient_passes_where_units_were_kept():
    layer, inputs = Dropout(0.5, seed=0), tf.Variable(tf.ones([4, 8]))
    with tf.GradientTape() as tape:
        dropped = layer(inputs, training=True)
    assert np.array_equal(tape.gradient(dropped, inputs), dropped)
