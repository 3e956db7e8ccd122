import keras
import numpy as np
import pytest
import tensorflow as tf

from events.errors import ModelError
from events.higgs.columns import FEATURES, HALF_TURN
from events.higgs.reconstruction import PHI_UNIT
from events.higgs.symmetries import AZIMUTHS, PSEUDORAPIDITIES, Augmentation, reflect, rotate
from models.architectures import Architecture
from models.loop import Loop
from models.networks import build
from models.rules import Rules
from models.training import fit

RNG = np.random.default_rng(0)
EVENTS = RNG.uniform(-HALF_TURN, HALF_TURN, (6, 28)).astype(np.float32)
UNTOUCHED = ~(AZIMUTHS | PSEUDORAPIDITIES)


def stack(columns):
    return tf.stack([columns[name] for name in FEATURES], axis=1)


def test_half_turn_is_pi_in_the_unit_of_the_azimuths():
    assert np.pi == HALF_TURN * PHI_UNIT


def test_rotation_adds_the_angle_and_comes_round_at_a_half_turn():
    events = np.zeros((3, 28), np.float32)
    events[:, FEATURES.index("jet_2_phi")] = [0.5, 1.7, -1.7]
    turned = rotate(tf.constant(events), tf.constant([0.25, 0.25, -0.25])).numpy()
    expected = [0.75, 1.95 - 2 * HALF_TURN, 2 * HALF_TURN - 1.95]
    assert np.allclose(turned[:, FEATURES.index("jet_2_phi")], expected, atol=1e-6)
    assert np.allclose(turned[:, FEATURES.index("lepton_phi")], [0.25, 0.25, -0.25])
    assert np.array_equal(turned[:, ~AZIMUTHS], events[:, ~AZIMUTHS])


def test_rotation_keeps_every_difference_of_azimuths_within_an_event():
    turned = rotate(tf.constant(EVENTS), tf.constant(RNG.uniform(-1.7, 1.7, 6).astype(np.float32))).numpy()
    angles, before = turned[:, AZIMUTHS] * PHI_UNIT, EVENTS[:, AZIMUTHS] * PHI_UNIT
    assert np.allclose(np.cos(angles - angles[:, :1]), np.cos(before - before[:, :1]), atol=1e-5)
    assert np.allclose(np.sin(angles - angles[:, :1]), np.sin(before - before[:, :1]), atol=1e-5)


def test_reflection_changes_the_sign_of_all_pseudorapidities_of_the_chosen_events():
    flipped = np.array([True, False, True, False, False, False])
    reflected = reflect(tf.constant(EVENTS), tf.constant(flipped)).numpy()
    assert np.array_equal(reflected[flipped][:, PSEUDORAPIDITIES], -EVENTS[flipped][:, PSEUDORAPIDITIES])
    assert np.array_equal(reflected[~flipped], EVENTS[~flipped])
    assert np.array_equal(reflected[:, ~PSEUDORAPIDITIES], EVENTS[:, ~PSEUDORAPIDITIES])


def test_five_columns_are_pseudorapidities_and_six_azimuths():
    assert (PSEUDORAPIDITIES.sum(), AZIMUTHS.sum()) == (5, 6)


def test_drawn_events_are_the_same_for_one_seed_and_others_for_another():
    augmentation = Augmentation(tf.constant(EVENTS), stack)
    rows = tf.constant([4, 0, 2])
    first, again, other = (augmentation(rows, tf.constant([1, step])).numpy() for step in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first[:, UNTOUCHED], EVENTS[[4, 0, 2]][:, UNTOUCHED])


def test_events_are_turned_all_around_and_half_of_them_are_reflected():
    events = np.ones((4000, 28), np.float32)
    drawn = Augmentation(tf.constant(events), stack)(tf.range(4000), tf.constant([0, 0])).numpy()
    azimuths, etas = drawn[:, FEATURES.index("lepton_phi")], drawn[:, FEATURES.index("lepton_eta")]
    assert np.abs(np.histogram(azimuths, 4, (-HALF_TURN, HALF_TURN))[0] - 1000).max() < 150  # 5 standard deviations
    assert abs((etas < 0).sum() - 2000) < 160


def test_augmented_training_sees_other_events_each_epoch_and_validation_sees_them_as_they_are(eagerly):
    seen = []

    class Recording(Augmentation):
        def __call__(self, rows, seed):
            drawn = super().__call__(rows, seed)
            seen.append(drawn)
            return drawn

    augmentation = Recording(tf.constant(EVENTS), stack)
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        loop = Loop(build(Architecture((1,))), keras.optimizers.SGD(), 6, seed, augmentation)
        loop._train_step = lambda features, labels, share: tf.zeros([3])
        loop._train_epoch(tf.constant(EVENTS), tf.ones([6, 1]), tf.constant(epoch))
    first, *others = (np.sort(drawn.numpy(), axis=0) for drawn in seen)
    assert len(others) == 2
    for other in others:
        assert np.allclose(first[:, UNTOUCHED], other[:, UNTOUCHED])
        assert not np.allclose(first[:, AZIMUTHS], other[:, AZIMUTHS])


def test_steps_of_an_epoch_draw_numbers_of_their_own(eagerly):
    seeds = []

    class Recording(Augmentation):
        def __call__(self, rows, seed):
            seeds.append(tuple(seed.numpy().tolist()))
            return super().__call__(rows, seed)

    loop = Loop(build(Architecture((1,))), keras.optimizers.SGD(), 2, 0, Recording(tf.constant(EVENTS), stack))
    loop._train_step = lambda features, labels, share: tf.zeros([3])
    for epoch in (0, 1):
        loop._train_epoch(tf.constant(EVENTS), tf.ones([6, 1]), tf.constant(epoch))
    assert len(set(seeds)) == len(seeds) == 6


def test_augmented_architecture_trains_and_is_not_trained_on_normalised_rows():
    rows = tf.constant(np.tile(EVENTS, (20, 1))), tf.constant(np.tile([[0.0], [1.0]], (60, 1)).astype(np.float32))
    architecture, rules = Architecture((4,), augment=True), Rules(epochs=2, batch_size=50)
    training = fit(architecture, rules, rows, rows, augmentation=Augmentation(rows[0], stack))
    assert training.summary["epochs"] == 2
    with pytest.raises(ModelError, match="Received: none"):
        fit(architecture, rules, rows, rows)
