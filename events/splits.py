"""Which split a row belongs to: by the row's content, or by its position in the data.

By content, because then the answer depends on nothing else: neither on blocks, shards and workers nor on what other
rows there are. Equal events always fall into the same split, so that a repeated event cannot leak from training into
evaluation (HIGGS holds some).
"""

import dataclasses
import re

import numpy as np

from events.errors import IngestionError

_RANGE = re.compile(r"(-?\d*):(-?\d*)")


@dataclasses.dataclass(frozen=True)
class RowRange:
    """Rows `start` to `stop`, as in a Python slice: `:1000` are the first thousand, `-9:` the last nine."""

    start: int | None = None
    stop: int | None = None

    @classmethod
    def parse(cls, text: str) -> "RowRange":
        """Reads `START:STOP`, either of which may be missing or negative.

        >>> RowRange.parse("-9:").resolve(n_rows=100)
        RowRange(start=91, stop=100)
        """
        match = _RANGE.fullmatch(text.strip().replace("_", ""))
        if not match or text.strip() == ":":
            raise IngestionError(
                f"A row range is START:STOP. Received: {text!r}. Write :1000 for the first thousand rows "
                "or -500000: for the last half million."
            )
        return cls(*(int(bound) if bound else None for bound in match.groups()))

    def __str__(self) -> str:
        return ":".join("" if bound is None else str(bound) for bound in (self.start, self.stop))

    @property
    def needs_total(self) -> bool:
        """Whether the bounds count from the end."""
        return any(bound is not None and bound < 0 for bound in (self.start, self.stop))

    def resolve(self, n_rows: int | None) -> "RowRange":
        """The same range with bounds counted from the first row; `n_rows` may be None if none counts from the end."""
        if not self.needs_total:
            return self
        assert n_rows is not None, "a bound counts from the end"
        start, stop, _ = slice(self.start, self.stop).indices(n_rows)
        return RowRange(start, stop)

    def contains(self, numbers: np.ndarray) -> np.ndarray:
        """bool [n_rows]: which of the row numbers lie in a resolved range."""
        inside = numbers >= (self.start or 0)
        return inside if self.stop is None else inside & (numbers < self.stop)


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """How rows are divided.

    A row inside a split's range belongs to that split. Every other row goes by the hash of its features to one of the
    splits without a range, in proportion to their weights.

    >>> rule = SplitRule(weights=(("train", 8), ("eval", 1)), ranges=(("eval", RowRange(0, 2)),))
    >>> rule.assign(hashes=np.zeros(4, np.uint64), numbers=np.arange(4))
    array([1, 1, 0, 0])

    Attributes:
      weights: (split name, weight) in order.
      ranges: (split name, range) for the splits that are given by position.
    """

    weights: tuple[tuple[str, int], ...]
    ranges: tuple[tuple[str, RowRange], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.weights)

    @property
    def needs_total(self) -> bool:
        return any(rows.needs_total for _, rows in self.ranges)

    def resolve(self, n_rows: int | None) -> "SplitRule":
        """The same rule with every range counted from the first row."""
        return dataclasses.replace(self, ranges=tuple((name, rows.resolve(n_rows)) for name, rows in self.ranges))

    def assign(self, hashes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The split of each row.

        Args:
          hashes: uint64 [n_rows], as `hash_rows` makes them of the rows' features.
          numbers: int64 [n_rows], the rows' positions in the data.

        Returns:
          int64 [n_rows], an index into `names`.
        """
        by_place = {name for name, _ in self.ranges}
        hashed = [index for index, name in enumerate(self.names) if name not in by_place]
        bounds = np.cumsum([self.weights[index][1] for index in hashed])
        bucket = (hashes >> np.uint64(32)) % np.uint64(bounds[-1])
        splits = np.array(hashed)[np.searchsorted(bounds, bucket, side="right")]
        for name, rows in reversed(self.ranges):  # the first range named wins where two overlap
            splits[rows.contains(numbers)] = self.names.index(name)
        return splits


def hash_rows(features: np.ndarray) -> np.ndarray:
    """A hash of each row's 32-bit values, strongly universal in its upper half. All of it tells rows apart.

    Multilinear hashing: sum_j w_j * v_j modulo 2**64 with random 64-bit weights (Lemire and Kaser, "Strongly universal
    string hashing is fast", The Computer Journal 57 (2014) 1624, section 3).

    Args:
      features: float32 [n_features, n_rows]. Zero and minus zero count as the same value.

    Returns:
      uint64 [n_rows].
    """
    # A fixed seed: the same row must fall into the same split today and next year.
    offset, *weights = np.random.Generator(np.random.PCG64(4308)).integers(
        0, 2**64, 1 + len(features), dtype=np.uint64, endpoint=False
    )
    total = np.full(features.shape[1], offset)
    for weight, column in zip(weights, features, strict=True):
        total += weight * (column + np.float32(0)).view(np.uint32)
    return total
