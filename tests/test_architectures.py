import dataclasses

import keras
import numpy as np
import pytest

from events.errors import ModelError
from models.architecture_words import regularizers
from models.architectures import ARCHITECTURES, Architecture, named
from models.layers import Dropout, MeanProbability
from models.networks import build

# Weights and biases, counted by hand: (28 + 1) * 16 + 16 + 1 and so on.
N_PARAMETERS = {
    "tiny": 481,
    "small": 753,
    "medium": 10_241,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_network_has_the_parameters_counted_by_hand(name):
    # All that have 4 x 512 units; batch normalization has 4 numbers for each unit in place of its bias.
    by_batch_norm = 803_329 + 3 * 4 * 512 if named(name).batch_norm else 803_329
    assert build(named(name)).count_params() == N_PARAMETERS.get(name, by_batch_norm)


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
    assert (
        build(Architecture((2, 2), l1=0.1, l2=(0.0, 0.0), dropout=(0.0, 0.0))).layers[-2].name.startswith("activation")
    )


def test_penalty_by_layer_weighs_each_kernel_with_its_own_lambda():
    network = build(Architecture((1, 1), l2=(0.1, 10.0)))
    kernel = np.zeros((28, 1))
    kernel[0] = 2
    network.set_weights([kernel, np.zeros(1), np.full((1, 1), 3.0), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    assert [float(loss) for loss in network.losses] == pytest.approx([0.1 * 2**2, 10 * 3**2])


def test_penalty_of_activity_is_a_mean_over_events_whatever_the_batch():
    network = build(Architecture((2,), activation="linear", l1=0.5, l2=0.1, penalized="activity"))
    kernel = np.zeros((28, 2))
    kernel[0] = [1, -2]
    network.set_weights([kernel, np.zeros(2), np.ones((2, 1)), np.zeros(1)])
    x = np.zeros((3, 28), np.float32)
    x[:, 0] = [1, 2, 0]
    network(x)
    # Outputs (1, -2), (2, -4) and (0, 0): absolute values 3 + 6 + 0, squares 5 + 20 + 0.
    assert float(sum(network.losses)) == pytest.approx((0.5 * 9 + 0.1 * 25) / 3)
    network(np.concatenate([x, x]))
    assert float(sum(network.losses)) == pytest.approx((0.5 * 9 + 0.1 * 25) / 3)


def test_members_learn_each_by_its_own_loss_and_their_mean_probability_is_served():
    architecture = Architecture((2,), l2=0.3, members=3)
    network, alone = build(architecture), build(dataclasses.replace(architecture, members=1))
    x = np.random.default_rng(0).standard_normal((5, 28)).astype(np.float32)
    logits = np.asarray(network(x, training=True))
    assert logits.shape == (5, 3)
    assert np.array_equal(logits[:, :1], np.asarray(alone(x)))
    probability = (1 / (1 + np.exp(-logits.astype(float)))).mean(axis=1)
    assert np.asarray(network(x))[:, 0] == pytest.approx(np.log(probability / (1 - probability)), abs=1e-6)
    assert float(network.losses[0]) == pytest.approx(float(alone.losses[0]) / 3)
    assert network.count_params() == 3 * alone.count_params()


def test_mean_of_certain_members_is_no_nan():
    assert np.ravel(MeanProbability()([np.array([[200.0]]), np.array([[200.0]])])) == pytest.approx([200])


def test_dropout_by_layer_leaves_out_the_layers_with_0():
    network = build(Architecture((4, 4, 4), dropout=(0.5, 0.0, 0.2)))
    assert [layer.rate for layer in network.layers if isinstance(layer, Dropout)] == [0.5, 0.2]


def test_batch_norm_normalises_the_sums_before_the_activation():
    network = build(Architecture((1,), activation="linear", batch_norm=True))
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    outputs = np.ravel(layer(np.array([[1.0], [3.0]], np.float32), training=True))
    # Mean 2, variance 1, and Keras's epsilon of 1e-3.
    assert outputs == pytest.approx([-1 / np.sqrt(1.001), 1 / np.sqrt(1.001)])
    assert network.layers[1].use_bias is False


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
    layer = next(layer for layer in network.layers if isinstance(layer, Dropout))
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
        ({"hidden_units": (16,), "l2": -1.0}, "l2 is at least 0 and finite. Received: -1.0"),
        ({"hidden_units": (16,), "l2": float("nan")}, "l2 is at least 0 and finite. Received: nan"),
        ({"hidden_units": (16,), "weight_decay": float("inf")}, "weight_decay is at least 0 and finite. Received: inf"),
        ({"hidden_units": (16,), "l1": (0.1, 0.2)}, r"one for each of the 1 hidden layers. Received: \(0.1, 0.2\)"),
        ({"hidden_units": (16, 16), "dropout": (0.5, 1.0)}, r"below 1. Received: \(0.5, 1.0\)"),
        ({"hidden_units": (16,), "members": 0}, "members is at least 1. Received: 0"),
        ({"hidden_units": (16,), "penalized": "bias"}, "kernel or activity. Received: 'bias'"),
        ({"hidden_units": (16,), "dropout": 1.0}, "dropout is a fraction below 1. Received: 1.0"),
    ],
)
def test_impossible_architecture_is_refused(fields, message):
    with pytest.raises(ModelError, match=message):
        Architecture(**fields)


def test_unknown_name_gets_the_nearest_one():
    with pytest.raises(ModelError, match=r"Received: 'combind'. Did you mean combined\?"):
        named("combind")


def test_text_names_an_architecture_with_fields_changed():
    assert named("combined,hidden_units=256x3,dropout=0.5:0.5:0.2,augment=true") == Architecture(
        (256, 256, 256), l2=1e-4, dropout=(0.5, 0.5, 0.2), augment=True
    )
    assert named("tiny,hidden_units=8:4,l1=1e-5,penalized=activity,batch_norm=false,activation=relu") == Architecture(
        (8, 4), "relu", l1=1e-5, penalized="activity"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("combind,l2=0", r"no architecture of this name. Received: 'combind'. Did you mean combined\?"),
        ("large,dropuot=0.5", r"no field of an architecture of this name. Received: 'dropuot'. Did you mean dropout\?"),
        ("large,dropout=half", "dropout cannot have this value. Received: 'dropout=half'"),
        ("large,augment=yes", "augment cannot have this value. Received: 'augment=yes'"),
        ("large,hidden_units=512xfour", "hidden_units cannot have this value"),
        ("large,dropout=0.5:0.5", "one for each of the 4 hidden layers"),
    ],
)
def test_text_that_names_no_architecture_is_refused(text, message):
    with pytest.raises(ModelError, match=message):
        named(text)


def test_sizes_are_the_architectures_without_regularization():
    plain = [name for name in ARCHITECTURES if not regularizers(named(name).to_dict())]
    assert plain == ["tiny", "small", "medium", "large"]
