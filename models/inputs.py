"""Examples to dense arrays that training keeps in memory."""

import numpy as np
import tensorflow as tf

from events.errors import ModelError
from events.higgs.columns import COLUMNS, FEATURES, LABEL
from events.records import RecordCodec
from events.shards import damage_reported, list_shards, open_shards
from events.threads import in_threads
from models.transform_graph import TransformGraph

Shard = tuple[int, int]  # n and i: every n-th row, from the i-th on
ALL = (1, 0)
BLOCK_ROWS = 8192  # per step: one example at a time takes ten times as long
CODEC = RecordCodec(COLUMNS)  # of the examples that our ExampleGen writes
ALIGNMENT = 64  # bytes, TensorFlow's of tensors


def load(patterns: list[str], transform: TransformGraph, shard: Shard = ALL) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads examples and normalises them.

    Args:
      patterns: globs of TFRecord files of tf.Example, gzipped if they end in .gz; read in sorted order.
      transform: the transform graph.
      shard: which of their rows.

    Returns:
      Features, float32 [n_rows, n_inputs], normalised, and labels, float32 [n_rows, 1].

    Raises:
      ModelError: there are no rows.
      DamageError: a file is damaged, or not there as ingestion wrote it.
    """
    return _load(patterns, transform.spec, transform, transform.n_inputs, shard)


def load_raw(patterns: list[str], transform: TransformGraph, shard: Shard = ALL) -> tf.Tensor:
    """The features of the same examples as they are in the files, float32 [n_rows, 28]."""

    def stack(columns):
        return tf.stack([columns[name] for name in FEATURES], axis=1)

    return _load(patterns, transform.spec, stack, len(FEATURES), shard)[0]


def _load(patterns: list[str], spec: dict, to_features, n_inputs: int, shard: Shard) -> tuple[tf.Tensor, tf.Tensor]:
    with damage_reported(patterns):
        rows = _decoded(patterns, to_features, n_inputs, shard) or _parsed(patterns, spec, to_features, n_inputs, shard)
    features, labels = rows
    if not len(features):
        raise ModelError(f"Training needs examples. Received: none in {', '.join(patterns)}. Check the splits.")
    return features, labels


def _decoded(patterns: list[str], to_features, n_inputs: int, shard: Shard) -> tuple[tf.Tensor, tf.Tensor] | None:
    """What `_parsed` gives, sooner and without a second copy; None if it takes a parser to read the examples."""
    every, mine = shard
    blocks, n_rows = [], 0
    for file in list_shards(patterns):
        n_in_file, n_over = divmod(tf.io.gfile.stat(file).length, CODEC.record_bytes)
        if n_over:
            return None
        blocks += [(file, start, n_rows + start) for start in range(0, n_in_file, BLOCK_ROWS)]
        n_rows += n_in_file

    @tf.function(input_signature=[tf.TensorSpec([len(COLUMNS), None])], autograph=False)
    def transformed(values):
        return to_features(dict(zip(COLUMNS, tf.unstack(values), strict=True)))

    features, labels = (_aligned(len(range(mine, n_rows, every)), n_columns) for n_columns in (n_inputs, 1))

    def fill(block: tuple[str, int, int]) -> bool:
        file, start, first = block
        with tf.io.gfile.GFile(file, "rb") as stream:
            stream.seek(start * CODEC.record_bytes)
            values = CODEC.decode(stream.read(BLOCK_ROWS * CODEC.record_bytes))
        if values is None:
            return False
        values = np.ascontiguousarray(values[:, (mine - first) % every :: every])
        place = -((mine - first) // every)
        rows = slice(place, place + values.shape[1])
        features[rows] = transformed(values)
        labels[rows, 0] = values[0]
        return True

    if not all(in_threads(fill, blocks)):
        return None
    return tuple(tf.experimental.dlpack.from_dlpack(array.__dlpack__()) for array in (features, labels))


def _aligned(n_rows: int, n_columns: int) -> np.ndarray:
    """Room for float32 [n_rows, n_columns] where TensorFlow takes it over as it is instead of copying it."""
    n_bytes = 4 * n_rows * n_columns
    room = np.empty(n_bytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + n_bytes].view(np.float32).reshape(n_rows, n_columns)


def _parsed(patterns: list[str], spec: dict, to_features, n_inputs: int, shard: Shard) -> tuple[tf.Tensor, tf.Tensor]:
    @tf.autograph.experimental.do_not_convert
    def parse(examples):
        columns = tf.io.parse_example(examples, spec)
        return to_features(columns), tf.cast(columns[LABEL], tf.float32)[:, None]

    features, labels = [tf.zeros([0, n_inputs])], [tf.zeros([0, 1])]
    for batch in batches(patterns, shard).map(parse, num_parallel_calls=2).prefetch(2):
        features.append(batch[0])
        labels.append(batch[1])
    return tf.concat(features, 0), tf.concat(labels, 0)


def batches(patterns: list[str], shard: Shard = ALL) -> tf.data.Dataset:
    """The serialized examples of files, see `load`: string [at most BLOCK_ROWS] each, in order."""
    return open_shards(list_shards(patterns)).shard(*shard).batch(BLOCK_ROWS)
