"""Physics columns: what a physicist would compute of an event before telling h0 -> W W b b from pairs of top quarks.

Every column is a function of the 21 low-level columns and the seven masses. None changes when an event is turned
around the beam; only the sign of what points along the beam does when the two beams are exchanged. Momenta, energies
and masses are in GeV with c = 1, angles in radians; the units of the published columns are those of
`events.higgs.reconstruction`.

An event is one lepton, four jets in the order of their transverse momenta, and the missing transverse momentum, which
stands for a neutrino and defines the x axis. The neutrino's momentum along the beam follows from the mass of the W
that it shares with the lepton, up to two solutions:

    pz = (a pz(l) +- E(l) sqrt(a^2 - pT(l)^2 pT(v)^2)) / pT(l)^2,   a = m(W)^2 / 2 + pT(l) . pT(v)

The square root of a negative number is taken as 0: the W was then heavier than its mass.
"""

import math
from itertools import combinations

import tensorflow as tf

from events.higgs.collisions import W_MASS
from events.higgs.columns import HIGH_LEVEL, JETS
from events.higgs.reconstruction import (
    JET_ETA_UNITS,
    JET_PT_UNITS,
    LEPTON_ETA_UNIT,
    LEPTON_PT_UNIT,
    MISSING_UNIT,
    PHI_UNIT,
    TAG_LEVELS,
)

OBJECTS = ("lepton", *JETS)
PAIRS = tuple(combinations(range(5), 2))
TRIPLES = tuple(combinations(range(1, 5), 3))
PI = math.pi
MAX_ETA = 10.0
TINY = 1e-6  # keeps logarithms and quotients finite where an input is 0

Columns = dict[str, tf.Tensor]


def physics_columns(columns: Columns) -> Columns:
    """Computes the physics columns.

    Args:
      columns: the published columns by name, float32 [n].

    Returns:
      Name to float32 [n], in a fixed order; finite wherever the published columns are.
    """
    return {name: value for group in physics_groups(columns).values() for name, value in group.items()}


def physics_groups(columns: Columns) -> dict[str, Columns]:
    """Computes the physics columns, as `physics_columns` does, by what they have in common."""
    pt, eta, phi, tags = _objects(columns)
    missing = tf.maximum(columns["missing_energy_magnitude"] * MISSING_UNIT, TINY)
    momenta = _momenta(pt, eta, phi)
    solutions, discriminant = _neutrinos(momenta[0], missing)
    return {
        "angles": _angles(eta, phi),
        "pairs": _pairs(eta, phi),
        "sums": _sums(pt, momenta, phi, missing, tags),
        "mass ratios": _mass_ratios(columns),
        "four-momenta": _four_vectors(momenta),
        "masses": _masses(momenta),
        "neutrino": _neutrino_columns(momenta, solutions, discriminant),
        "candidates": _candidates(momenta, tags, solutions),
    }


def _objects(columns: Columns) -> tuple[tf.Tensor, ...]:
    """Transverse momenta, pseudorapidities and azimuths from the missing momentum, each [5, n], and b-tags [4, n].

    A tag is 0, 1 or 2: none, loose or tight. (A pseudorapidity of more than MAX_ETA, which no detector sees, is cut.)
    """
    pt_units, eta_units = (LEPTON_PT_UNIT, *JET_PT_UNITS), (LEPTON_ETA_UNIT, *JET_ETA_UNITS)
    pt = tf.stack([columns[f"{name}_pt"] * float(unit) for name, unit in zip(OBJECTS, pt_units, strict=True)])
    eta = tf.stack([columns[f"{name}_eta"] * float(unit) for name, unit in zip(OBJECTS, eta_units, strict=True)])
    phi = tf.stack([columns[f"{name}_phi"] - columns["missing_energy_phi"] for name in OBJECTS]) * float(PHI_UNIT)
    tags = tf.stack([columns[f"{jet}_b_tag"] / levels[1] for jet, levels in zip(JETS, TAG_LEVELS, strict=True)])
    # Tags are rounded so that equal ones are: their levels differ by jet, and in the last digits.
    return tf.maximum(pt, TINY), tf.clip_by_value(eta, -MAX_ETA, MAX_ETA), _wrap(phi), tf.round(tags)


def _wrap(angle: tf.Tensor) -> tf.Tensor:
    """An angle within [-pi, pi)."""
    return tf.math.floormod(angle + PI, 2 * PI) - PI


def _momenta(pt: tf.Tensor, eta: tf.Tensor, phi: tf.Tensor) -> tf.Tensor:
    """Massless four-momenta (E, px, py, pz), [5, 4, n]."""
    return tf.stack([pt * tf.cosh(eta), pt * tf.cos(phi), pt * tf.sin(phi), pt * tf.sinh(eta)], axis=1)


