import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows

from components.records import RecordEncoder
from models.features import COLUMNS, FEATURES, LABEL


def to_example(row) -> tf.train.Example:
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in zip(FEATURES, row[1:], strict=True)
    }
    features[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(row[0])]))
    return tf.train.Example(features=tf.train.Features(feature=features))


@pytest.fixture(scope="module")
def encoder() -> RecordEncoder:
    return RecordEncoder(COLUMNS)


def test_records_are_the_examples_that_tensorflow_itself_would_write(tmp_path, encoder):
    rows = make_rows(64)
    rows[0, 1:] = [0, -0.0, 1e-45, 3.4e38, *([-1.5] * 24)]
    (tmp_path / "shard").write_bytes(encoder.encode(np.ascontiguousarray(rows.T)).tobytes())
    records = list(tf.data.TFRecordDataset(str(tmp_path / "shard")).as_numpy_iterator())
    for record, row in zip(records, rows, strict=True):
        example, expected = tf.train.Example.FromString(record), to_example(row)
        assert example == expected
        # Equal bytes but for the order of the map, on which the runtimes of protobuf do not agree.
        assert sorted(record) == sorted(expected.SerializeToString())


def test_records_are_read_back_with_their_checksums_verified(tmp_path, encoder):
    rows = make_rows(500, seed=3)
    (tmp_path / "shard").write_bytes(encoder.encode(np.ascontiguousarray(rows.T)).tobytes())
    records = list(tf.data.TFRecordDataset(str(tmp_path / "shard")).as_numpy_iterator())
    parsed = tf.io.parse_example(records, {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES})
    assert np.array_equal(np.stack([parsed[name] for name in FEATURES], axis=1), rows[:, 1:])


def test_no_rows_make_no_records(encoder):
    assert encoder.encode(np.empty((29, 0), np.float32)).shape == (0, encoder.record_bytes)
