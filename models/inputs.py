"""Examples to dense arrays that training keeps in memory."""

import tensorflow as tf

from models.errors import ModelError
from models.features import FEATURES, LABEL
from models.transform_graph import TransformGraph

Shard = tuple[int, int]  # n and i: every n-th row, from the i-th on
ALL = (1, 0)
PARSED_ROWS = 8192  # per step: parsing is vectorised, one example at a time takes ten times as long


def load(patterns: list[str], transform: TransformGraph, shard: Shard = ALL) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads examples and normalises them.

    Args:
      patterns: globs of TFRecord files of tf.Example, gzipped if they end in .gz; read in sorted order.
      transform: the transform graph.
      shard: which of their rows.

    Returns:
      Features, float32 [n_rows, 28], normalised, and labels, float32 [n_rows, 1].

    Raises:
      ModelError: there are no rows.
    """
    return _load(patterns, transform.spec, transform, shard)


def load_raw(patterns: list[str], transform: TransformGraph, shard: Shard = ALL) -> tf.Tensor:
    """The features of the same examples as they are in the files, float32 [n_rows, 28]."""
    features, _ = _load(
        patterns, transform.spec, lambda columns: tf.stack([columns[name] for name in FEATURES], axis=1), shard
    )
    return features


def _load(patterns: list[str], spec: dict, to_features, shard: Shard) -> tuple[tf.Tensor, tf.Tensor]:
    @tf.autograph.experimental.do_not_convert
    def parse(examples):
        columns = tf.io.parse_example(examples, spec)
        return to_features(columns), tf.cast(columns[LABEL], tf.float32)[:, None]

    features, labels = [], []
    for batch in batches(patterns, shard).map(parse, num_parallel_calls=2).prefetch(2):
        features.append(batch[0])
        labels.append(batch[1])
    if not features:
        raise ModelError(f"Training needs examples. Received: none in {', '.join(patterns)}. Check the splits.")
    return tf.ensure_shape(tf.concat(features, 0), [None, len(FEATURES)]), tf.concat(labels, 0)


def batches(patterns: list[str], shard: Shard = ALL) -> tf.data.Dataset:
    """The serialized examples of files, see `load`: string [at most PARSED_ROWS] each, in order."""
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    compression = "GZIP" if files and all(file.endswith(".gz") for file in files) else None
    records = tf.data.TFRecordDataset(files, compression_type=compression, buffer_size=8 << 20)
    return records.shard(*shard).batch(PARSED_ROWS)
