import gzip

import pytest

from events import csv_blocks
from events.csv_blocks import count_rows, read_blocks, read_head, read_lines
from events.errors import IngestionError

LINE = b"1,0.5,2\n"


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 20)


def test_blocks_are_whole_lines_and_lose_nothing(tmp_path, small_blocks):
    path = tmp_path / "a.csv"
    path.write_bytes(LINE * 50 + b"0,1,1")
    blocks = list(read_blocks(str(path), read_head(str(path))))
    assert b"".join(block.text for block in blocks) == LINE * 50 + b"0,1,1"
    assert all(block.text.endswith(b"\n") for block in blocks[:-1])
    assert len(blocks) > 10
    line = 1
    for block in blocks:
        assert (block.first_line, block.first_row) == (line, line - 1)
        line += block.text.count(b"\n")


@pytest.mark.parametrize(
    ("first_line", "is_header"),
    [
        (b"label,lepton_pt", True),
        (b"1,0.5", False),
        (b"nan,0.5", False),
        (b"1,abc", False),
        (b'"label","x"', True),
        (b'"1.0","0.5"', False),
        (b"0,1,2", True),
        (b'"1","2","3"', True),
        (b"0,2,1", False),
        (b"2,3,4", False),
        (b"1", False),
    ],
)
def test_header_is_a_first_line_without_a_number_or_one_that_numbers_the_columns(tmp_path, first_line, is_header):
    path = tmp_path / "a.csv"
    path.write_bytes(first_line + b"\n1,2\n")
    assert read_head(str(path)).is_header == is_header
    assert count_rows(str(path)) == (1 if is_header else 2)


def test_rows_below_a_header_keep_the_line_numbers_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"label,x\n1,2\n0,3\n")
    [block] = read_blocks(str(path), read_head(str(path)), first_row=7)
    assert (block.text, block.first_line, block.first_row) == (b"1,2\n0,3\n", 2, 7)


def test_blank_lines_are_counted_as_lines_and_not_as_rows(tmp_path, small_blocks):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n \r\nlabel,x\r\n\r\n1,2\r\n\n" + 10 * LINE + b"\n\n0,3\n \t\n")
    blocks = list(read_blocks(str(path), read_head(str(path)), first_row=7))
    assert count_rows(str(path)) == 12
    [last] = [block for block in blocks if b"0,3" in block.text]
    lines_before = last.text.split(b"0,3")[0].count(b"\n")
    assert last.first_line + lines_before == 19
    assert last.first_row == 7 + 11 - last.text.split(b"0,3")[0].count(b"0.5")


def test_byte_order_mark_is_no_part_of_the_first_field(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf1,2\n")
    assert next(read_lines(str(path))) == b"1,2\n"


def test_gzip_in_several_members_is_read_to_the_end(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(LINE) + gzip.compress(LINE))
    assert b"".join(read_lines(str(path))) == 2 * LINE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\n \r\n"),
        ("a.csv.gz", gzip.compress(b"", mtime=0)),
        ("a.CSV.GZ", gzip.compress(b"", mtime=0)),
        ("a.csv.gz", b""),
        ("a.csv", b"x,y\n"),
    ],
)
def test_file_without_rows_holds_none(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert not any(block.text.strip() for block in read_blocks(str(path), read_head(str(path))))
    assert count_rows(str(path)) == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", LINE, "must be gzip data"),
        ("a.csv.gz", gzip.compress(LINE * 999, mtime=0)[:-9], "must be complete"),
        ("a.csv.gz", gzip.compress(LINE, mtime=0)[:-6] + b"zzzzzz", "must be complete"),
        ("a.csv", gzip.compress(LINE, mtime=0), "must end in .gz"),
    ],
)
def test_unusable_file_is_named_with_rule_and_remedy(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(IngestionError, match=words) as caught:
        for _ in read_blocks(str(path), read_head(str(path))):
            pass
    assert str(path) in str(caught.value)
    assert "Received:" in str(caught.value)


def test_line_without_end_stops_in_bounded_memory(tmp_path, small_blocks):
    path = tmp_path / "a.csv"
    path.write_bytes(b"1" * 100)
    with pytest.raises(IngestionError, match="shorter than 20 bytes"):
        list(read_lines(str(path)))
