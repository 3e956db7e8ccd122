"""Relativistic kinematics on arrays of four-momenta.

A four-momentum array has shape [4, ..., n]: components (E, px, py, pz) first, events last, so that every component is
contiguous. Energies, momenta and masses are in GeV, with c = 1.
"""

from __future__ import annotations

import numpy as np


def dot(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Minkowski product E E' - p.p' of two [4, ..., n] arrays; returns [..., n] in GeV squared."""
    return p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3]


def mass(p: np.ndarray) -> np.ndarray:
    """Invariant mass in GeV of [4, ..., n]; 0 where rounding leaves a negative square."""
    return np.sqrt(np.maximum(dot(p, p), 0.0))


def transverse(p: np.ndarray) -> np.ndarray:
    """Momentum transverse to the beam (the z axis) in GeV, of [4, ..., n]."""
    return np.sqrt(p[1] * p[1] + p[2] * p[2])


def decay_momentum(parent_mass: np.ndarray, mass_1: np.ndarray, mass_2: np.ndarray) -> np.ndarray:
    """Momentum in GeV of either daughter of a two-body decay, in the parent's rest frame.

        p = sqrt((M^2 - (m1 + m2)^2) (M^2 - (m1 - m2)^2)) / (2 M)

    Source: Particle Data Group, review "Kinematics", two-body decays. The masses broadcast; p is 0 below threshold.
    """
    squared = parent_mass * parent_mass
    product = (squared - (mass_1 + mass_2) ** 2) * (squared - (mass_1 - mass_2) ** 2)
    return np.sqrt(np.maximum(product, 0.0)) / (2.0 * parent_mass)


def decay(parent_mass, mass_1, mass_2, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two daughters [4, n] each, in the parent's rest frame; the first flies along `axis`, unit vectors [3, n]."""
    momentum = decay_momentum(parent_mass, mass_1, mass_2)
    flight = momentum * axis
    squared = momentum * momentum
    first = np.concatenate([np.sqrt(squared + mass_1 * mass_1)[None], flight])
    second = np.concatenate([np.sqrt(squared + mass_2 * mass_2)[None], -flight])
    return first, second


def boost(p: np.ndarray, parent: np.ndarray, parent_mass: np.ndarray | float) -> np.ndarray:
    """Carry `p` [4, ..., n] from the rest frame of `parent` [4, n] to the frame in which `parent` is given."""
    energy = (parent[0] * p[0] + parent[1] * p[1] + parent[2] * p[2] + parent[3] * p[3]) / parent_mass
    along = (p[0] + energy) / (parent[0] + parent_mass)
    boosted = np.empty_like(p)
    boosted[0] = energy
    for i in (1, 2, 3):
        boosted[i] = p[i] + parent[i] * along
    return boosted


def isotropic(rng: np.random.Generator, n: int) -> np.ndarray:
    """Unit vectors [3, n], uniform over the sphere."""
    return polar(rng, rng.uniform(-1.0, 1.0, n))


def polar(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
    """Unit vectors [3, n] at the angle with this `cosine` [n] from the z axis, uniform in azimuth."""
    azimuth = 2.0 * np.pi * rng.random(len(cosine))
    sine = np.sqrt(np.maximum(1.0 - cosine * cosine, 0.0))
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def tilted(rng: np.random.Generator, axis: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Unit vectors [3, n] at the angle with this `cosine` [n] from `axis` [3, n], uniform in azimuth around it.

    `axis` must not lie exactly along z; see polar for that.
    """
    side = np.sqrt(np.maximum(axis[0] ** 2 + axis[1] ** 2, 1e-30))
    x, y, z = polar(rng, cosine)
    across = (axis[0] * axis[2] * x - axis[1] * y) / side + axis[0] * z
    up = (axis[1] * axis[2] * x + axis[0] * y) / side + axis[1] * z
    return np.stack([across, up, axis[2] * z - side * x])


def breit_wigner(rng: np.random.Generator, pole: float, width: float, n_widths: float, n: int) -> np.ndarray:
    """Masses [n] in GeV from a Breit-Wigner around `pole`, cut `n_widths` full widths from it on either side."""
    reach = np.arctan(2.0 * n_widths)
    return pole + 0.5 * width * np.tan(rng.uniform(-reach, reach, n))
