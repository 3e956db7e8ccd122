"""Equal rows in several splits, counted where rows are divided by their position.

Divided by their hash, equal rows fall into one split. Divided by position they need not, and a network is then judged
by what it was trained on. So ingestion writes down the hash of each row, eight bytes, and compares those of the splits.
"""

import json
import os
from collections.abc import Iterator, Sequence

import numpy as np
from apache_beam.io.filesystems import FileSystems

from events.splits import SplitRule
from events.whole_files import WholeFile, find

REPEATS = "repeats.json"
READ_BYTES = 8 << 20


class HashFiles:
    """Writes the hashes of one input file's rows, a file per split, if any split is given by position."""

    def __init__(self, uri: str, rule: SplitRule, source_index: int):
        splits = rule.names if rule.ranges else ()
        self._files = [WholeFile(os.path.join(uri, f"hashes-{split}-{source_index:05d}")) for split in splits]

    def write(self, hashes: Sequence[np.ndarray]) -> None:
        """Adds rows: uint64 [n_rows] for each split."""
        for file, of_split in zip(self._files, hashes, strict=False):
            file.write(of_split.tobytes())

    def close(self) -> None:
        """Finishes the files."""
        for file in self._files:
            file.close()


def write_repeats(uri: str, rule: SplitRule) -> None:
    """Compares the splits given by position with all others, writes down what they share, and removes the hashes.

    It takes memory for the hashes of the splits given by position.

    Args:
      uri: the folder that `HashFiles` wrote to.
      rule: how the rows were divided.
    """
    if not rule.ranges:
        return
    repeats, done = [], set()
    for split, _ in rule.ranges:
        done.add(split)
        hashes = np.concatenate([np.empty(0, np.uint64), *_read(uri, split)])
        for other in rule.names:
            if other not in done:
                n_rows = _count_common(hashes, _read(uri, other))
                repeats += [{"split": split, "other": other, "n": n_rows}] if n_rows else []
    FileSystems.delete([path for split in rule.names for path in _paths(uri, split)])
    with FileSystems.create(os.path.join(uri, REPEATS)) as file:
        file.write(json.dumps(repeats).encode())


def read_repeats(uri: str) -> list[dict]:
    """What `write_repeats` wrote down.

    Returns:
      For each pair of splits with rows in common, `split` and `other`, their names, and `n`, how many of the first
      one's rows stand in the other.
    """
    for path in find(uri, REPEATS):
        with FileSystems.open(path) as file:
            return json.loads(file.read())
    return []


def _count_common(hashes: np.ndarray, others: Iterator[np.ndarray]) -> int:
    """How many of `hashes` are among the others, which come in parts."""
    if not len(hashes):
        return 0
    distinct, counts = np.unique(hashes, return_counts=True)
    found = np.zeros(len(distinct), bool)
    for part in others:
        part = np.sort(part)  # searched in order, each next step is in the cache
        place = np.minimum(np.searchsorted(distinct, part), len(distinct) - 1)
        found[place[distinct[place] == part]] = True
    return int(counts[found].sum())


def _read(uri: str, split: str) -> Iterator[np.ndarray]:
    for path in _paths(uri, split):
        with FileSystems.open(path) as file:
            while data := file.read(READ_BYTES):
                yield np.frombuffer(data, np.uint64)


def _paths(uri: str, split: str) -> list[str]:
    return find(uri, f"hashes-{split}-*")
