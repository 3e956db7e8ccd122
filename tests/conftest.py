"""Rows and files that many tests need."""

import dataclasses
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from forked import higgs

from events.higgs.columns import COLUMNS, FEATURES, LABEL


def make_rows(n_rows: int, seed: int = 0) -> np.ndarray:
    """float32 [n_rows, 29] of random rows: the label, then positive features that say something about it."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n_rows)
    features = rng.uniform(0.1, 1.0, (n_rows, len(COLUMNS) - 1)) + 0.3 * label[:, None] * rng.uniform(0, 1, 28)
    return np.column_stack([label, features]).astype(np.float32)


def to_csv(rows: np.ndarray, header: str = "") -> str:
    """Rows in HIGGS's own format."""
    return header + "".join(",".join(f"{value:.18e}" for value in row) + "\n" for row in rows)


def read_rows(folder: str) -> np.ndarray:
    """float32 [n_rows, 29] of a folder of TFRecord shards, as TensorFlow reads them."""
    import tensorflow as tf

    files = sorted(map(str, Path(folder).iterdir()))
    records = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}
    parsed = tf.io.parse_example(records, spec | {LABEL: tf.io.FixedLenFeature([], tf.int64)})
    return np.stack([np.asarray(parsed[name], np.float32) for name in COLUMNS], axis=1)


# A shell that starts the tests in the background makes them, and every process of theirs, deaf to interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def eagerly():
    """TensorFlow's functions run as plain Python, for tests that look inside."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


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


@dataclasses.dataclass(frozen=True)
class Run:
    """What `higgs run` left behind."""

    exit_code: int
    output: str
    folder: Path

    @property
    def summary(self) -> dict:
        """The newest run's summary."""
        return json.loads(max(self.folder.glob("results/*/summary.json")).read_text())

    @property
    def first_summary(self) -> dict:
        """The oldest run's summary: later tests may have run again in the same folder."""
        return json.loads(min(self.folder.glob("results/*/summary.json")).read_text())

    @property
    def cached(self) -> set[str]:
        """The stages that were taken from earlier runs."""
        return {stage["name"] for stage in self.summary["stages"] if stage["cached"]}

    def artifact(self, node: str, key: str) -> str:
        """The folder of the newest artifact that a stage made."""
        return str(max((self.folder / "artifacts" / node / key).iterdir(), key=lambda path: int(path.name)))

    @property
    def versions(self) -> list[Path]:
        """The served versions."""
        return sorted((self.folder / "serving" / "higgs").glob("*"))


SHORT_RUN = ("--simulate", "4000", "--epochs", "30", "--architecture", "medium")


@pytest.fixture(scope="session")
def blessed_run(tmp_path_factory) -> Run:
    """A whole run on simulated rows, in which a medium network beats a tiny one."""
    folder = tmp_path_factory.mktemp("blessed") / "runs"
    return Run(*higgs("run", *SHORT_RUN, "--output", folder), folder)
