"""Proton collisions that end in one lepton, one neutrino, two light quarks and two b quarks.

Signal: gg -> H0 -> W- H+ -> W- W+ h0 -> l nu q q b b, with masses of 425, 325 and 125 GeV.
Background: gg -> t tbar -> W+ b W- bbar -> l nu q q b b.

Source: Baldi, Sadowski, Whiteson, Nature Communications 5 (2014) 4308, which ran MadGraph, Pythia and a detector
simulation. Here every resonance decays by two-body kinematics instead, quarks radiate at most one gluon each, and spin
correlations between the two tops are left out. Units: GeV.
"""

from __future__ import annotations

import numpy as np

from events.higgs.kinematics import boost, breit_wigner, decay, isotropic, polar, tilted
from events.higgs.production import TOP_MASS, draw_rapidity, draw_top_pair
from events.higgs.radiation import draw_virtuality, radiate_initial

W_MASS, W_WIDTH = 80.4, 2.1
TOP_WIDTH = 1.4
HEAVY_HIGGS_MASS, CHARGED_HIGGS_MASS, LIGHT_HIGGS_MASS = 425.0, 325.0, 125.0
HIGGS_WIDTH = 1.0  # the paper gives none; far below the detector's resolution

# How many widths masses may lie from their poles, so that the products of a decay are never heavier than what decays.
W_TAIL, HIGGS_TAIL, TOP_TAIL = 7.0, 2.0, 6.0

LEPTON, NEUTRINO, QUARK_1, QUARK_2, B_1, B_2 = range(6)  # slots of the partons' second axis

# Mean number and largest transverse momentum of the gluons from the incoming protons.
SIGNAL_JETS, BACKGROUND_JETS = (2.0, 260.0), (1.6, 180.0)
SOFT_RECOIL = 6.0  # per component, against radiation too soft to make a jet

LONGITUDINAL_TOP_W = 0.69  # share of longitudinal W bosons in top decays; nearly all others are left-handed


def collide(rng: np.random.Generator, signal: bool, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Particles of `n` collisions in the laboratory, in GeV.

    Returns the partons [4, 6, n] in the slots above, quarks still virtual where they are to radiate (see
    radiation.split), and the gluons [4, 3, n] radiated by the incoming protons.
    """
    if signal:
        system_mass = breit_wigner(rng, HEAVY_HIGGS_MASS, HIGGS_WIDTH, HIGGS_TAIL, n)
        rapidity = draw_rapidity(rng, HEAVY_HIGGS_MASS, n)
        partons = decay_heavy_higgs(rng, system_mass)
    else:
        system_mass, rapidity, cosine = draw_top_pair(rng, n)
        partons = decay_top_pair(rng, system_mass, cosine)
    gluons = radiate_initial(rng, rapidity, *(SIGNAL_JETS if signal else BACKGROUND_JETS))
    px, py = SOFT_RECOIL * rng.standard_normal((2, n)) - gluons[1:3].sum(axis=1)
    energy = np.sqrt(system_mass**2 + px * px + py * py)
    system = np.stack([energy * np.cosh(rapidity), px, py, energy * np.sinh(rapidity)])
    return boost(partons, system, system_mass), gluons


def decay_heavy_higgs(rng: np.random.Generator, heavy_mass: np.ndarray) -> np.ndarray:
    """Partons [4, 6, n] of H0 -> W H+, H+ -> W h0, h0 -> b b, in the rest frame of H0s of these masses [n]."""
    n = len(heavy_mass)
    charged_mass = breit_wigner(rng, CHARGED_HIGGS_MASS, HIGGS_WIDTH, HIGGS_TAIL, n)
    w_masses = breit_wigner(rng, W_MASS, W_WIDTH, W_TAIL, 2 * n).reshape(2, n)
    outer_hadronic = rng.random(n) < 0.5
    axis, inner_axis = isotropic(rng, n), isotropic(rng, n)
    w_outer, charged = decay(heavy_mass, w_masses[0], charged_mass, axis)
    w_inner, light = decay(charged_mass, w_masses[1], LIGHT_HIGGS_MASS, inner_axis)
    # The decay of a scalar to a scalar and a W makes the W longitudinal.
    outer = boost(_decay_w(rng, w_masses[0], axis, 1.0, outer_hadronic), w_outer, w_masses[0])
    inner = boost(_decay_w(rng, w_masses[1], inner_axis, 1.0, ~outer_hadronic), w_inner, w_masses[1])
    virtualities = draw_virtuality(rng, np.full((2, n), LIGHT_HIGGS_MASS))
    b_pair = np.stack(decay(LIGHT_HIGGS_MASS, virtualities[0], virtualities[1], isotropic(rng, n)), axis=1)
    cascade = np.concatenate([inner, boost(b_pair, light, LIGHT_HIGGS_MASS)], axis=1)
    cascade = boost(cascade, charged, charged_mass)
    hadronic = np.where(outer_hadronic, outer, cascade[:, :2])
    leptonic = np.where(outer_hadronic, cascade[:, :2], outer)
    return np.concatenate([leptonic, hadronic, cascade[:, 2:]], axis=1)


def decay_top_pair(rng: np.random.Generator, system_mass: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Partons [4, 6, n] of t tbar -> W b W b in the pair's rest frame, for its mass and scattering angle, [n] each."""
    n = len(system_mass)
    top_masses = breit_wigner(rng, TOP_MASS, TOP_WIDTH, TOP_TAIL, 2 * n).reshape(2, n)
    top_masses = np.minimum(top_masses, 0.499 * system_mass)
    tops = decay(system_mass, top_masses[0], top_masses[1], polar(rng, cosine))
    sides = []
    # Top and antitop are alike here, so the first may always be the leptonic one.
    for top, top_mass, hadronic in zip(tops, top_masses, (False, True), strict=True):
        w_mass = breit_wigner(rng, W_MASS, W_WIDTH, W_TAIL, n)
        axis = isotropic(rng, n)
        w, b = decay(top_mass, w_mass, draw_virtuality(rng, top_mass - w_mass), axis)
        pair = boost(_decay_w(rng, w_mass, axis, LONGITUDINAL_TOP_W, hadronic), w, w_mass)
        sides.append(boost(np.concatenate([pair, b[:, None]], axis=1), top, top_mass))
    b_pair = np.stack([sides[0][:, 2], sides[1][:, 2]], axis=1)
    return np.concatenate([sides[0][:, :2], sides[1][:, :2], b_pair], axis=1)


def _decay_w(rng, w_mass, axis, longitudinal, hadronic):
    """Two fermions [4, 2, n] in the W's rest frame; `axis` [3, n] is its flight in its parent's.

    Only where `hadronic` (one or [n]) holds may one of them be a virtual quark.
    """
    uniform = rng.random(len(w_mass))
    cosine = 2.0 * np.sin(np.arcsin(2.0 * uniform - 1.0) / 3.0)  # density 3/4 (1 - c^2)
    if longitudinal < 1.0:
        left_handed = 1.0 - 2.0 * np.cbrt(uniform)  # density 3/8 (1 - c)^2
        cosine = np.where(rng.random(len(w_mass)) < longitudinal, cosine, left_handed)
    virtuality = np.where(hadronic, draw_virtuality(rng, w_mass), 0.0)
    return np.stack(decay(w_mass, 0.0, virtuality, tilted(rng, axis, cosine)), axis=1)
