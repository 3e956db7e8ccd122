import re

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to
from conftest import make_rows
from shards import to_example, write_plain_shard, write_shard
from tfx_bsl.coders import example_coder

from events.errors import IngestionError
from events.example_blocks import DecodeShard, ReadBlocks
from events.higgs.columns import COLUMNS


def read(path, n_rows=100) -> list[pa.RecordBatch]:
    return [batch for _, batch in DecodeShard(None, n_rows).process(("train", str(path)))]


def values(batches) -> np.ndarray:
    """float32 [n_rows, 29] of batches that lack nothing."""
    table = pa.Table.from_batches(batches)
    return np.stack([np.concatenate([c.flatten().to_numpy() for c in table[name].chunks]) for name in COLUMNS], axis=1)


@pytest.mark.parametrize("n_rows", [1, 99, 100, 101, 200, 250])
def test_every_row_is_in_one_block_in_order_whatever_their_size(tmp_path, n_rows):
    rows = make_rows(200)
    write_plain_shard(tmp_path / "shard", rows)
    batches = read(tmp_path / "shard", n_rows)
    assert [batch.num_rows for batch in batches[:-1]] == [n_rows] * (len(batches) - 1)
    assert np.array_equal(values(batches), rows)


def test_batches_are_those_of_the_stock_decoder_without_calling_it(tmp_path, monkeypatch):
    rows = make_rows(50)
    write_plain_shard(tmp_path / "shard", rows)
    stock = example_coder.ExamplesToRecordBatchDecoder()
    [expected] = [stock.DecodeBatch([to_example(row).SerializeToString() for row in rows])]
    monkeypatch.setattr(example_coder, "ExamplesToRecordBatchDecoder", lambda serialized: None)
    [batch] = read(tmp_path / "shard")
    assert all(batch[name].equals(expected[name]) for name in COLUMNS)


def test_a_parser_takes_over_where_records_are_others_than_ours(tmp_path):
    rows = make_rows(250)
    write_plain_shard(tmp_path / "ours", rows[:130])
    write_shard(tmp_path / "others", rows[130:])
    (tmp_path / "shard").write_bytes((tmp_path / "ours").read_bytes() + (tmp_path / "others").read_bytes())
    assert np.array_equal(values(read(tmp_path / "shard")), rows)


def test_no_parser_is_called_for_records_that_ingestion_wrote(tmp_path, monkeypatch):
    rows = make_rows(250)
    write_plain_shard(tmp_path / "shard", rows)
    monkeypatch.setattr(DecodeShard, "_parsed", None)
    assert np.array_equal(values(read(tmp_path / "shard")), rows)


def test_gzipped_shards_are_read(tmp_path):
    rows = make_rows(120)
    write_shard(tmp_path / "shard.gz", rows)
    assert (tmp_path / "shard.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert np.array_equal(values(read(tmp_path / "shard.gz")), rows)


def test_missing_values_are_missing_in_their_block_only(tmp_path):
    rows = make_rows(250)
    rows[130, 5] = np.nan
    write_shard(tmp_path / "shard", rows)
    batches = read(tmp_path / "shard")
    assert [batch[COLUMNS[5]].null_count for batch in batches] == [0, 1, 0]
    assert not batches[1][COLUMNS[5]][30].is_valid


def test_unknown_features_are_seen_even_if_the_first_example_has_none(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "shard")) as writer:
        for index, row in enumerate(make_rows(20)):
            writer.write(to_example(row, **{"mass": 1.0} if index == 7 else {}).SerializeToString())
    [batch] = read(tmp_path / "shard")
    assert batch["mass"].null_count == 19


def test_splits_and_shards_are_all_read(tmp_path):
    rows = make_rows(100)
    write_plain_shard(tmp_path / "train" / "a", rows[:30])
    write_shard(tmp_path / "train" / "b.gz", rows[30:70])
    write_plain_shard(tmp_path / "val" / "a", rows[70:])
    (tmp_path / "train" / "empty").touch()
    with beam.Pipeline(argv=["--runner=DirectRunner", "--direct_running_mode=in_memory"]) as pipeline:
        blocks = ReadBlocks({split: [str(tmp_path / split / "*")] for split in ("train", "val")}, n_rows=25)
        sizes = pipeline | blocks | beam.MapTuple(lambda split, batch: (split, batch.num_rows))
        assert_that(sizes, equal_to([("train", n_rows) for n_rows in (25, 5, 25, 15)] + [("val", 25), ("val", 5)]))


def test_split_without_examples_is_refused(tmp_path):
    (tmp_path / "shard").touch()
    for pattern in ("*", "nothing*"):
        with pytest.raises(IngestionError, match=re.escape(f"Received: none in {tmp_path / pattern}.")):
            ReadBlocks({"train": [str(tmp_path / pattern)]})


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: data[:9000] + b"?" + data[9001:]])
def test_damaged_shard_names_file_and_remedy(tmp_path, damage):
    write_plain_shard(tmp_path / "shard", make_rows(20))
    (tmp_path / "shard").write_bytes(damage((tmp_path / "shard").read_bytes()))
    with pytest.raises(IngestionError, match=r"Received: .* in .*shard\. Delete") as raised:
        read(tmp_path / "shard")
    assert "\n" not in str(raised.value)


def test_records_that_are_no_examples_are_refused(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "shard")) as writer:
        writer.write(b"\xff no example")
    with pytest.raises(IngestionError, match="must be whole TFRecords"):
        read(tmp_path / "shard")
