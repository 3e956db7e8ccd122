"""Examples artifacts on the disk, made of given rows."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from events.higgs.columns import COLUMNS, FEATURES, LABEL
from events.records import RecordCodec

BEAM_ARGS = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--sdk_container_image=none"]


def write_shard(path: Path, rows: np.ndarray) -> None:
    """Writes rows, [n, 29], as ingestion does; gzipped if the path ends in .gz. Features that are NaN are left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else None) as writer:
        for row in rows:
            writer.write(to_example(row).SerializeToString())


def write_plain_shard(path: Path, rows: np.ndarray) -> None:
    """The same without any missing value, by ingestion's own encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(RecordCodec(COLUMNS).encode(np.ascontiguousarray(rows.T)).tobytes())


def to_example(row: np.ndarray, **others: float) -> tf.train.Example:
    """A row, [29], as an example, with other features if any."""
    values = {name: value for name, value in zip(FEATURES, row[1:], strict=True) if not np.isnan(value)} | others
    features = {name: tf.train.Feature(float_list=tf.train.FloatList(value=[value])) for name, value in values.items()}
    features[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(row[0])]))
    return tf.train.Example(features=tf.train.Features(feature=features))


def examples_artifact(folder: Path, *splits: str) -> standard_artifacts.Examples:
    """The artifact whose splits' folders lie in a folder."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    return examples


def execute(executor, component, inputs: dict, folder: Path) -> dict:
    """Runs an executor as TFX does; the output artifacts by key."""
    outputs = {key: channel.type() for key, channel in component.outputs.items()}
    for key, artifact in outputs.items():
        artifact.uri = str(folder / key)
    context = executor.Context(beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(folder / "tmp"), unique_id="1")
    properties = {name: value for name, value in component.exec_properties.items() if value is not None}
    executor(context).Do(
        {key: [artifact] for key, artifact in inputs.items()},
        {key: [artifact] for key, artifact in outputs.items()},
        properties,
    )
    return outputs
