import keras
import numpy as np
import pytest

from models.architectures import ARCHITECTURES, Architecture, build, named
from models.errors import ModelError

# Weights and biases, counted by hand: (28 + 1) * 16 + 16 + 1 and so on.
N_PARAMETERS = {
    "tiny": 481,
    "small": 753,
    "medium": 10_241,
    "large": 803_329,
    "l2": 803_329,
    "dropout": 803_329,
    "combined": 803_329,
}


def test_tutorial_has_seven_architectures():
    assert set(ARCHITECTURES) == set(N_PARAMETERS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_network_has_the_parameters_counted_by_hand(name):
    assert build(named(name)).count_params() == N_PARAMETERS[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equal_seeds_give_equal_networks_and_others_do_not(name):
    def weights(seed):
        return np.concatenate([w.ravel() for w in build(named(name), seed).get_weights()])

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_survives_json(name):
    assert Architecture.from_dict(named(name).to_dict()) == named(name)


def test_penalty_is_l2_times_the_sum_of_squares_of_hidden_kernels():
    network = build(Architecture((2,), l1=0.5, l2=0.1))
    kernel = np.zeros((28, 2))
    kernel[0] = [1, -2]
    network.set_weights([kernel, np.full(2, 9.0), np.full((2, 1), 9.0), np.full(1, 9.0)])
    # 0.5 * (1 + 2) + 0.1 * (1 + 4)
    assert float(sum(network.losses)) == pytest.approx(2.0)


def test_lambda_0_is_no_penalty_at_all():
    assert build(Architecture((2,))).losses == []


def test_elu_network_gives_the_logit_computed_by_hand():
    network = build(Architecture((2,)))
    kernel = np.zeros((28, 2))
    kernel[0] = [1, -1]
    network.set_weights([kernel, np.zeros(2), np.array([[2.0], [3.0]]), np.array([0.5])])
    x = np.zeros((1, 28), np.float32)
    x[0, 0] = 1
    # ELU(1) = 1 and ELU(-1) = exp(-1) - 1.
    assert float(network(x)[0, 0]) == pytest.approx(2 + 3 * (np.exp(-1) - 1) + 0.5, abs=1e-6)


def test_dropout_acts_in_training_only_and_keeps_the_mean():
    network = build(Architecture((512,), dropout=0.5))
    x = np.ones((1, 28), np.float32)
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Dropout))
    ones = np.ones((100, 512), np.float32)
    dropped = np.asarray(layer(ones, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert np.array_equal(network(x, training=False), network(x, training=False))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_units": ()}, r"Received: hidden_units = \(\)"),
        ({"hidden_units": (16, 0)}, r"Received: hidden_units = \(16, 0\)"),
        ({"hidden_units": (16,), "l2": -1.0}, "l2 is at least 0. Received: -1.0"),
        ({"hidden_units": (16,), "l2": float("nan")}, "l2 is at least 0. Received: nan"),
        ({"hidden_units": (16,), "dropout": 1.0}, "dropout is a fraction below 1. Received: 1.0"),
    ],
)
def test_impossible_architecture_is_refused(fields, message):
    with pytest.raises(ModelError, match=message):
        Architecture(**fields)


def test_unknown_name_gets_the_nearest_one():
    with pytest.raises(ModelError, match=r"Received: 'combind'. Did you mean combined\?"):
        named("combind")
