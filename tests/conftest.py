"""Rows and files that many tests need."""

import numpy as np
import pytest

from models.features import COLUMNS


def make_rows(n_rows: int, seed: int = 0) -> np.ndarray:
    """float32 [n_rows, 29] of random rows: the label, then positive features that say something about it."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n_rows)
    features = rng.uniform(0.1, 1.0, (n_rows, len(COLUMNS) - 1)) + 0.3 * label[:, None] * rng.uniform(0, 1, 28)
    return np.column_stack([label, features]).astype(np.float32)


def to_csv(rows: np.ndarray, header: str = "") -> str:
    """Rows in HIGGS's own format."""
    return header + "".join(",".join(f"{value:.18e}" for value in row) + "\n" for row in rows)


@pytest.fixture
def rows() -> np.ndarray:
    """float32 [400, 29]."""
    return make_rows(400)


@pytest.fixture
def csv_file(tmp_path, rows):
    """A headerless CSV file of `rows`."""
    path = tmp_path / "rows.csv"
    path.write_text(to_csv(rows))
    return path
