import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from events.errors import ModelError
from events.higgs.columns import FEATURES
from events.higgs.symmetries import Augmentation
from models.architectures import ARCHITECTURES, Architecture, named
from models.loop import Loop
from models.networks import build, seed_states
from models.rules import BaselineRules, Rules
from models.training import fit


def make_data(n_rows: int, seed: int = 0):
    """Normal features and labels that the first two of them decide, but for noise."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_rows, 28)).astype(np.float32)
    labels = (features[:, :1] + features[:, 1:2] + rng.standard_normal((n_rows, 1)) > 0).astype(np.float32)
    return tf.constant(features), tf.constant(labels)


def stack(columns):
    return tf.stack([columns[name] for name in FEATURES], axis=1)


TRAIN, VAL = make_data(230), make_data(100, seed=1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_learns_and_keeps_its_best_epoch(name):
    architecture = ARCHITECTURES[name]
    architecture = dataclasses.replace(architecture, pretrain=min(architecture.pretrain, 500))
    rules, as_they_are = Rules(epochs=3, batch_size=50), Augmentation(TRAIN[0], stack)
    training = fit(architecture, rules, TRAIN, VAL, augmentation=as_they_are, normalize=stack)
    best = training.summary["best_epoch"]
    assert training.summary["epochs"] == 3
    assert training.summary["val"]["bce"] == pytest.approx(min(training.history["val_bce"]), abs=1e-6)
    assert best == 1 + int(np.argmin(training.history["val_bce"]))
    assert set(training.history) == {"loss", "bce", "accuracy", "val_bce", "val_accuracy"}


def test_training_stops_when_validation_no_longer_improves():
    rules = Rules(epochs=500, patience=5, batch_size=50, learning_rate=0.05)
    training = fit(Architecture((64, 64)), rules, TRAIN, VAL)
    assert training.summary["epochs"] == training.summary["best_epoch"] + 5 < 500


OPPOSITE = VAL[0], 1 - VAL[1]  # what is learned makes it worse from the first epoch on


def test_best_weights_are_those_of_the_lowest_crossentropy_on_val_and_are_restored():
    rules = Rules(epochs=20, patience=4, batch_size=50, learning_rate=0.01)
    stopped = fit(Architecture((16,)), rules, TRAIN, OPPOSITE)
    # Every other curve falls or would stop elsewhere: the loss on training rows, and the accuracy on these.
    assert stopped.history["val_bce"] == sorted(stopped.history["val_bce"])
    assert stopped.history["loss"] == sorted(stopped.history["loss"], reverse=True)
    assert stopped.summary["epochs"] == 5
    assert stopped.summary["best_epoch"] == 1
    assert stopped.summary["val"]["bce"] == pytest.approx(stopped.history["val_bce"][0], abs=1e-6)
    assert stopped.summary["finished"]
    cut_short = fit(Architecture((16,)), dataclasses.replace(rules, epochs=3), TRAIN, OPPOSITE)
    assert cut_short.summary["epochs"] == 3
    assert cut_short.summary["val"]["bce"] == pytest.approx(cut_short.history["val_bce"][0], abs=1e-6)
    assert not cut_short.summary["finished"]
    assert cut_short.network.get_weights()[0] == pytest.approx(stopped.network.get_weights()[0])


@pytest.mark.parametrize(
    ("n_rows", "epochs", "patience"),
    [(16_000, 3_125, 100), (8_000, 6_250, 200), (3_200, 6_250, 458), (300, 6_250, 3_200)],
)
def test_baseline_is_trained_by_steps_of_500_rows_for_a_bounded_number_of_epochs(n_rows, epochs, patience):
    assert BaselineRules().rules(n_rows, 7) == Rules(epochs=epochs, patience=patience, seed=7)


def test_baseline_takes_six_passes_over_the_training_rows_of_all_of_higgs():
    assert BaselineRules().rules(8_800_000, 0) == Rules(epochs=6, patience=1)


@pytest.mark.parametrize(
    ("rules", "message"), [({"steps": 0}, "baseline_steps"), ({"patience": 0}, "baseline_patience")]
)
def test_impossible_rules_of_the_baseline_are_refused(rules, message):
    with pytest.raises(ModelError, match=rf"train\.{message} is at least 1\. Received: 0"):
        BaselineRules(**rules)


@pytest.mark.parametrize(("n_rows", "block"), [(230, 100), (230, 115), (230, 1000)])
def test_evaluation_takes_every_block(n_rows, block, monkeypatch):
    monkeypatch.setattr("models.loop.EVALUATED_ROWS", block)
    network = build(Architecture((8,)), seed=3)
    metrics = Loop(network, keras.optimizers.SGD(), 50, 0).evaluate(*(part[:n_rows] for part in TRAIN))
    assert metrics["bce"] == pytest.approx(bce_of(network, *TRAIN), abs=1e-6)
    first = tuple(part[:100] for part in TRAIN)
    assert abs(bce_of(network, *first) - metrics["bce"]) > 1e-3


def bce_of(network, features, labels) -> float:
    """By the formula, in double precision."""
    logits, labels = (np.asarray(part, np.float64) for part in (network(features), labels))
    return float(np.mean(np.log1p(np.exp(-logits)) + (1 - labels) * logits))


@pytest.mark.parametrize(
    "architecture", [Architecture((64,), dropout=0.5), Architecture((64,), dropout=0.5, members=2)]
)
def test_seed_decides_which_units_are_dropped(architecture):
    weights = build(architecture, seed=1).get_weights()

    def outputs(seed: int) -> np.ndarray:
        network = build(architecture, seed)
        network.set_weights(weights)
        return np.asarray(network(TRAIN[0], training=True))

    assert np.array_equal(outputs(1), outputs(1))
    assert not np.allclose(outputs(1), outputs(2))


def test_layers_and_members_drop_units_of_their_own():
    states = seed_states(build(Architecture((8, 8), dropout=0.5, members=2), seed=5))
    assert len({tuple(np.ravel(state)) for state in states}) == 4


def test_one_step_is_the_gradient_step_computed_by_hand():
    network = build(Architecture((1,), activation="linear"))
    network.set_weights([np.zeros((28, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros(1)])
    features, labels = tf.ones([4, 28]), tf.constant([[1.0], [1.0], [1.0], [0.0]])
    Loop(network, keras.optimizers.SGD(1.0), 4, 0).fit((features, labels), (features, labels), 1)
    # All weights are 0, so only the last bias has a gradient: mean(sigmoid(0) - label) = 0.5 - 0.75.
    assert network.get_weights()[3][0] == pytest.approx(0.25)
    assert all(not weights.any() for weights in network.get_weights()[:3])


def test_every_row_is_seen_once_per_epoch_and_the_last_step_takes_the_rest():
    network = build(Architecture((1,), activation="linear"))
    network.set_weights([np.zeros((28, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros(1)])
    labels = tf.constant([[1.0]] * 3 + [[0.0]] * 4)
    loop = Loop(network, keras.optimizers.SGD(0.0), 3, 0)
    means = loop._epoch(tf.ones([7, 28]), labels, tf.constant(0)).numpy()
    # Nothing moves, so the means over steps of 3, 3 and 1 rows are those over all 7: ln 2, and 4 of 7 right.
    assert means == pytest.approx([np.log(2), np.log(2), 4 / 7])


def test_order_of_rows_changes_with_the_epoch_and_with_the_seed(eagerly):
    def order(seed: int, epoch: int) -> list[float]:
        loop = Loop(build(Architecture((4,))), keras.optimizers.SGD(0.0), 10, seed)
        seen = []
        loop._train_step = lambda features, labels, share: (seen.append(labels), tf.zeros([3]))[1]
        loop._train_epoch(tf.zeros([10, 28]), tf.range(10, dtype=tf.float32)[:, None], tf.constant(epoch))
        [labels] = seen
        return np.ravel(labels).tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert all(sorted(rows) == list(range(10)) for rows in orders)
    assert len(set(map(tuple, orders))) == 3
    assert order(0, 0) == orders[0]


@pytest.mark.parametrize("name", ["tiny", "small,l2=0.001,batch_norm=true", "tiny,members=2", "tiny,dropout=0.5"])
def test_small_networks_become_by_xla_what_they_become_without(name, monkeypatch):
    rules = Rules(epochs=5, batch_size=50, learning_rate=0.01)
    fused = fit(named(name), rules, TRAIN, VAL).history
    monkeypatch.setattr("models.loop.FUSED_PARAMETERS", 0)
    plain = fit(named(name), rules, TRAIN, VAL).history
    assert plain["bce"][-1] < plain["bce"][0]
    for metric, values in plain.items():
        # Accuracies by one row of 100: a logit may be rounded to the other side of 0.
        assert fused[metric] == pytest.approx(values, abs=0.011 if "accuracy" in metric else 1e-5)


def test_loss_of_several_members_is_the_mean_of_theirs():
    network = build(Architecture((4,), members=3))
    loop = Loop(network, keras.optimizers.SGD(0.0), 230, 0)
    logits = np.asarray(network(TRAIN[0], training=True), np.float64)
    losses = np.log1p(np.exp(-logits)) + (1 - TRAIN[1].numpy()) * logits
    means = loop._epoch(*TRAIN, tf.constant(0)).numpy()
    assert means[0] == pytest.approx(losses.mean(), abs=1e-6)


def test_evaluation_is_that_of_the_formula():
    network = build(Architecture((8,)), seed=3)
    metrics = Loop(network, keras.optimizers.SGD(), 50, 0).evaluate(*VAL)
    probability = 1 / (1 + np.exp(-np.asarray(network(VAL[0]), np.float64)))
    label = VAL[1].numpy()
    bce = -np.mean(label * np.log(probability) + (1 - label) * np.log(1 - probability))
    assert metrics["bce"] == pytest.approx(bce, abs=1e-6)
    assert metrics["accuracy"] == pytest.approx(np.mean((probability > 0.5) == label), abs=1e-6)


def test_learning_rate_halves_after_decay_epochs():
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    fit(Architecture((1,)), Rules(epochs=4, batch_size=50, decay_epochs=4.0), TRAIN, VAL, [Rates()])
    # After 4 epochs of 5 steps: 1e-3 / (1 + 20 / 20).
    assert rates[-1] == pytest.approx(5e-4, rel=0.06)


def test_weight_decay_is_decoupled_from_the_gradient():
    # No gradient reaches the first kernel, as all that comes after it is 0: only the decay moves it.
    rules = Rules(epochs=1, batch_size=230, learning_rate=0.1, decay_epochs=1e9)
    network = fit(Architecture((1,), activation="linear", weight_decay=0.5), rules, TRAIN, VAL, [Zeroed()]).network
    assert np.ravel(network.get_weights()[0]) == pytest.approx(np.full(28, 1 - 0.1 * 0.5))


class Zeroed(keras.callbacks.Callback):
    """Starts with ones in the first kernel and nothing after it."""

    def on_train_begin(self, logs=None):
        self.model.set_weights([np.ones((28, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros(1)])


def test_loss_that_is_no_number_ends_training_in_one_line():
    features = tf.fill([230, 28], float("nan"))
    with pytest.raises(ModelError, match="Received: NaN in epoch 1"):
        fit(Architecture((1,)), Rules(batch_size=50), (features, TRAIN[1]), VAL)


def test_two_processes_with_one_seed_get_the_same_metrics():
    code = f"""
import json, sys
sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
from test_training import *
rules = Rules(epochs=3, batch_size=50, seed=7)
print(json.dumps([fit(ARCHITECTURES[name], rules, TRAIN, VAL).history for name in ("tiny", "combined")]))
"""
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    first, second = (json.loads(output.splitlines()[-1]) for output in outputs)
    assert first == second
