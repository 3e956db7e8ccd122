"""The slices that the gate measures by as well, computed from raw features."""

import tensorflow as tf

from events.higgs.columns import B_TAGS

SLICES = ("n_b_tags", "m_bb_band")
INPUTS = (*B_TAGS, "m_bb")  # the features that they are computed from
M_BB_BOUND = 1.0  # the mean of m_bb over HIGGS; the signal's h0 -> b b peaks just below it


def slices(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Computes the number of b-tagged jets and whether m_bb is low or high.

    Args:
      features: each of INPUTS to float32 [n].

    Returns:
      `n_b_tags`, int64 [n, 1], and `m_bb_band`, `low` or `high` [n, 1].
    """
    n_b_tags = tf.add_n([tf.cast(features[name] > 0, tf.int64) for name in B_TAGS])
    band = tf.where(features["m_bb"] < M_BB_BOUND, "low", "high")
    return {"n_b_tags": n_b_tags[:, None], "m_bb_band": band[:, None]}
