"""Rows of a split as SavedModels see them."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from events.files import whole
from events.higgs.columns import FEATURES, LABEL
from events.shards import damage_reported
from models.inputs import batches
from pipeline.run_records import PREDICTIONS

SPEC = {LABEL: tf.io.FixedLenFeature([], tf.int64)} | {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}


@dataclasses.dataclass(frozen=True)
class Scored:
    """A split, scored.

    Attributes:
      labels: int64 [n].
      probabilities: model to its probabilities of the signal, float64 [n].
      features: raw float32 [m, 28] of the first m rows, see `score`.
      digest: of labels and features of all rows, in order.
    """

    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    features: np.ndarray
    digest: str

    def save(self, folder: str) -> None:
        """Writes PREDICTIONS: `labels`, `digest` and, by model, probabilities float32 [n]."""
        with whole(os.path.join(folder, PREDICTIONS), "wb") as file:
            narrow = {name: values.astype(np.float32) for name, values in self.probabilities.items()}
            np.savez(file, labels=self.labels.astype(np.int8), digest=self.digest, **narrow)


def score(folder: str, models: dict[str, Any], n_features: int) -> Scored:
    """Scores every row of a split with each SavedModel's `serving_default`.

    Args:
      folder: of the split's examples.
      models: name to a loaded SavedModel.
      n_features: rows whose features are kept.
    """
    labels, features, n_kept, digest = [], [], 0, hashlib.sha256()
    probabilities: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for examples in _read(folder):
        columns = tf.io.parse_example(examples, SPEC)
        labels.append(columns[LABEL].numpy())
        for name, model in models.items():
            probabilities[name].append(model.signatures["serving_default"](examples=examples)["probability"].numpy())
        rows = np.stack([columns[name].numpy() for name in FEATURES], axis=1)
        digest.update(labels[-1].tobytes() + rows.tobytes())
        if n_kept < n_features:
            features.append(rows[: n_features - n_kept])
            n_kept += len(features[-1])
    joined = {name: np.concatenate(values).astype(np.float64) for name, values in probabilities.items()}
    return Scored(np.concatenate(labels), joined, np.concatenate(features), digest.hexdigest())


def scorer(model) -> Callable[[np.ndarray], np.ndarray]:
    """A SavedModel's `serving_features` as a function from raw features [n, 28] to probabilities, float64 [n]."""
    serve = model.signatures["serving_features"]

    def score_rows(features: np.ndarray) -> np.ndarray:
        columns = {name: tf.constant(features[:, index]) for index, name in enumerate(FEATURES)}
        return serve(**columns)["probability"].numpy().astype(np.float64)

    return score_rows


def transformed(folder: str, model, n_rows: int) -> np.ndarray:
    """The first rows of a split as a SavedModel's `transform_features` gives them, float32 [at most n_rows, 28]."""
    values, n_read = [], 0
    for examples in _read(folder):
        values.append(model.signatures["transform_features"](examples=examples[: n_rows - n_read])["features"].numpy())
        n_read += len(values[-1])
        if n_read == n_rows:
            break
    return np.concatenate(values)


def _read(folder: str) -> Iterator[tf.Tensor]:
    """The serialized examples of a split in batches."""
    patterns = [os.path.join(folder, "*")]
    with damage_reported(patterns):
        yield from batches(patterns).prefetch(2)
