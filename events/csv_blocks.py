"""A CSV file, plain or gzipped, as blocks of whole lines in bounded memory.

Nothing here knows what a row means: `events.csv_rows` does.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from isal import igzip, isal_zlib

from events.errors import IngestionError
from events.listing import is_gzipped, is_remote

BLOCK_BYTES = 1 << 20  # larger blocks fall out of the cache and parse more slowly
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEWLINE, SPACE = b"\n "
QUOTES = b"\"'"


@dataclasses.dataclass(frozen=True)
class Part:
    """Some of a file's bytes: the lines that begin at byte `start` or later, and before byte `stop`."""

    start: int = 0
    stop: int = sys.maxsize


WHOLE = Part()


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole lines of one file, without its header.

    Attributes:
      text: the lines, each ended by a newline but for the file's last one.
      first_line: the number of the first line in its file, or in the part of it that is read, from 1.
      first_row: the number of the block's first data line among those of all files, from 0; blank lines are none.
      path: the file.
    """

    text: bytes
    first_line: int
    first_row: int
    path: str


@dataclasses.dataclass(frozen=True)
class Head:
    """How a file begins.

    Attributes:
      first_line: its first line that is not blank; empty if there is none.
      is_header: whether that line is a header; see `is_header`.
    """

    first_line: bytes
    is_header: bool

    @property
    def fields(self) -> list[str]:
        """What the first line holds, without quotes and padding."""
        return [field.decode("utf-8", "replace") for field in split_fields(self.first_line)]

    @property
    def names(self) -> list[str] | None:
        """The names in a header; None where columns stand in HIGGS's order: without names, or below mere numbers."""
        return None if not self.is_header or is_numbering(split_fields(self.first_line)) else self.fields


@contextlib.contextmanager
def open_csv(path: str) -> Iterator[BinaryIO | igzip.IGzipFile]:
    """Opens `path` on any of Beam's file systems for reading the CSV text, gunzipping by the `.gz` suffix."""
    with _open(path) as raw:
        magic = raw.read(2)
        raw.seek(0)
        if not is_gzipped(path):
            if magic == GZIP_MAGIC:
                raise IngestionError(f"Gzipped data must end in .gz. Received: {path}. Rename it to {path}.gz.")
            yield raw
            return
        if magic and magic != GZIP_MAGIC:
            raise IngestionError(
                f"A .gz file must be gzip data. Received: {path}, which begins with {magic!r}. "
                "Drop the .gz suffix if it is plain text, or compress it again."
            )
        with igzip.GzipFile(fileobj=raw, mode="rb") as text:
            yield text


def _open(path: str) -> BinaryIO:
    if not is_remote(path):
        return open(path, "rb")
    # Beam takes seconds to import, which a client of a served model need not wait for.
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_chunks(path: str, part: Part = WHOLE) -> Iterator[bytes]:
    """Yields the text of `path` in pieces of `BLOCK_BYTES`, turning what gzip reports into an `IngestionError`.

    Args:
      path: the file.
      part: whose lines to read, of a plain file.
    """
    with open_csv(path) as stream:
        begin = max(part.start - 1, 0)  # the newline there, if it is one, begins the part's first line
        if begin:
            stream.seek(begin)
        ahead = part.start > 0
        while chunk := _read(stream, path):
            if ahead:
                skipped = chunk.find(b"\n") + 1
                begin += skipped or len(chunk)
                if not skipped:
                    continue
                if begin >= part.stop:
                    return
                chunk, ahead = chunk[skipped:], False
            end = chunk.find(b"\n", max(part.stop - 1 - begin, 0)) + 1
            yield chunk[:end] if end else chunk
            if end:
                return
            begin += len(chunk)


def _read(stream: BinaryIO | igzip.IGzipFile, path: str) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (EOFError, igzip.BadGzipFile, isal_zlib.IsalError) as error:  # type: ignore[misc]  # isal's stub names no class
        raise IngestionError(
            f"A .gz file must be complete. Received: {path}: {error}. "
            "Download or compress it again; `gzip -t` checks it."
        ) from error


