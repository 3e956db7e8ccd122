"""The 28 published columns from reconstructed objects: 21 momenta and tags, 7 invariant masses, scaled as in HIGGS.

How the masses are put together was read off published rows, whose low-level columns reproduce their masses:

- m_bb takes the two tagged jets; m_jj the two others whose mass is nearest the W's, fifth and later jets included;
- m_jjj adds the tagged jet that brings it nearest the top's mass, m_jlv gives the other one to the leptonic W;
- m_wbb is the larger of the two masses of bb with either W; m_wwbb takes everything;
- the neutrino's pseudorapidity is scanned over a coarse grid for the W mass, so m_lv peaks with a visible width.

Units: GeV before scaling.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from events.higgs.collisions import W_MASS
from events.higgs.detector import MAX_JET_ETA, MAX_LEPTON_ETA, MIN_PT, N_JETS, Event
from events.higgs.kinematics import mass, transverse

TOP_TARGET = 174.3
N_W_CANDIDATES = 3
SCAN_LIMIT, SCAN_STEP = 3.0, 0.05

# What one unit of each published column is. Momenta and masses were divided by their means, angles by their standard
# deviations. For momenta and pseudorapidities the unit is a cut over the column's extreme value; the others make the
# masses and missing energies recomputed from published low-level columns agree with the published high-level ones.
PHI_UNIT = np.pi / 1.7432
LEPTON_PT_UNIT, LEPTON_ETA_UNIT = MIN_PT / 0.27467, MAX_LEPTON_ETA / 2.4349
MISSING_UNIT = 58.4
JET_PT_UNITS = MIN_PT / np.array([0.13760, 0.18898, 0.26361, 0.36535])
JET_ETA_UNITS = MAX_JET_ETA / np.array([2.9697, 2.9131, 2.7300, 2.4980])
TAG_LEVELS = np.array([[0, 1.0865, 2.1731], [0, 1.1074, 2.2149], [0, 1.2740, 2.5482], [0, 1.5510, 3.1020]], np.float32)
MASS_UNITS = {"m_jj": 87.6, "m_jjj": 179.5, "m_lv": 81.4, "m_jlv": 194.8, "m_bb": 126.4, "m_wbb": 329.0}
MASS_UNITS["m_wwbb"] = 510.0


def reconstruct(event: Event) -> np.ndarray:
    """Feature rows [n, 28] float32 in the data set's order and units."""
    n = event.lepton.shape[-1]
    rows = np.empty((n, 28), np.float32)
    lepton_pt, lepton_eta, lepton_phi = _measure(event.lepton)
    rows[:, 0], rows[:, 1], rows[:, 2] = lepton_pt / LEPTON_PT_UNIT, lepton_eta / LEPTON_ETA_UNIT, lepton_phi / PHI_UNIT
    rows[:, 3] = np.hypot(*event.missing) / MISSING_UNIT
    rows[:, 4] = np.arctan2(event.missing[1], event.missing[0]) / PHI_UNIT
    for i in range(N_JETS):
        pt, eta, phi = _measure(event.jets[:, i])
        column = 5 + 4 * i
        rows[:, column], rows[:, column + 1] = pt / JET_PT_UNITS[i], eta / JET_ETA_UNITS[i]
        rows[:, column + 2], rows[:, column + 3] = phi / PHI_UNIT, TAG_LEVELS[i][event.tags[i]]
    for column, (name, values) in enumerate(combine_masses(event).items(), start=21):
        rows[:, column] = values / MASS_UNITS[name]
    return rows


def combine_masses(event: Event) -> dict[str, np.ndarray]:
    """The seven masses [n] in GeV, by name and in file order."""
    tagged = np.argsort(event.tags == 0, axis=0, kind="stable")[:2]
    b_1, b_2 = (event.jets[:, slots, np.arange(len(slots))] for slots in tagged)
    hadronic = find_w_pair(event)
    leptonic = event.lepton + find_neutrino(event.lepton, event.missing)
    bb = b_1 + b_2
    top_masses = mass(hadronic + b_1), mass(hadronic + b_2)
    first = np.abs(top_masses[0] - TOP_TARGET) < np.abs(top_masses[1] - TOP_TARGET)
    return {
        "m_jj": mass(hadronic),
        "m_jjj": np.where(first, *top_masses),
        "m_lv": mass(leptonic),
        "m_jlv": mass(leptonic + np.where(first, b_2, b_1)),
        "m_bb": mass(bb),
        "m_wbb": np.maximum(mass(hadronic + bb), mass(leptonic + bb)),
        "m_wwbb": mass(hadronic + leptonic + bb),
    }


def find_w_pair(event: Event) -> np.ndarray:
    """Sum [4, n] of the two of the leading untagged jets whose invariant mass is nearest the W's."""
    unusable = (event.tags > 0) | (event.jets[0] == 0.0)
    leading = np.argsort(unusable, axis=0, kind="stable")[:N_W_CANDIDATES]
    best = np.full(event.lepton.shape[-1], np.inf)
    pair = np.zeros_like(event.lepton)
    every = np.arange(len(best))
    for i, j in combinations(leading, 2):
        together = event.jets[:, i, every] + event.jets[:, j, every]
        distance = np.abs(mass(together) - W_MASS)
        distance[unusable[j, every]] = np.inf
        nearer = distance < best
        best = np.where(nearer, distance, best)
        pair = np.where(nearer, together, pair)
    return pair


def find_neutrino(lepton: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Neutrino momenta [4, n] with the given transverse part [2, n], at the grid's best m_lv for leptons [4, n].

        m_lv^2 = 2 pT(l) pT(v) (cosh(eta(v) - eta(l)) - cos(phi(v) - phi(l)))

    grows with the distance in eta, so the best grid point is beside one of the two exact solutions, or beside the
    lepton where the transverse mass alone exceeds the W's.
    """
    pt, lepton_pt = np.hypot(*missing), transverse(lepton)
    scale = 2.0 * pt * lepton_pt
    cosine = 2.0 * (missing[0] * lepton[1] + missing[1] * lepton[2]) / scale
    eta = np.arcsinh(lepton[3] / lepton_pt)
    distance = np.arccosh(np.maximum(W_MASS**2 / scale + cosine, 1.0))
    solutions = np.stack([eta - distance, eta + distance]) / SCAN_STEP
    candidates = np.concatenate([np.floor(solutions), np.ceil(solutions)]) * SCAN_STEP
    candidates = np.clip(candidates, -SCAN_LIMIT, SCAN_LIMIT)
    off = np.abs(np.sqrt(np.maximum(scale * (np.cosh(candidates - eta) - cosine), 0.0)) - W_MASS)
    chosen = np.take_along_axis(candidates, off.argmin(axis=0)[None], axis=0)[0]
    return np.stack([pt * np.cosh(chosen), missing[0], missing[1], pt * np.sinh(chosen)])


def _measure(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transverse momentum in GeV, pseudorapidity and azimuth [n] of momenta [4, n]."""
    pt = transverse(p)
    return pt, np.arcsinh(p[3] / pt), np.arctan2(p[2], p[1])
