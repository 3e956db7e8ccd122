import numpy as np
import pytest
from conftest import make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import IngestionError
from events.splits import RowRange, SplitRule, hash_rows

WEIGHTS = (("train", 8), ("val", 1), ("eval", 1))
HASH_OF_0_TO_27 = 3797720789
FEATURES = make_rows(20_000)[:, 1:].T
NUMBERS = np.arange(20_000)
HASHES = hash_rows(FEATURES)


def test_weights_are_met_within_sampling_error():
    counts = np.bincount(SplitRule(WEIGHTS).assign(HASHES, NUMBERS))
    # Binomial standard deviations: 57 of 16,000 and 42 of 2,000.
    assert np.abs(counts - [16_000, 2_000, 2_000]).max() < 4 * 57


def test_split_depends_on_the_row_alone():
    splits = SplitRule(WEIGHTS).assign(HASHES, NUMBERS)
    order = np.random.default_rng(1).permutation(20_000)
    assert np.array_equal(SplitRule(WEIGHTS).assign(HASHES[order], NUMBERS + 5), splits[order])
    in_blocks = [SplitRule(WEIGHTS).assign(HASHES[i : i + 777], NUMBERS) for i in range(0, 20_000, 777)]
    assert np.array_equal(np.concatenate(in_blocks), splits)


def test_hash_is_the_same_on_every_machine_and_day():
    row = np.arange(28, dtype=np.float32)[:, None]
    assert (hash_rows(row) >> np.uint64(32)).tolist() == [HASH_OF_0_TO_27]
    assert np.array_equal(hash_rows(-0.0 * row), hash_rows(0.0 * row))


def test_one_changed_bit_changes_the_hash():
    changed = FEATURES.copy()
    changed[7] = np.nextafter(changed[7], np.float32(9))
    assert (hash_rows(changed) != hash_rows(FEATURES)).mean() > 0.999


def test_rows_by_place_come_first_and_the_rest_is_hashed_among_the_other_splits():
    rule = SplitRule(WEIGHTS, (("eval", RowRange.parse(":1000")),))
    splits = rule.assign(HASHES, NUMBERS)
    assert (splits[:1000] == 2).all()
    assert not (splits[1000:] == 2).any()
    assert abs((splits[1000:] == 1).mean() - 1 / 9) < 0.01


def test_first_range_wins_where_two_overlap():
    ranges = (("eval", RowRange(0, 100)), ("val", RowRange(50, 150)))
    splits = SplitRule(WEIGHTS, ranges).assign(HASHES[:200], NUMBERS[:200])
    assert splits[:150].tolist() == [2] * 100 + [1] * 50
    assert set(splits[150:]) == {0}  # of the splits without a range there is one
    splits = SplitRule(WEIGHTS, ranges[::-1]).assign(HASHES[:200], NUMBERS[:200])
    assert splits[:150].tolist() == [2] * 50 + [1] * 100


BOUNDS = st.none() | st.integers(-12, 12)
SHARES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
repeatable = settings(derandomize=True, deadline=None, database=None)


@repeatable
@given(start=BOUNDS, stop=BOUNDS, n_rows=st.integers(0, 10))
def test_range_means_what_a_python_slice_means(start, stop, n_rows):
    numbers = np.arange(n_rows)
    rows = RowRange(start, stop)
    assert np.array_equal(numbers[rows.resolve(n_rows).contains(numbers)], numbers[start:stop])
    assert rows.needs_total or rows.resolve(None) == rows
    if (start, stop) != (None, None):
        assert RowRange.parse(str(rows)) == rows
    assert RowRange.parse("-500_000:") == RowRange(-500_000)


@repeatable
@given(shares=SHARES, data=st.data())
def test_rows_of_no_range_go_by_hash_and_weight_to_a_split_without_one(shares, data):
    weights = tuple((f"split-{index}", share) for index, share in enumerate(shares))
    names = [name for name, _ in weights]
    by_place = data.draw(st.lists(st.sampled_from(names[1:]), unique=True)) if names[1:] else []
    ranges = tuple((name, RowRange(data.draw(BOUNDS), data.draw(BOUNDS))) for name in by_place)
    hashes, numbers = HASHES[:40], np.arange(40)
    splits = SplitRule(weights, ranges).resolve(40).assign(hashes, numbers)
    hashed = [name for name in names if name not in by_place]
    for number, split in enumerate(splits):
        placed = [name for name, rows in ranges if number in numbers[rows.start : rows.stop]]
        # By hand: a name for each unit of weight, in order, and the hash's upper half to choose one.
        units = [name for name, share in weights if name in hashed for _ in range(share)]
        assert names[split] == (placed or [units[(int(hashes[number]) >> 32) % len(units)]])[0]


@pytest.mark.parametrize("text", ["1000", ":", "a:b", "1:2:3", ""])
def test_range_of_another_form_is_refused(text):
    with pytest.raises(IngestionError, match="START:STOP"):
        RowRange.parse(text)
