"""Gluons: those the incoming protons radiate before the collision, and those the outgoing quarks radiate after it.

Units: GeV.
"""

from __future__ import annotations

import numpy as np

from events.higgs.kinematics import boost, decay, mass, tilted

N_RADIATED = 3
MIN_RADIATED_PT = 10.0
RADIATED_SPREAD = 2.5  # standard deviation of their rapidity around the system's

BRANCHING = 0.21  # strength of the quarks' radiation, see draw_virtuality
MIN_VIRTUALITY = 8.0
MAX_VIRTUALITY = 0.45  # of the mass available, so that two virtual quarks always fit
MIN_GLUON_SHARE = 0.08


def radiate_initial(rng: np.random.Generator, rapidity: np.ndarray, mean: float, max_pt: float) -> np.ndarray:
    """Gluons [4, 3, n] radiated by the incoming protons; an absent one is zero.

    Their number is a Poisson number of this `mean`, cut at three; the logarithm of their momentum falls from 10 GeV to
    `max_pt`; they spread around the `rapidity` [n] of the system produced.
    """
    n = len(rapidity)
    uniform = rng.random((N_RADIATED, n))
    pt = MIN_RADIATED_PT * np.exp(np.log(max_pt / MIN_RADIATED_PT) * uniform * uniform)
    pt *= np.arange(N_RADIATED)[:, None] < rng.poisson(mean, n)
    eta = rapidity + RADIATED_SPREAD * rng.standard_normal((N_RADIATED, n))
    phi = 2.0 * np.pi * rng.random((N_RADIATED, n))
    return np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def draw_virtuality(rng: np.random.Generator, available: np.ndarray) -> np.ndarray:
    """Virtual masses in GeV of quarks before they emit their hardest gluon; 0 where they emit none.

    With dQ^2 / Q^2 emissions of strength BRANCHING, the chance of none above Q is (Q / Q_max)^(2 BRANCHING): the
    Sudakov factor at fixed coupling. `available` is the mass of whatever decays into the quark, of any shape.
    """
    virtuality = MAX_VIRTUALITY * available * rng.random(available.shape) ** (0.5 / BRANCHING)
    return np.where(virtuality > MIN_VIRTUALITY, virtuality, 0.0)


def split(rng: np.random.Generator, quark: np.ndarray) -> np.ndarray:
    """Replace virtual quarks [4, n], in place, by the quark after its emission; returns the gluons [4, n].

    The gluon's share x of the energy is drawn from dx / x, and momentum is conserved exactly.
    """
    virtuality = mass(quark)
    # Rounding gives a massless quark a mass of some 1e-5 GeV, far below the smallest virtuality.
    virtual = np.flatnonzero(virtuality > 0.5 * MIN_VIRTUALITY)
    parent, parent_mass = quark[:, virtual], virtuality[virtual]
    flight = parent[1:] / np.sqrt((parent[1:] ** 2).sum(axis=0))
    share = np.exp(np.log(MIN_GLUON_SHARE) * rng.random(len(virtual)))
    after, emitted = decay(parent_mass, 0.0, 0.0, tilted(rng, flight, 1.0 - 2.0 * share))
    gluon = np.zeros_like(quark)
    gluon[:, virtual] = boost(emitted, parent, parent_mass)
    quark[:, virtual] = boost(after, parent, parent_mass)
    return gluon
