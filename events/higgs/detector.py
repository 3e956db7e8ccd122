"""What a detector makes of a collision: smeared jets with b tags, a lepton, missing energy, and the event selection.

The cuts are those the published columns show, which are wider than the article's 20 GeV and 2.5 in pseudorapidity: the
smallest lepton and jet momenta correspond to one threshold, whose value in GeV follows from the W mass m_lv is built
with, and the largest pseudorapidities give the rest. Never more than two of the four jets are tagged there, although
fifth jets enter the masses: the selection must have wanted exactly two tags. The jets do not come in falling order of
their published momentum (a quarter of neighbours are the other way round), so an earlier estimate must have ordered
them. Resolutions and efficiencies were set by comparison with published rows, see benchmarks/simulation_fidelity.py.
Units: GeV.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from events.higgs.collisions import LEPTON, NEUTRINO, QUARK_1
from events.higgs.kinematics import dot, transverse
from events.higgs.radiation import split

MIN_PT = 15.0
MAX_LEPTON_ETA = 2.5
MAX_JET_ETA = 3.0
N_JETS = 4  # an event needs as many; further jets stay visible to the reconstruction

# Jets closer than a radius merge. Calorimeter cells blur the published minimum between 0.4 and 0.8.
MIN_RADIUS, MAX_RADIUS = 0.4, 0.75

# Tagging relative to its plateau: every event kept has exactly two tags, so a common factor would only discard events.
TAG_ETA_FALL = 1.4, 1.75  # the chance falls to zero between these pseudorapidities
TAG_TURN_ON = 32.0
MISTAG = {"light": 0.05, "charm": 0.3, "gluon": 0.08}
LOOSE_TAG = 0.185  # share of tags that reach only the first of the two levels

ORDER_RESOLUTION = 0.3
LEPTON_RESOLUTION = 0.02
STOCHASTIC, CONSTANT, NOISE = 0.9, 0.08, 4.0  # of the jets' momenta: sigma^2 = S^2 pT + C^2 pT^2 + N^2
JET_SCALE = 0.985
SOFT_RESOLUTION = 10.0  # per component of missing energy, from what is in no jet
SEMILEPTONIC = 0.25  # share of b jets with a neutrino, charm's included
MAX_B_NEUTRINO = 0.4  # of the b's momentum


class Event(NamedTuple):
    """Objects of n selected events; jets are in the data set's order, absent ones are zero and last."""

    lepton: np.ndarray  # [4, n]
    missing: np.ndarray  # px and py [2, n]
    jets: np.ndarray  # [4, 10, n]
    tags: np.ndarray  # [10, n]: 0 none, 1 loose, 2 tight


def detect(rng: np.random.Generator, partons: np.ndarray, radiated: np.ndarray) -> Event:
    """Detector response to partons [4, 6, n] and gluons [4, 3, n]; returns the events that pass the selection."""
    quarks = partons[:, QUARK_1:]
    tags = draw_tags(rng, quarks)
    gluon_tags = draw_gluon_tags(rng, radiated)
    lepton_pt = transverse(partons[:, LEPTON])
    early = (lepton_pt > 0.9 * MIN_PT) & (np.abs(partons[3, LEPTON]) < np.sinh(MAX_LEPTON_ETA) * lepton_pt)
    early &= np.count_nonzero(tags, axis=0) + np.count_nonzero(gluon_tags, axis=0) == 2
    early = np.flatnonzero(early)
    quarks, lepton, missing = quarks[:, :, early], partons[:, LEPTON, early], partons[1:3, NEUTRINO, early]
    gluons = [split(rng, quarks[:, i]) for i in (1, 2, 3)]
    jets = np.concatenate([quarks, np.stack(gluons, axis=1), radiated[:, :, early]], axis=1)
    tags = np.concatenate([tags[:, early], np.zeros((3, len(early)), np.int8), gluon_tags[:, early]])
    for b in (2, 3):
        _lose_neutrino(rng, jets[:, b], missing)
    merge(rng, jets, tags)
    seen_pt = transverse(jets) * np.exp(ORDER_RESOLUTION * rng.standard_normal(tags.shape))
    _smear_jets(rng, jets, missing)
    smeared = lepton * (1.0 + LEPTON_RESOLUTION * rng.standard_normal(len(early)))
    missing += (lepton - smeared)[1:3] + SOFT_RESOLUTION * rng.standard_normal(missing.shape)
    return _select(Event(smeared, missing, jets, tags), seen_pt)