def _angles(eta: tf.Tensor, phi: tf.Tensor) -> Columns:
    """|eta| and |phi - phi(missing)| of each object."""
    return {f"{name}_abs_eta": value for name, value in _named(tf.abs(eta))} | {
        f"{name}_missing_dphi": value for name, value in _named(tf.abs(phi))
    }


def _named(values: tf.Tensor):
    return zip(OBJECTS, tf.unstack(values, num=5), strict=True)


def _pairs(eta: tf.Tensor, phi: tf.Tensor) -> Columns:
    """|d eta|, |d phi|, delta R, the logarithm of the mass term and the product of the etas of each two objects.

    delta R = sqrt(d eta^2 + d phi^2); the mass term is cosh(d eta) - cos(d phi), m^2 / (2 pT pT).
    """
    first, second = ([pair[side] for pair in PAIRS] for side in (0, 1))
    d_eta = tf.abs(tf.gather(eta, first) - tf.gather(eta, second))
    d_phi = tf.abs(_wrap(tf.gather(phi, first) - tf.gather(phi, second)))
    quantities = {
        "deta": d_eta,
        "dphi": d_phi,
        "dr": tf.sqrt(d_eta**2 + d_phi**2),
        "log_mass_term": tf.math.log(tf.cosh(d_eta) - tf.cos(d_phi) + TINY),
        "eta_product": tf.gather(eta, first) * tf.gather(eta, second),
    }
    return {
        f"{OBJECTS[i]}_{OBJECTS[j]}_{name}": value
        for name, values in quantities.items()
        for (i, j), value in zip(PAIRS, tf.unstack(values, num=len(PAIRS)), strict=True)
    }


def _sums(pt: tf.Tensor, momenta: tf.Tensor, phi: tf.Tensor, missing: tf.Tensor, tags: tf.Tensor) -> Columns:
    """Transverse mass of lepton and missing momentum, and the event's scalar and vector sums, tags and centrality."""
    jets_pt, total = tf.reduce_sum(pt[1:], 0), tf.reduce_sum(momenta, 0)
    all_pt = jets_pt + pt[0] + missing
    return {
        "transverse_mass": tf.sqrt(2 * pt[0] * missing * (1 - tf.cos(phi[0]))),
        "jets_scalar_sum": jets_pt,
        "scalar_sum": all_pt,
        "vector_sum": tf.sqrt((total[1] + missing) ** 2 + total[2] ** 2),
        "missing_significance": missing / tf.sqrt(all_pt),
        "tag_sum": tf.reduce_sum(tags, 0),
        "n_tags": tf.reduce_sum(tf.cast(tags > 0.5, tf.float32), 0),
        "centrality": tf.reduce_sum(pt, 0) / total[0],
    }


def _mass_ratios(columns: Columns) -> Columns:
    """Logarithms of the 21 ratios of the seven published masses."""
    logs = {name: tf.math.log(tf.maximum(columns[name], TINY)) for name in HIGH_LEVEL}
    return {f"{one}_to_{other}": logs[one] - logs[other] for one, other in combinations(HIGH_LEVEL, 2)}


def _four_vectors(momenta: tf.Tensor) -> Columns:
    """E, px, py and pz of each object, x along the missing momentum."""
    return {
        f"{name}_{part}": value
        for name, p in _named(momenta)
        for part, value in zip(("e", "px", "py", "pz"), tf.unstack(p, num=4), strict=True)
    }


def _masses(momenta: tf.Tensor) -> Columns:
    """Masses of each two objects, each three jets, and the lepton with each two jets."""
    groups = [*PAIRS, *TRIPLES, *((0, *pair) for pair in combinations(range(1, 5), 2))]
    sums = tf.stack([tf.add_n([momenta[i] for i in group]) for group in groups], axis=1)
    masses = tf.unstack(mass(sums), num=len(groups))
    return {"_".join(OBJECTS[i] for i in group) + "_mass": value for group, value in zip(groups, masses, strict=True)}


def mass(p: tf.Tensor) -> tf.Tensor:
    """Invariant mass of four-momenta [4, ...]; 0 where rounding leaves a negative square."""
    return tf.sqrt(tf.maximum(p[0] ** 2 - p[1] ** 2 - p[2] ** 2 - p[3] ** 2, 0.0))


