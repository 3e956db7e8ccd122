"""From shards of examples to arrays."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows
from test_preprocessing import analyze

from models.errors import ModelError
from models.features import COLUMNS, FEATURES, LABEL
from models.inputs import load

ROWS = make_rows(50)


def serialize(row, label: bool = True) -> bytes:
    """One event, label first, as a tf.Example with a label or without."""
    values = dict(zip(COLUMNS, map(float, row), strict=True))
    feature = {name: tf.train.Feature(float_list=tf.train.FloatList(value=[values[name]])) for name in FEATURES}
    if label:
        feature[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(values[LABEL])]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write_shard(path, rows) -> str:
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else None) as writer:
        for row in rows:
            writer.write(serialize(row))
    return str(path)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """The folder of a transform graph made of ROWS."""
    folder = tmp_path_factory.mktemp("graph")
    analyze(ROWS, folder)
    return str(folder)


def test_shards_are_read_in_order_of_their_names_zipped_or_not_and_normalised(graph, tmp_path):
    write_shard(tmp_path / "split-2", ROWS[30:])
    write_shard(tmp_path / "split-1.gz", ROWS[10:30])
    write_shard(tmp_path / "split-0", ROWS[:10])
    features, labels = load([str(tmp_path / "split-*")], graph)
    raw = ROWS[:, 1:].astype(np.float64)
    assert features.dtype == labels.dtype == tf.float32
    assert np.abs(features.numpy() - (raw - raw.mean(0)) / raw.std(0)).max() < 1e-5
    assert labels.numpy().tolist() == ROWS[:, :1].tolist()


def test_several_patterns_are_read_together(graph, tmp_path):
    patterns = [write_shard(tmp_path / name, ROWS[:20]) for name in ("a", "b")]
    features, labels = load(patterns, graph)
    assert features.shape == (40, 28)
    assert labels.shape == (40, 1)


def test_no_rows_are_refused_in_one_line(graph, tmp_path):
    write_shard(tmp_path / "empty", [])
    for pattern in ("empty", "missing-*"):
        with pytest.raises(ModelError, match=f"Received: none in .*{pattern[:5]}"):
            load([str(tmp_path / pattern)], graph)


def test_rows_of_one_class_are_refused_in_one_line(graph, tmp_path):
    signal = ROWS[ROWS[:, 0] == 1][:7]
    with pytest.raises(ModelError, match=r"Received: 7 rows, all of label 1"):
        load([write_shard(tmp_path / "signal", signal)], graph)


def test_row_without_a_feature_is_an_error_that_names_it(graph, tmp_path):
    example = tf.train.Example.FromString(serialize(ROWS[0]))
    del example.features.feature["m_bb"]
    with tf.io.TFRecordWriter(str(tmp_path / "shard")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(tf.errors.InvalidArgumentError, match="m_bb"):
        load([str(tmp_path / "shard")], graph)