def read_lines(path: str, part: Part = WHOLE) -> Iterator[bytes]:
    """Yields blocks of whole lines of `path`, about `BLOCK_BYTES` each, without a byte order mark."""
    rest = b""
    at_start = part.start == 0
    for chunk in read_chunks(path, part):
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest += chunk
            if len(rest) > BLOCK_BYTES:
                raise IngestionError(
                    f"A row must be shorter than {BLOCK_BYTES:,} bytes. Received: {path} without a line end for "
                    f"{len(rest):,} bytes. End each row with a newline."
                )
            continue
        text = rest + chunk[:end]
        yield text.removeprefix(BYTE_ORDER_MARK) if at_start else text
        rest, at_start = chunk[end:], False
    if rest:
        yield rest.removeprefix(BYTE_ORDER_MARK) if at_start else rest


def read_head(path: str) -> Head:
    """Reads how `path` begins."""
    for text in read_lines(path):
        if text := text.lstrip():
            first_line = text.partition(b"\n")[0].rstrip()
            return Head(first_line, is_header(split_fields(first_line)))
    return Head(b"", is_header=False)


def split_fields(line: bytes) -> list[bytes]:
    """The fields of a line, without quotes around them, padding and line end."""
    return [_unquote(field.strip()) for field in line.split(b",")]


def _unquote(field: bytes) -> bytes:
    is_quoted = len(field) > 1 and field[0] == field[-1] and field[0] in QUOTES
    return field[1:-1].strip() if is_quoted else field


def is_header(fields: list[bytes]) -> bool:
    """Whether a first line is a header: not one of its fields is a number, or they number the columns."""
    return not any(map(is_number, fields)) or is_numbering(fields)


def is_numbering(fields: list[bytes]) -> bool:
    """Whether fields are 0, 1, 2, ... or 1, 2, 3, ..., as pandas and others write above columns without names."""
    if len(fields) < 2 or not all(map(is_number, fields)):
        return False
    numbers = [float(field) for field in fields]
    return numbers[0] in (0, 1) and numbers == [numbers[0] + place for place in range(len(fields))]


def is_number(field: bytes) -> bool:
    """Whether the text is a number, NaN and infinity included."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_blocks(path: str, head: Head, first_row: int = 0, part: Part = WHOLE) -> Iterator[Block]:
    """Yields the data of `path`, header dropped, as numbered blocks."""
    line = 1
    header_ahead = head.is_header and part.start == 0
    for text in read_lines(path, part):
        if header_ahead and (data := text.lstrip()):
            data = data.partition(b"\n")[2]
            line += text.count(b"\n", 0, len(text) - len(data))
            text, header_ahead = data, False
        if text:
            yield Block(text, line, first_row, path)
        n_lines, n_blank = count_lines(text)
        line += n_lines
        first_row += n_lines - n_blank


def count_lines(text: bytes) -> tuple[int, int]:
    """The number of lines in `text`, the last of which may lack its newline, and how many of them are blank."""
    characters = np.frombuffer(text, np.uint8)
    newlines = np.flatnonzero(characters == NEWLINE)
    n_lines = len(newlines) + (bool(text) and not text.endswith(b"\n"))
    starts, ends = np.append(0, newlines + 1)[:n_lines], np.append(newlines, len(text))[:n_lines]
    padded = np.flatnonzero(characters[starts] <= SPACE)  # few; a line that begins with a character is not blank
    return n_lines, sum(not text[starts[line] : ends[line]].strip() for line in padded)


def count_rows(path: str, part: Part = WHOLE) -> int:
    """The number of data lines of `path`: those that are not blank, less a header. Reads all of them."""
    counts = [count_lines(text) for text in read_lines(path, part)]
    n_headers = read_head(path).is_header and part.start == 0
    return sum(n_lines - n_blank for n_lines, n_blank in counts) - n_headers


def count_lines_before(path: str, part: Part) -> int:
    """The number of lines of a plain file that begin before a part of it."""
    return sum(text.count(b"\n") for text in read_chunks(path, Part(0, part.start))) if part.start else 0
