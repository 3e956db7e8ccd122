"""What to know of events beside their probabilities: whether the model knows them, whether they can be events."""

import os
import re
from pathlib import Path

import numpy as np

from events.higgs import SCHEMA
from events.higgs.columns import FEATURES
from events.splits import hash_rows
from events.trained_rows import FILE, TrainedRows

FEWEST_KNOWN = 0.01  # of the rows; HIGGS itself holds some events twice
BOUNDS = re.compile(r'name: "(\w+)".*?_domain \{([^}]*)\}', re.DOTALL)


def ranges() -> np.ndarray:
    """float64 [28, 2]: the least and greatest value that the schema allows each feature."""
    found = dict(BOUNDS.findall(Path(SCHEMA).read_text()))
    return np.array([[_bound(found[name], "min", -np.inf), _bound(found[name], "max", np.inf)] for name in FEATURES])


def _bound(domain: str, name: str, otherwise: float) -> float:
    given = re.search(rf"{name}: (\S+)", domain)
    return float(given[1]) if given else otherwise


class Remarks:
    """Looks at events as they are scored."""

    def __init__(self, model_folder: str = ""):
        """Prepares to look.

        Args:
          model_folder: of the SavedModel, where it is on this machine; empty where only a server has it.
        """
        path = os.path.join(model_folder, "assets.extra", FILE)
        there = model_folder and os.path.isfile(path)
        self._trained = TrainedRows.from_json(Path(path).read_text()) if there else None
        self._ranges = ranges()
        self._n_rows = self._n_sampled = self._n_known = 0
        self._n_outside = np.zeros(len(FEATURES), np.int64)
        self._first_outside: dict[int, tuple[int, float]] = {}

    def add(self, features: np.ndarray) -> None:
        """Looks at the next rows, float32 [28, n]."""
        outside = (features < self._ranges[:, :1]) | (features > self._ranges[:, 1:])
        if outside.any():
            self._n_outside += outside.sum(axis=1)
            for column in np.flatnonzero(outside.any(axis=1)):
                row = int(np.argmax(outside[column]))
                self._first_outside.setdefault(int(column), (self._n_rows + row + 1, float(features[column, row])))
        if self._trained is not None:
            n_sampled, n_known = self._trained.count(hash_rows(features))
            self._n_sampled += n_sampled
            self._n_known += n_known
        self._n_rows += features.shape[1]

    def lines(self) -> list[str]:
        """What to warn of, a line each."""
        return [*self._known(), *self._outside()]

    def _known(self) -> list[str]:
        share = self._n_known / max(self._n_sampled, 1)
        if share < FEWEST_KNOWN:
            return []
        sample = "" if self._n_sampled == self._n_rows else f", by a sample of {self._n_sampled:,}"
        return [f"The model was trained on {share:.0%} of these rows{sample}: on others it does worse than here."]

    def _outside(self) -> list[str]:
        lines = []
        for column, (row, value) in self._first_outside.items():
            low, high = self._ranges[column]
            allowed = f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
            lines.append(
                f"{self._n_outside[column]:,} of {self._n_rows:,} rows have {FEATURES[column]} outside the schema's "
                f"range, {allowed}; the first is row {row:,}: {value:g}."
            )
        return lines
