"""Which rows a model was trained on, in 32 KB beside it, so that a prediction on such rows can say so.

The smallest hashes of the training rows are a sample of the rows by their content: any other row whose hash is as small
is in the sample or was not trained on (bottom-k sketch: Cohen and Kaplan, "Summarizing data using bottom-k sketches",
PODC 2007).
"""

import dataclasses
import json

import numpy as np

N_KEPT = 4096
FILE = "trained_rows.json"  # in a served model's assets.extra


@dataclasses.dataclass(frozen=True)
class TrainedRows:
    """A sample of rows.

    Attributes:
      hashes: uint64, ascending, of `events.splits.hash_rows`: the N_KEPT smallest ones, or all if there are fewer.
    """

    hashes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.uint64))

    @property
    def largest(self) -> int:
        """Up to which hash rows are in the sample."""
        return int(self.hashes[-1]) if len(self.hashes) == N_KEPT else 2**64 - 1

    def with_rows(self, hashes: np.ndarray) -> "TrainedRows":
        """The sample of these rows as well, uint64 [n]."""
        hashes = hashes[hashes <= np.uint64(self.largest)]
        return TrainedRows(np.union1d(self.hashes, hashes)[:N_KEPT]) if len(hashes) else self

    def count(self, hashes: np.ndarray) -> tuple[int, int]:
        """How many of these rows could be in the sample, and how many are."""
        hashes = hashes[hashes <= np.uint64(self.largest)]
        return len(hashes), int(np.isin(hashes, self.hashes).sum())

    def to_json(self) -> str:
        """The sample as text; hashes are in hexadecimal digits, as JSON's numbers are too short for them."""
        return json.dumps([f"{value:x}" for value in self.hashes.tolist()])

    @classmethod
    def from_json(cls, text: str) -> "TrainedRows":
        """The sample of `to_json`."""
        return cls(np.array([int(value, 16) for value in json.loads(text)], np.uint64))