def draw_tags(rng: np.random.Generator, quarks: np.ndarray) -> np.ndarray:
    """b tags [4, n] (0, 1 or 2) of two light quarks and two b quarks [4, 4, n].

    Half the W bosons decay to a charm quark, which takes the first slot.
    """
    pt = transverse(quarks)
    slope = np.abs(quarks[3]) / pt  # sinh of the pseudorapidity
    low, high = np.sinh(TAG_ETA_FALL)
    chance = (1.0 - np.exp(pt / -TAG_TURN_ON)) * np.clip((high - slope) / (high - low), 0.0, 1.0)
    chance[0] *= np.where(rng.random(pt.shape[1]) < 0.5, MISTAG["charm"], MISTAG["light"])
    chance[1] *= MISTAG["light"]
    return _grade_tags(rng.random(pt.shape), chance)


def draw_gluon_tags(rng: np.random.Generator, gluons: np.ndarray) -> np.ndarray:
    """b tags [3, n] (0, 1 or 2) of gluons [4, 3, n]: mistags, and true ones of gluons that split to a b pair."""
    pt = transverse(gluons)
    chance = MISTAG["gluon"] * ((pt > MIN_PT) & (np.abs(gluons[3]) < np.sinh(TAG_ETA_FALL[1]) * pt))
    return _grade_tags(rng.random(pt.shape), chance)


def _grade_tags(uniform, chance):
    return (uniform < chance).astype(np.int8) + (uniform < chance * (1.0 - LOOSE_TAG))


def _lose_neutrino(rng, b, missing):
    """Move a share of some b quarks' momenta [4, n] to the missing energy, in place."""
    n = b.shape[-1]
    share = np.where(rng.random(n) < SEMILEPTONIC, MAX_B_NEUTRINO * rng.random(n), 0.0)
    missing += share * b[1:3]
    b *= 1.0 - share


def merge(rng: np.random.Generator, jets: np.ndarray, tags: np.ndarray) -> None:
    """Add up jets [4, k, n] within a radius of each other, and keep their higher tag [k, n], in place."""
    reach = rng.uniform(MIN_RADIUS, MAX_RADIUS, jets.shape[2]) ** 2
    pt = transverse(jets)
    any_close = np.zeros(jets.shape[2], bool)
    for shift in range(1, len(pt)):
        any_close |= _are_close(jets[:, shift:], jets[:, :-shift], reach * pt[shift:] * pt[:-shift]).any(axis=0)
    chosen = np.flatnonzero(any_close)
    merged, merged_tags, merged_pt, reach = jets[:, :, chosen], tags[:, chosen], pt[:, chosen], reach[chosen]
    for i, j in combinations(range(len(pt)), 2):
        close = _are_close(merged[:, i], merged[:, j], reach * merged_pt[i] * merged_pt[j])
        events = np.flatnonzero(close)
        merged[:, i, events] += merged[:, j, events]
        merged[:, j, events] = 0.0
        merged_tags[i, events] = np.maximum(merged_tags[i, events], merged_tags[j, events])
        merged_tags[j, events] = 0
        merged_pt[i, events], merged_pt[j, events] = transverse(merged[:, i, events]), 0.0
    jets[:, :, chosen], tags[:, chosen] = merged, merged_tags


def _are_close(p, q, reach):
    # For massless momenta 2 p.q / (pT qT) = 2 (cosh d_eta - cos d_phi), which is near d_eta^2 + d_phi^2.
    return 2.0 * dot(p, q) < reach


def _smear_jets(rng, jets, missing):
    """Scale each jet [4, k, n] by its response, in place, and book the difference as missing energy [2, n]."""
    pt = np.maximum(transverse(jets), 1.0)
    sigma = np.sqrt(STOCHASTIC**2 / pt + CONSTANT**2 + (NOISE / pt) ** 2)
    response = np.maximum(JET_SCALE + sigma * rng.standard_normal(pt.shape), 0.0)
    missing += ((1.0 - response) * jets[1:3]).sum(axis=1)
    jets *= response


def _select(event, seen_pt):
    """Events that pass the cuts, their surviving jets in falling order of `seen_pt` [k, n]."""
    lepton, missing, jets, tags = event
    pt, lepton_pt = transverse(jets), transverse(lepton)
    good = (pt > MIN_PT) & (np.abs(jets[3]) < np.sinh(MAX_JET_ETA) * pt)
    near = _are_close(jets, lepton[:, None], MIN_RADIUS**2 * pt * lepton_pt)
    passed = np.count_nonzero(good, axis=0) >= N_JETS
    passed &= np.count_nonzero(good & (tags > 0), axis=0) == 2
    passed &= ~(good & near).any(axis=0)
    passed &= (lepton_pt > MIN_PT) & (np.abs(lepton[3]) < np.sinh(MAX_LEPTON_ETA) * lepton_pt)
    chosen = np.flatnonzero(passed)
    rank = np.where(good, seen_pt, -1.0)[:, chosen]
    order = np.argsort(-rank.T, axis=1).T
    present = np.take_along_axis(rank, order, axis=0) > 0.0
    jets = jets[:, order, chosen] * present
    return Event(lepton[:, chosen], missing[:, chosen], jets, tags[order, chosen] * present)