def _neutrinos(lepton: tf.Tensor, missing: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Both solutions [2, 4, n], the one of smaller |pz| first, and the discriminant [n] over a^2, at least -1."""
    pt_squared = lepton[1] ** 2 + lepton[2] ** 2
    a = W_MASS**2 / 2 + lepton[1] * missing
    discriminant = a**2 - pt_squared * missing**2
    root = lepton[0] * tf.sqrt(tf.maximum(discriminant, 0.0))
    pz = tf.stack([(a * lepton[3] - root) / pt_squared, (a * lepton[3] + root) / pt_squared])
    swapped = tf.abs(pz[0]) > tf.abs(pz[1])
    pz = tf.stack([tf.where(swapped, pz[1], pz[0]), tf.where(swapped, pz[0], pz[1])])
    energy = tf.sqrt(pz**2 + missing**2)
    p = tf.stack([energy, tf.broadcast_to(missing, tf.shape(pz)), tf.zeros_like(pz), pz], axis=1)
    return p, tf.maximum(discriminant / (a**2 + TINY), -1.0)


def _neutrino_columns(momenta: tf.Tensor, solutions: tf.Tensor, discriminant: tf.Tensor) -> Columns:
    """The solutions' pz, the discriminant, and the mass of the leptonic W, at either solution, with each jet."""
    result = {"neutrino_discriminant": discriminant}
    for number in (0, 1):
        leptonic = momenta[0] + solutions[number]
        result[f"neutrino_{number}_pz"] = solutions[number][3]
        for jet in range(1, 5):
            result[f"w_{number}_{OBJECTS[jet]}_mass"] = mass(leptonic + momenta[jet])
    return result


def _candidates(momenta: tf.Tensor, tags: tf.Tensor, solutions: tf.Tensor) -> Columns:
    """Masses, momenta and angles of the W, top, h0 and heavy Higgs candidates, with the jets ordered by b-tag.

    The two jets with the highest tags, the harder first where equal, are b_1 and b_2; the others make the hadronic W.
    """
    order = tf.argsort(tags, axis=0, direction="DESCENDING", stable=True)
    jets = tf.transpose(momenta[1:], [2, 0, 1])  # [n, 4, 4]
    ordered = tf.transpose(tf.gather(jets, tf.transpose(order), batch_dims=1), [1, 2, 0])
    b_1, b_2, q_1, q_2 = tf.unstack(ordered, num=4)
    h0, hadronic = b_1 + b_2, q_1 + q_2
    groups = {"h0": h0, "hadronic_w": hadronic, "hadronic_top_1": hadronic + b_1, "hadronic_top_2": hadronic + b_2}
    groups["hadronic_wbb"] = hadronic + h0
    for number in (0, 1):
        leptonic = momenta[0] + solutions[number]
        groups |= {
            f"leptonic_w_{number}": leptonic,
            f"leptonic_top_{number}_1": leptonic + b_1,
            f"leptonic_top_{number}_2": leptonic + b_2,
            f"leptonic_wbb_{number}": leptonic + h0,
            f"ww_{number}": leptonic + hadronic,
            f"system_{number}": leptonic + hadronic + h0,
        }
    stacked = tf.stack(list(groups.values()), axis=1)  # [4, n_groups, n]
    result = {
        f"{name}_mass": value for name, value in zip(groups, tf.unstack(mass(stacked), num=len(groups)), strict=True)
    }
    pt = tf.sqrt(stacked[1] ** 2 + stacked[2] ** 2)
    result |= {f"{name}_pt": value for name, value in zip(groups, tf.unstack(pt, num=len(groups)), strict=True)}
    for number in (0, 1):
        result[f"system_{number}_pz"] = groups[f"system_{number}"][3]
    for name, (one, other) in {
        "h0": (b_1, b_2),
        "hadronic_w": (q_1, q_2),
        "h0_hadronic_w": (h0, hadronic),
        "h0_leptonic_w": (h0, groups["leptonic_w_0"]),
        "w_w": (hadronic, groups["leptonic_w_0"]),
        "lepton_b_1": (momenta[0], b_1),
        "lepton_b_2": (momenta[0], b_2),
    }.items():
        result[f"{name}_angle_cosine"] = _cosine(one, other)
        result[f"{name}_transverse_cosine"] = _cosine(one[:3], other[:3])
    for name, p in (("b_1", b_1), ("b_2", b_2), ("q_1", q_1), ("q_2", q_2)):
        result[f"{name}_pt"] = tf.sqrt(p[1] ** 2 + p[2] ** 2)
    return result


def _cosine(p: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """Cosine of the angle between the momenta of [4, n], or of [3, n] without their parts along the beam."""
    product = tf.reduce_sum(p[1:] * q[1:], 0)
    return product / tf.sqrt(tf.reduce_sum(p[1:] ** 2, 0) * tf.reduce_sum(q[1:] ** 2, 0) + TINY)
