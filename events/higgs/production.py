"""What two gluons make: mass, rapidity and scattering angle of the system produced.

Everything is drawn by inverting tables computed once. Units: GeV.
"""

from __future__ import annotations

from functools import cache

import numpy as np

COLLISION_ENERGY = 8000.0
TOP_MASS = 172.5

# x g(x) ~ x^-1.3 (1 - x)^6. The fitted gluon densities fall like this between x = 0.05 and 0.2, where
# pairs of tops and H0s are made; at smaller x they fall more slowly.
SMALL_X_POWER, LARGE_X_POWER = 1.3, 6.0

MAX_PAIR_MASS = 2500.0
N_MASSES, N_QUANTILES = 96, 129


def draw_rapidity(rng: np.random.Generator, system_mass: float, n: int) -> np.ndarray:
    """Rapidities [n] of a system of this mass made by two gluons."""
    return np.interp(rng.random(n), *_rapidity_table(system_mass))


def draw_top_pair(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass in GeV, rapidity, and cosine of the scattering angle, [n] each, of gg -> t tbar at leading order."""
    masses, cumulative, rapidities, cosines = _top_pair_tables()
    column = np.interp(rng.random(n), cumulative, np.arange(N_MASSES))
    # Rounding up or down at random interpolates between neighbouring masses.
    row = np.minimum((column + rng.random(n)).astype(np.intp), N_MASSES - 1)
    return (
        np.interp(column, np.arange(N_MASSES), masses),
        _invert(rapidities, row, rng.random(n)),
        _invert(cosines, row, rng.random(n)),
    )


def gluon_luminosity(system_mass, rapidity):
    """x1 g(x1) x2 g(x2), up to a constant, at x = (mass / energy) exp(+-rapidity); 0 beyond the kinematic limit."""
    tau = (system_mass / COLLISION_ENERGY) ** 2
    remaining = np.maximum(1.0 + tau - 2.0 * np.sqrt(tau) * np.cosh(rapidity), 0.0)  # (1 - x1) (1 - x2)
    return tau**-SMALL_X_POWER * remaining**LARGE_X_POWER


def top_pair_rate(pair_mass, cosine):
    """d sigma / d cosine of gg -> t tbar, up to a constant.

        beta / s * (7 + 9 b^2 c^2) / (1 - b^2 c^2)^2 * (1 + 2 b^2 (1 - c^2) - b^4 (1 + (1 - c^2)^2))

    Source: leading-order QCD, Combridge, Nuclear Physics B151 (1979) 429; b is the top's velocity, c the cosine.
    """
    b2 = 1.0 - (2.0 * TOP_MASS / pair_mass) ** 2
    sine2, moving2 = 1.0 - cosine**2, b2 * cosine**2
    matrix_element = (7 + 9 * moving2) / (1 - moving2) ** 2 * (1 + 2 * b2 * sine2 - b2**2 * (1 + sine2**2))
    return np.sqrt(b2) / pair_mass**2 * matrix_element


@cache
def _rapidity_table(system_mass: float) -> tuple[np.ndarray, np.ndarray]:
    limit = np.log(COLLISION_ENERGY / system_mass)
    grid = np.linspace(-limit, limit, 2001)
    return _cumulate(gluon_luminosity(system_mass, grid)), grid


@cache
def _top_pair_tables() -> tuple[np.ndarray, ...]:
    masses = np.geomspace(2.0 * TOP_MASS + 1.0, MAX_PAIR_MASS, N_MASSES)
    quantiles = np.linspace(0.0, 1.0, N_QUANTILES)
    cosine = np.linspace(-1.0, 1.0, 2001)
    rate, rapidities, cosines = [], [], []
    for pair_mass in masses:
        cumulative, grid = _rapidity_table(pair_mass)
        rapidities.append(np.interp(quantiles, cumulative, grid))
        angular = top_pair_rate(pair_mass, cosine)
        cosines.append(np.interp(quantiles, _cumulate(angular), cosine))
        # d sigma / d mass = (2 / mass) * luminosity * rate, and the grid is even in log mass.
        rate.append(gluon_luminosity(pair_mass, grid).sum() * (grid[1] - grid[0]) * angular.sum())
    return masses, _cumulate(np.array(rate)), np.array(rapidities), np.array(cosines)


def _cumulate(density: np.ndarray) -> np.ndarray:
    """Cumulative distribution from 0 to 1 of a density on an even grid, by the trapezoidal rule."""
    cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return cumulative / cumulative[-1]


def _invert(table: np.ndarray, row: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Quantiles [n] at `uniform` [n] by linear interpolation in the given rows of `table` [rows, quantiles]."""
    position = uniform * (table.shape[1] - 1)
    left = position.astype(np.intp)
    low = table[row, left]
    return low + (position - left) * (table[row, left + 1] - low)
