import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows

from events.higgs.columns import COLUMNS, FEATURES, LABEL
from events.records import RecordCodec


def to_example(row) -> tf.train.Example:
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in zip(FEATURES, row[1:], strict=True)
    }
    features[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(row[0])]))
    return tf.train.Example(features=tf.train.Features(feature=features))


@pytest.fixture(scope="module")
def codec() -> RecordCodec:
    return RecordCodec(COLUMNS)


def test_records_are_the_examples_that_tensorflow_itself_would_write(tmp_path, codec):
    rows = make_rows(64)
    rows[0, 1:] = [0, -0.0, 1e-45, 3.4e38, *([-1.5] * 24)]
    (tmp_path / "shard").write_bytes(codec.encode(np.ascontiguousarray(rows.T)).tobytes())
    records = list(tf.data.TFRecordDataset(str(tmp_path / "shard")).as_numpy_iterator())
    for record, row in zip(records, rows, strict=True):
        example, expected = tf.train.Example.FromString(record), to_example(row)
        assert example == expected
        # Equal bytes but for the order of the map, on which the runtimes of protobuf do not agree.
        assert sorted(record) == sorted(expected.SerializeToString())


def test_records_are_read_back_with_their_checksums_verified(tmp_path, codec):
    rows = make_rows(500, seed=3)
    (tmp_path / "shard").write_bytes(codec.encode(np.ascontiguousarray(rows.T)).tobytes())
    records = list(tf.data.TFRecordDataset(str(tmp_path / "shard")).as_numpy_iterator())
    parsed = tf.io.parse_example(records, {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES})
    assert np.array_equal(np.stack([parsed[name] for name in FEATURES], axis=1), rows[:, 1:])


def test_no_rows_make_no_records(codec):
    assert codec.encode(np.empty((29, 0), np.float32)).shape == (0, codec.record_bytes)


def test_records_are_decoded_to_the_same_bits(codec):
    values = np.ascontiguousarray(make_rows(64).T)
    values[1:, 0] = [0, -0.0, np.nan, np.inf, 1e-45, 3.4e38, *([-1.5] * 22)]
    assert codec.decode(codec.encode(values).tobytes()).tobytes() == values.tobytes()
    assert codec.decode(b"").shape == (29, 0)


@pytest.mark.parametrize("byte", [0, 9, 13, 300, 650, -1])
def test_other_bytes_than_encoded_ones_are_not_decoded(codec, byte):
    encoded = bytearray(codec.encode(np.ascontiguousarray(make_rows(3).T)).tobytes())
    encoded[codec.record_bytes + byte] ^= 1
    assert codec.decode(bytes(encoded)) is None
    assert codec.decode(bytes(encoded[:-1])) is None


def test_another_label_than_0_or_1_is_not_decoded(codec):
    values = np.ascontiguousarray(make_rows(3).T)
    values[0, 1] = 7
    assert codec.decode(codec.encode(values).tobytes()) is None
