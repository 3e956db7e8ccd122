"""Physics columns against values computed by hand and against the generator's own kinematics."""

import numpy as np
import pytest
import tensorflow as tf

from events.higgs import kinematics
from events.higgs.collisions import W_MASS
from events.higgs.columns import FEATURES, HALF_TURN, JETS
from events.higgs.physics import physics_columns
from events.higgs.reconstruction import (
    JET_ETA_UNITS,
    JET_PT_UNITS,
    LEPTON_ETA_UNIT,
    LEPTON_PT_UNIT,
    MISSING_UNIT,
    PHI_UNIT,
)
from events.higgs.simulate import simulate_block
from events.higgs.symmetries import reflect, rotate

EVENTS = simulate_block(3, 0)[:200, 1:]


def columns(events) -> dict[str, np.ndarray]:
    named = dict(zip(FEATURES, tf.unstack(tf.constant(events, tf.float32), axis=1), strict=True))
    return {name: value.numpy() for name, value in physics_columns(named).items()}


def momentum(pt, eta, phi) -> np.ndarray:
    return np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def objects(events) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Lepton, jets and missing momentum [2, n] in GeV, in the detector's own coordinates."""
    value = {name: events[:, i].astype(float) for i, name in enumerate(FEATURES)}
    units = zip(("lepton", *JETS), (LEPTON_PT_UNIT, *JET_PT_UNITS), (LEPTON_ETA_UNIT, *JET_ETA_UNITS), strict=True)
    momenta = [
        momentum(value[f"{name}_pt"] * pt, value[f"{name}_eta"] * eta, value[f"{name}_phi"] * PHI_UNIT)
        for name, pt, eta in units
    ]
    size, phi = value["missing_energy_magnitude"] * MISSING_UNIT, value["missing_energy_phi"] * PHI_UNIT
    return momenta[0], momenta[1:], np.stack([size * np.cos(phi), size * np.sin(phi)])


def test_every_column_is_finite_whatever_the_event():
    for events in (EVENTS, np.zeros((2, 28)), np.full((2, 28), 50.0), -EVENTS):
        assert all(np.isfinite(value).all() for value in columns(events).values())


def test_masses_are_those_of_the_four_momenta():
    lepton, jets, _ = objects(EVENTS)
    found = columns(EVENTS)
    np.testing.assert_allclose(found["jet_1_jet_2_mass"], kinematics.mass(jets[0] + jets[1]), rtol=2e-3)
    np.testing.assert_allclose(found["jet_2_jet_3_jet_4_mass"], kinematics.mass(sum(jets[1:])), rtol=2e-3)
    np.testing.assert_allclose(found["lepton_jet_1_jet_4_mass"], kinematics.mass(lepton + jets[0] + jets[3]), rtol=2e-3)


def test_pairs_by_hand():
    event = np.zeros((1, 28))
    event[0, FEATURES.index("jet_1_eta")] = 1.0 / JET_ETA_UNITS[0]
    event[0, FEATURES.index("jet_2_eta")] = -2.0 / JET_ETA_UNITS[1]
    event[0, FEATURES.index("jet_1_phi")] = 3.0 / PHI_UNIT
    event[0, FEATURES.index("jet_2_phi")] = -3.0 / PHI_UNIT
    found = {name: value[0] for name, value in columns(event).items()}
    d_phi = 2 * np.pi - 6.0  # the short way round
    assert found["jet_1_jet_2_deta"] == pytest.approx(3.0, rel=1e-6)
    assert found["jet_1_jet_2_dphi"] == pytest.approx(d_phi, rel=1e-5)
    assert found["jet_1_jet_2_dr"] == pytest.approx(np.hypot(3.0, d_phi), rel=1e-6)
    assert found["jet_1_jet_2_log_mass_term"] == pytest.approx(np.log(np.cosh(3.0) - np.cos(6.0)), rel=1e-5)
    assert found["jet_1_jet_2_eta_product"] == pytest.approx(-2.0, rel=1e-6)
    assert found["jet_1_missing_dphi"] == pytest.approx(3.0, rel=1e-6)


def test_transverse_mass_and_sums():
    lepton, jets, missing = objects(EVENTS)
    found = columns(EVENTS)
    pt, missing_pt = kinematics.transverse(lepton), np.hypot(*missing)
    squared = 2 * (pt * missing_pt - lepton[1] * missing[0] - lepton[2] * missing[1])
    np.testing.assert_allclose(found["transverse_mass"], np.sqrt(squared), rtol=1e-2, atol=0.05)
    jets_pt = sum(map(kinematics.transverse, jets))
    np.testing.assert_allclose(found["scalar_sum"], jets_pt + pt + missing_pt, rtol=1e-5)
    total = lepton + sum(jets)
    vector = np.hypot(total[1] + missing[0], total[2] + missing[1])
    np.testing.assert_allclose(found["vector_sum"], vector, rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(found["centrality"], (jets_pt + pt) / total[0], rtol=1e-4)


def test_neutrino_gives_the_w_its_mass_where_it_can():
    found = columns(EVENTS)
    real = found["neutrino_discriminant"] > 0.01
    assert 0.5 < real.mean() < 1
    for number in (0, 1):
        np.testing.assert_allclose(found[f"leptonic_w_{number}_mass"][real], W_MASS, rtol=0.01)
    assert (np.abs(found["neutrino_0_pz"]) <= np.abs(found["neutrino_1_pz"])).all()


def test_candidates_take_the_jets_with_the_highest_tags():
    tags = EVENTS[:, [FEATURES.index(f"{jet}_b_tag") for jet in JETS]]
    levels = np.round(2 * tags / [2.1731, 2.2149, 2.5482, 3.1020])
    _, jets, _ = objects(EVENTS)
    jets = np.stack(jets)
    order = np.argsort(-levels, axis=1, kind="stable")
    every = np.arange(len(EVENTS))
    b_1, b_2, q_1, q_2 = (jets[order[:, i], :, every].T for i in range(4))
    found = columns(EVENTS)
    np.testing.assert_allclose(found["h0_mass"], kinematics.mass(b_1 + b_2), rtol=2e-3, atol=0.05)
    np.testing.assert_allclose(found["hadronic_top_2_mass"], kinematics.mass(q_1 + q_2 + b_2), rtol=2e-3)
    np.testing.assert_allclose(found["q_2_pt"], kinematics.transverse(q_2), rtol=1e-4)


def test_mass_ratios_are_logarithms():
    m_bb, m_wwbb = (EVENTS[:, FEATURES.index(name)] for name in ("m_bb", "m_wwbb"))
    np.testing.assert_allclose(columns(EVENTS)["m_bb_to_m_wwbb"], np.log(m_bb / m_wwbb), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("angle", [0.3, 1.0, -1.6])
def test_turning_an_event_changes_no_column(angle):
    turned = rotate(tf.constant(EVENTS), tf.fill([len(EVENTS)], angle * HALF_TURN / 2)).numpy()
    found = columns(turned)
    for name, value in columns(EVENTS).items():
        np.testing.assert_allclose(found[name], value, rtol=2e-2, atol=0.3, err_msg=name)


def test_exchanging_the_beams_changes_signs_along_the_beam_only():
    mirrored = columns(reflect(tf.constant(EVENTS), tf.fill([len(EVENTS)], True)).numpy())
    for name, value in columns(EVENTS).items():
        sign = -1 if name.endswith("_pz") else 1
        np.testing.assert_allclose(sign * mirrored[name], value, rtol=1e-3, atol=0.05, err_msg=name)
