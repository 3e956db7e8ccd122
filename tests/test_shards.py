"""Readers of examples, each against every kind of damage."""

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import make_rows
from shards import write_plain_shard, write_shard

from events.higgs.columns import COLUMNS
from events.records import RecordCodec
from events.shards import INDEX, DamageError, list_shards, read_index, write_index

RECORD_BYTES = RecordCodec(COLUMNS).record_bytes


@pytest.fixture
def examples(tmp_path):
    """A folder of two shards of 30 rows in train and one of 10 in eval, as ingestion leaves it."""
    folder = tmp_path / "examples[1]"
    for path, n_rows in (("Split-train/a", 30), ("Split-train/b", 30), ("Split-eval/a", 10)):
        write_plain_shard(folder / path, make_rows(n_rows))
    paths = [path for path in folder.rglob("*") if path.is_file()]
    write_index(str(folder), {str(path.relative_to(folder)): path.stat().st_size for path in paths})
    return folder


def cut_between_records(shard: Path):
    os.truncate(shard, 15 * RECORD_BYTES)


def cut_within_record(shard: Path):
    os.truncate(shard, shard.stat().st_size - 10)


def append_records(shard: Path):
    shard.write_bytes(shard.read_bytes() + shard.read_bytes()[:RECORD_BYTES])


def flip_bit(shard: Path):
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def fill_with_zeros(shard: Path):
    shard.write_bytes(bytes(shard.stat().st_size))


DAMAGES = [cut_between_records, cut_within_record, append_records, flip_bit, fill_with_zeros, Path.unlink]


def test_whole_shards_are_listed_in_order(examples):
    assert list_shards([f"{examples}/Split-train/*"]) == [f"{examples}/Split-train/{name}" for name in "ab"]
    assert list_shards([f"{examples}/Split-{split}/*" for split in ("train", "eval")])[0] == f"{examples}/Split-eval/a"
    assert list_shards([f"{examples}/Split-train/b"]) == [f"{examples}/Split-train/b"]
    assert list_shards([f"{examples}/Split-val/*"]) == []


@pytest.mark.parametrize(
    ("damage", "received"),
    [
        (cut_between_records, f"{15 * RECORD_BYTES:,} of {30 * RECORD_BYTES:,} bytes"),
        (append_records, f"{31 * RECORD_BYTES:,} of {30 * RECORD_BYTES:,} bytes"),
        (Path.unlink, "no file"),
    ],
)
def test_other_shards_than_ingestion_wrote_are_one_line_with_file_and_remedy(examples, damage, received):
    shard = examples / "Split-train" / "b"
    damage(shard)
    with pytest.raises(DamageError) as raised:
        list_shards([f"{examples}/Split-train/*"])
    assert str(raised.value) == (
        "Examples must be whole TFRecords of tf.Example, as ingestion wrote them. "
        f"Received: {received} in {shard}. Delete the folder of the examples, {examples}, and run again."
    )
    assert len(list_shards([f"{examples}/Split-eval/*"])) == 1


def test_file_of_somebody_else_among_the_shards_is_refused(examples):
    shutil.copy(examples / "Split-train" / "a", examples / "Split-train" / "c")
    with pytest.raises(DamageError, match=re.escape(f"a file of somebody else in {examples}/Split-train/c.")):
        list_shards([f"{examples}/Split-train/*"])


@pytest.mark.parametrize("content", ["", '{"Split-train/a": ', "[1]", "7"])
def test_damaged_index_is_one_line(examples, content):
    (examples / INDEX).write_text(content)
    with pytest.raises(DamageError, match=re.escape(f"no list of shards in {examples}/{INDEX}. Delete")):
        list_shards([f"{examples}/Split-train/*"])


def test_examples_of_somebody_else_are_taken_as_they_are(examples):
    (examples / INDEX).unlink()
    cut_between_records(examples / "Split-train" / "b")
    assert read_index(str(examples)) is None
    assert len(list_shards([f"{examples}/Split-train/*"])) == 2


def test_damage_ends_a_command_in_its_line():
    from pipeline.exits import _message

    assert _message(DamageError("one line")) == "one line"


def read_for_statistics(examples):
    import apache_beam as beam

    from events.errors import ingestion_errors
    from events.example_blocks import ReadBlocks

    with ingestion_errors(), beam.Pipeline(argv=["--runner=DirectRunner", "--direct_running_mode=in_memory"]) as pipe:
        _ = pipe | ReadBlocks({"train": [f"{examples}/Split-train/*"]})


def read_for_training(examples):
    import tensorflow as tf

    from models import inputs

    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in COLUMNS[1:]}
    spec[COLUMNS[0]] = tf.io.FixedLenFeature([], tf.int64)
    features, _ = inputs._load(
        [f"{examples}/Split-train/*"],
        spec,
        lambda columns: tf.stack([columns[name] for name in COLUMNS[1:]], 1),
        len(COLUMNS) - 1,
        (1, 0),
    )
    return features


def read_for_report(examples):
    from pipeline.scoring import _read

    return list(_read(f"{examples}/Split-train"))


def read_for_warmup(examples):
    from serving.warmup import read_records

    return read_records(list_shards([f"{examples}/Split-train/*"]), 60)


READERS = [read_for_statistics, read_for_training, read_for_report, read_for_warmup]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_no_reader_takes_damaged_shards(examples, read, damage):
    read(examples)
    shard = examples / "Split-train" / "b"
    damage(shard)
    with pytest.raises(ValueError, match=f"Received: .* in {re.escape(str(shard))}. Delete the folder") as raised:
        read(examples)
    assert type(raised.value).__name__ in ("DamageError", "IngestionError")
    assert "\n" not in str(raised.value)


def test_gzipped_examples_of_somebody_else_are_named_when_damaged(tmp_path):
    for name in ("a.gz", "b.gz"):
        write_shard(tmp_path / "Split-train" / name, make_rows(100))
    assert len(read_for_training(tmp_path)) == 200
    shard = tmp_path / "Split-train" / "b.gz"
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(DamageError, match=r"in .*Split-train/b\.gz\. Delete"):
        read_for_training(tmp_path)
