"""Training on simulated events before the real ones."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from events.errors import ModelError
from events.higgs.columns import FEATURES
from events.higgs.simulate import GENERATOR_VERSION, generate
from models import pretraining
from models.architectures import Architecture
from models.networks import build
from models.pretraining import CHUNK_ROWS, SEED, pretrain
from models.replicas import Replicas
from models.rules import Rules
from models.training import fit

ARCHITECTURE = Architecture((128, 128), l2=1.0, dropout=0.5, pretrain=50_000)


def centred(columns) -> tf.Tensor:
    return tf.stack([columns[name] for name in FEATURES], axis=1) - 1.0


def simulated(n_rows: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    rows = next(generate(n_rows, seed, n_rows))
    return tf.constant(rows[:, 1:] - 1.0), tf.constant(rows[:, :1])


def bce(network, features, labels) -> float:
    return float(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, network(features, training=False))))


@pytest.fixture(scope="module")
def pretrained():
    result = pretrain(ARCHITECTURE, 0, 28, centred, Replicas())
    network = build(ARCHITECTURE)
    network.set_weights(result.weights)
    return network, result.record


def test_network_has_learned_of_other_simulated_events(pretrained):
    network, _ = pretrained
    assert (
        bce(network, *simulated(5000, seed=1)) < 0.66 < np.log(2) < bce(build(ARCHITECTURE), *simulated(5000, seed=1))
    )


def test_record_says_how_many_events_of_which_generator(pretrained):
    _, record = pretrained
    seconds = record.pop("seconds")
    assert record == {"n_rows": 50_000, "generator": GENERATOR_VERSION, "seed": SEED} and seconds > 0


def test_regularizers_are_for_real_rows(pretrained):
    bare = dataclasses.replace(ARCHITECTURE, l2=0.0, dropout=0.0)
    for one, other in zip(pretrained[0].get_weights(), pretrain(bare, 0, 28, centred, Replicas()).weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_settings_give_equal_networks(pretrained):
    again = pretrain(ARCHITECTURE, 0, 28, centred, Replicas())
    for one, other in zip(pretrained[0].get_weights(), again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_event_is_seen_once_in_chunks_of_bounded_size(monkeypatch):
    seen = []

    class Spy(pretraining.Loop):
        def train(self, features, labels, epoch):
            seen.append((features.numpy(), labels.numpy(), epoch))
            return {"bce": 0.0}

    monkeypatch.setattr(pretraining, "Loop", Spy)
    n_rows = CHUNK_ROWS + 123
    pretrain(Architecture((1,), pretrain=n_rows), 0, 28, centred, Replicas())
    assert [len(features) for features, _, _ in seen] == [CHUNK_ROWS, 123]
    assert [epoch for _, _, epoch in seen] == [0, 1]
    expected = next(generate(n_rows, SEED, n_rows))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels, _ in seen]), expected[:, :1])
    np.testing.assert_array_equal(np.concatenate([features for features, _, _ in seen]), expected[:, 1:] - 1.0)


def test_real_rows_come_after_at_a_lower_rate():
    train, val = simulated(500, seed=2), simulated(300, seed=3)
    rules = Rules(epochs=2, learning_rate=3e-3)
    training = fit(dataclasses.replace(ARCHITECTURE, pretrain=2000), rules, train, val, normalize=centred)
    assert training.summary["pretraining"]["n_rows"] == 2000
    assert training.summary["rules"]["learning_rate"] == pytest.approx(9e-5)
    plain = fit(dataclasses.replace(ARCHITECTURE, pretrain=0), rules, train, val)
    assert plain.summary["pretraining"] == {} and plain.summary["rules"]["learning_rate"] == 3e-3


def test_pretraining_that_was_kept_gives_the_same_network():
    train, val = simulated(500, seed=2), simulated(300, seed=3)
    architecture, rules = dataclasses.replace(ARCHITECTURE, pretrain=2000, dropout=0.3), Rules(epochs=2)
    first = fit(architecture, rules, train, val, normalize=centred)
    again = fit(architecture, rules, train, val, normalize=centred, pretrained=first.pretrained)
    assert again.history == first.history
    assert again.summary["pretraining"] == first.summary["pretraining"]


def test_pretraining_without_a_way_to_normalise_is_refused():
    train = simulated(100, seed=2)
    with pytest.raises(ModelError, match="Pretraining normalises simulated rows"):
        fit(dataclasses.replace(ARCHITECTURE, pretrain=1), Rules(epochs=1), train, train)
