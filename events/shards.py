"""Shards of examples: which ones ingestion wrote and how long they are, so that readers miss none of them.

A record has a checksum of its own, but a shard that was cut between two records looks whole. So ingestion leaves an
index, `shards.json`, beside the folders of the splits.
"""

import contextlib
import fnmatch
import json
import os
from collections.abc import Iterable, Iterator

import tensorflow as tf

from events.errors import DatasetError

INDEX = "shards.json"
READ_ROWS = 8192
UNPARSED = "Could not parse example"  # as TensorFlow says it


class DamageError(DatasetError):
    """What a stage wrote is not there any more as it wrote it. The message names the file and the remedy."""


def write_index(folder: str, n_bytes: dict[str, int]) -> None:
    """Writes down which shards there are below the folder of an ingestion: path, as Split-train/name, to size."""
    with tf.io.gfile.GFile(os.path.join(folder, INDEX), "w") as file:
        json.dump(n_bytes, file)


def read_index(folder: str) -> dict[str, int] | None:
    """What `write_index` wrote; None for examples that ingestion did not write.

    Raises:
      DamageError: it cannot be read.
    """
    path = os.path.join(folder, INDEX)
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as file:
            return dict(json.load(file))
    except (ValueError, TypeError):
        raise DamageError(explain("no list of shards", path, folder)) from None


def check_index(folder: str, n_bytes: dict[str, int]) -> None:
    """Raises DamageError if there is an index of other shards than these; see `write_index`."""
    index = read_index(folder)
    if index is not None and index != n_bytes:
        path = next(path for path in sorted({*index, *n_bytes}) if index.get(path) != n_bytes.get(path))
        raise DamageError(explain("other shards in index and summaries", os.path.join(folder, path), folder))


def list_shards(patterns: Iterable[str]) -> list[str]:
    """The files of examples that patterns find, sorted, after a look at whether they are those that ingestion wrote.

    Args:
      patterns: folder/glob of the files of a split.

    Raises:
      DamageError: one lacks, is shorter or longer than it was, or was not there.
    """
    files = []
    for pattern in patterns:
        folder, names = os.path.split(pattern)
        found = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
        found = fnmatch.filter(found, names)
        _check(folder, names, found)
        files += [os.path.join(folder, name) for name in found]
    return sorted(files)


def _check(folder: str, names: str, found: list[str]) -> None:
    examples, split = os.path.split(folder)
    index = read_index(examples)
    if index is None:
        return
    written = {os.path.basename(path): size for path, size in index.items() if os.path.dirname(path) == split}
    written = {name: size for name, size in written.items() if fnmatch.fnmatch(name, names)}
    for name in sorted({*written, *found}):
        path = os.path.join(folder, name)
        if name not in found:
            raise DamageError(explain("no file", path, examples))
        if name not in written:
            raise DamageError(explain("a file of somebody else", path, examples))
        n_bytes = tf.io.gfile.stat(path).length
        if n_bytes != written[name]:
            raise DamageError(explain(f"{n_bytes:,} of {written[name]:,} bytes", path, examples))


@contextlib.contextmanager
def damage_reported(patterns: list[str]) -> Iterator[None]:
    """Turns what TensorFlow says of a damaged file into a DamageError that names it.

    Args:
      patterns: as for `list_shards`, of the files that are read.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        if isinstance(error, tf.errors.InvalidArgumentError) and UNPARSED not in str(error):
            raise
        files = list_shards(patterns)
        damaged = next((file for file in files if not _is_whole(file)), None)
        raise DamageError(describe(error, damaged or ", ".join(files))) from None


def describe(error: Exception, path: str) -> str:
    """What is wrong with a file of examples, and what to do."""
    reason = str(getattr(error, "message", error)).split("\n")[0].rsplit("}} ")[-1].split(" [Op:")[0].rstrip(".")
    return explain(reason, path, os.path.dirname(os.path.dirname(path)))


def explain(received: str, path: str, folder: str) -> str:
    """What is wrong with a file of an ingestion's folder, and what to do."""
    return (
        f"Examples must be whole TFRecords of tf.Example, as ingestion wrote them. Received: {received} in {path}. "
        f"Delete the folder of the examples, {folder}, and run again."
    )


def open_shards(files: list[str]) -> tf.data.Dataset:
    """The records of files of one kind, gzipped if they end in .gz."""
    compression = "GZIP" if files and all(file.endswith(".gz") for file in files) else None
    return tf.data.TFRecordDataset(files, compression_type=compression, buffer_size=8 << 20)


def _is_whole(file: str) -> bool:
    try:
        for _ in open_shards([file]).batch(READ_ROWS):
            pass
    except tf.errors.DataLossError:
        return False
    return True
