"""A large plain file is read in parts, by as many workers, and nobody can tell from what comes of it."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import to_csv
from test_example_gen import ingest, read_split, read_splits

from events import csv_blocks, ingestion
from events.csv_blocks import Part, count_lines_before, count_rows, read_chunks, read_lines
from events.errors import IngestionError
from events.higgs.columns import COLUMNS
from events.ingestion import divide, read_summary

TEXTS = {
    "even": b"aa\nbb\ncc\ndd\n",
    "uneven": b"a\n\n\nbbbbbbbbbbbbbb\nc\r\n\ndd\n",
    "without a last newline": b"aaaa\nb\ncccccccc",
    "one long line": b"a" * 30,
    "newlines only": b"\n" * 9,
}


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("block_bytes", [1, 4, 1 << 20])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_line_is_in_the_part_that_its_first_byte_is_in(tmp_path, monkeypatch, text, block_bytes, n_bytes):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    begins = [0, *(place + 1 for place, byte in enumerate(text) if byte == ord("\n") and place + 1 < len(text))]
    lines = text.splitlines(keepends=True)
    for start in range(0, len(text), n_bytes):
        part = Part(start, start + n_bytes)
        expected = [line for begin, line in zip(begins, lines, strict=True) if start <= begin < start + n_bytes]
        assert b"".join(read_chunks(str(path), part)) == b"".join(expected)
        if expected:
            assert count_lines_before(str(path), part) == sum(begin < start for begin in begins)


def test_part_ends_within_a_block_and_a_mark_of_byte_order_is_at_the_start_of_the_file_only(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbflabel,x\n1,2\n0,3\n")
    assert b"".join(read_lines(str(path), Part(0, 12))) == b"label,x\n1,2\n"
    assert b"".join(read_lines(str(path), Part(12, 99))) == b"0,3\n"
    assert [count_rows(str(path), part) for part in (Part(0, 12), Part(12, 99))] == [1, 1]


def test_large_files_are_divided_unless_they_are_gzipped(tmp_path, monkeypatch):
    monkeypatch.setattr(ingestion, "PART_BYTES", 10)
    (tmp_path / "a[1].csv").write_bytes(b"1,2\n" * 6)
    (tmp_path / "small.csv").write_bytes(b"1,2\n" * 2)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(os.urandom(99)))
    assert divide(str(tmp_path / "a[1].csv")) == [Part(0, 10), Part(10, 20), Part(20, 30)]
    assert divide(str(tmp_path / "small.csv")) == divide(str(tmp_path / "b.csv.gz")) == [Part()]


@pytest.fixture
def in_parts(monkeypatch):
    """Parts of some twenty rows."""
    monkeypatch.setattr(ingestion, "PART_BYTES", 10_000)


@pytest.mark.parametrize("header", ["", ",".join(COLUMNS) + "\n"])
def test_records_and_their_order_are_those_of_the_whole_file(csv_file, rows, monkeypatch, header):
    csv_file.write_text(to_csv(rows, header))
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    monkeypatch.setattr(ingestion, "PART_BYTES", 10_000)
    examples = ingest(csv_file.parent, csv_file.name)
    for split, other in zip(expected, read_splits(examples), strict=True):
        assert np.array_equal(split, other)
    summary = read_summary(examples.uri)
    assert (summary["files"], summary["empty"]) == ([str(csv_file)], [])
    assert sum(sum(classes.values()) for classes in summary["splits"].values()) == 400
    assert len([name for name in summary["shards"] if "train" in name]) > 10


@pytest.mark.parametrize(("eval_rows", "expected"), [(":50", slice(50)), ("-50:", slice(-50, None))])
def test_rows_by_place_are_counted_over_parts(csv_file, rows, in_parts, eval_rows, expected):
    examples = ingest(csv_file.parent, csv_file.name, row_ranges={"eval": eval_rows})
    assert np.array_equal(read_split(examples, "eval"), rows[expected])


def test_bad_row_has_the_number_of_its_line_in_the_file(csv_file, rows, in_parts):
    csv_file.write_text(to_csv(rows[:300], ",".join(COLUMNS) + "\n") + "\n1,2,3\n" + to_csv(rows[300:]) + "x\n")
    with pytest.raises(IngestionError, match=f"Received: 3 at {csv_file}:303. Complete the row"):
        ingest(csv_file.parent, csv_file.name)
    summary = read_summary(ingest(csv_file.parent, csv_file.name, bad_rows="quarantine").uri)
    lines = [Path(path).read_text().splitlines()[1].split("\t")[1] for path in summary["bad_rows"]]
    assert lines == ["303", "404"]


def test_what_lost_workers_have_left_is_removed(csv_file, monkeypatch):
    process = ingestion.IngestFile.process

    def leave_and_process(self, source):
        for uri in self._ingestion.split_uris:
            os.makedirs(uri, exist_ok=True)
            with open(f"{uri}/examples-00000-00000.tfrecord.0123abcd.partial", "wb") as file:
                file.write(b"half a record")
        yield from process(self, source)

    monkeypatch.setattr(ingestion.IngestFile, "process", leave_and_process)
    examples = ingest(csv_file.parent, csv_file.name)
    assert not [name for _, _, names in os.walk(examples.uri) for name in names if name.endswith(".partial")]
    assert len(np.concatenate(read_splits(examples))) == 400
