"""The sample by which rows of training are known again."""

import numpy as np

from events.trained_rows import N_KEPT, TrainedRows


def test_every_row_is_known_while_there_are_few():
    rows = np.array([9, 2**64 - 1, 5], np.uint64)
    sample = TrainedRows().with_rows(rows)
    assert sample.count(np.array([5, 6, 2**64 - 1], np.uint64)) == (3, 2)
    assert TrainedRows.from_json(sample.to_json()).hashes.tolist() == [5, 9, 2**64 - 1]


def test_share_of_known_rows_is_estimated_from_the_smallest_hashes_in_whatever_parts_they_come():
    rng = np.random.default_rng(0)
    trained, other = rng.integers(0, 2**64, (2, 200_000), np.uint64)
    sample = TrainedRows()
    for part in np.array_split(trained, 7):
        sample = sample.with_rows(part)
    assert sample.hashes.tolist() == np.sort(trained)[:N_KEPT].tolist()
    assert sample.count(trained) == (N_KEPT, N_KEPT)
    assert sample.count(other)[1] == 0
    n_sampled, n_known = sample.count(np.concatenate([trained[:50_000], other[:50_000]]))
    assert abs(n_known / n_sampled - 0.5) < 0.05
