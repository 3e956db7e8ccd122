"""A CSV file, plain or gzipped, as blocks of whole lines in bounded memory.

Nothing here knows what a row means: `components.csv_rows` does.
"""

import dataclasses
from collections.abc import Iterator
from typing import BinaryIO

from isal import igzip, isal_zlib

from components.errors import IngestionError

BLOCK_BYTES = 1 << 20  # larger blocks fall out of the cache and parse more slowly
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole lines of one file, without its header.

    Attributes:
      text: the lines, each ended by a newline but for the file's last one.
      first_line: the number of the first line in its file, from 1.
      first_row: the number of the first line among the data lines of all files, from 0.
      path: the file.
    """

    text: bytes
    first_line: int
    first_row: int
    path: str


@dataclasses.dataclass(frozen=True)
class Head:
    """How a file begins: its first line and whether that line is a header, that is, holds not one number."""

    first_line: bytes
    is_header: bool

    @property
    def names(self) -> list[str]:
        """The column names of a header, without quotes and spaces."""
        return [name.strip(" \"'\t") for name in self.first_line.decode("utf-8", "replace").split(",")]


def open_csv(path: str) -> BinaryIO:
    """Opens `path` on any of Beam's file systems for reading the CSV text, gunzipping by the `.gz` suffix."""
    raw = _open(path)
    magic = raw.read(2)
    raw.seek(0)
    if path.endswith(".gz"):
        if magic and magic != GZIP_MAGIC:
            raise IngestionError(
                f"A .gz file must be gzip data. Received: {path}, which begins with {magic!r}. "
                "Drop the .gz suffix if it is plain text, or compress it again."
            )
        return igzip.GzipFile(fileobj=raw, mode="rb")
    if magic == GZIP_MAGIC:
        raise IngestionError(f"Gzipped data must end in .gz. Received: {path}. Rename it to {path}.gz.")
    return raw


def _open(path: str) -> BinaryIO:
    if "://" not in path:
        return open(path, "rb")
    # Beam takes seconds to import, which a client of a served model need not wait for.
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_chunks(path: str) -> Iterator[bytes]:
    """Yields the text of `path` in pieces of `BLOCK_BYTES`, turning what gzip reports into an `IngestionError`."""
    with open_csv(path) as stream:
        while True:
            try:
                chunk = stream.read(BLOCK_BYTES)
            except (EOFError, igzip.BadGzipFile, isal_zlib.IsalError) as error:
                raise IngestionError(
                    f"A .gz file must be complete. Received: {path}: {error}. "
                    "Download or compress it again; `gzip -t` checks it."
                ) from error
            if not chunk:
                return
            yield chunk


def read_lines(path: str) -> Iterator[bytes]:
    """Yields blocks of whole lines of `path`, about `BLOCK_BYTES` each, without a byte order mark."""
    rest = b""
    at_start = True
    for chunk in read_chunks(path):
        if at_start:
            chunk, at_start = chunk.removeprefix(BYTE_ORDER_MARK), False
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest += chunk
            if len(rest) > BLOCK_BYTES:
                raise IngestionError(
                    f"A row must be shorter than {BLOCK_BYTES:,} bytes. Received: {path} without a line end for "
                    f"{len(rest):,} bytes. End each row with a newline."
                )
            continue
        yield rest + chunk[:end]
        rest = chunk[end:]
    if rest:
        yield rest


def read_head(path: str) -> Head:
    """Reads the first line of `path`.

    Raises:
      IngestionError: the file holds no line.
    """
    lines = next(read_lines(path), b"")
    first_line = lines.split(b"\n", 1)[0].rstrip(b"\r")
    if not lines.strip():
        raise IngestionError(f"A CSV file must hold rows. Received: {path}, which is empty. Name another file.")
    return Head(first_line, not any(is_number(field) for field in first_line.split(b",")))


def is_number(field: bytes) -> bool:
    """Whether the text is a number, NaN and infinity included."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_blocks(path: str, head: Head, first_row: int = 0) -> Iterator[Block]:
    """Yields the data of `path`, header dropped, as numbered blocks."""
    line = 1
    for text in read_lines(path):
        if line == 1 and head.is_header:
            _, _, text = text.partition(b"\n")
            line = 2
        if text:
            yield Block(text, line, first_row, path)
        n_lines = count_lines(text)
        line += n_lines
        first_row += n_lines


def count_lines(text: bytes) -> int:
    """The number of lines in `text`, the last of which may lack its newline."""
    return text.count(b"\n") + (bool(text) and not text.endswith(b"\n"))


def count_rows(path: str) -> int:
    """The number of data lines of `path`: its lines less a header. Reads the whole file."""
    return sum(map(count_lines, read_lines(path))) - read_head(path).is_header
