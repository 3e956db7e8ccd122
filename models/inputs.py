"""Examples to dense arrays that training keeps in memory."""

import tensorflow as tf

from models.errors import ModelError
from models.features import FEATURES, LABEL
from models.transform_graph import TransformGraph

PARSED_ROWS = 8192  # per step: parsing is vectorised, one example at a time takes ten times as long


def load(patterns: list[str], transform_graph: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads examples and applies the transform graph.

    Args:
      patterns: globs of TFRecord files of tf.Example, gzipped if they end in .gz; read in sorted order.
      transform_graph: the folder of Transform's output.

    Returns:
      Features, float32 [n_rows, 28], normalised, and labels, float32 [n_rows, 1].

    Raises:
      ModelError: there are no rows.
    """
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    transform = TransformGraph(transform_graph)

    @tf.autograph.experimental.do_not_convert
    def parse(examples):
        columns = tf.io.parse_example(examples, transform.spec)
        return transform(columns), tf.cast(columns[LABEL], tf.float32)[:, None]

    batches = _records(files).batch(PARSED_ROWS).map(parse, num_parallel_calls=2).prefetch(2)
    features, labels = [], []
    for batch in batches:
        features.append(batch[0])
        labels.append(batch[1])
    if not features:
        raise ModelError(f"Training needs examples. Received: none in {', '.join(patterns)}. Check the splits.")
    return tf.ensure_shape(tf.concat(features, 0), [None, len(FEATURES)]), tf.concat(labels, 0)


def _records(files: list[str]) -> tf.data.Dataset:
    compression = "GZIP" if files and all(file.endswith(".gz") for file in files) else None
    return tf.data.TFRecordDataset(files, compression_type=compression, buffer_size=8 << 20)
