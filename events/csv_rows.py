"""Blocks of CSV text as columns of float32, and the rows that are none.

A block of lines in plain spelling is parsed as a whole. If that fails, its lines are spelled plainly - no quotes, no
padding, no blank lines - and parsed again by the same parser, halved until a part is sound or one line that is no row.
So one parser decides what a row is, and a bad row affects no other.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from events.csv_blocks import Block, Head, split_fields
from events.errors import IngestionError

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)
COMMA, NEWLINE = b",\n"
OVERFLOW = 2.0**128 - 2.0**103  # rounds to infinity as a 32-bit float, and so does all beyond
SHOWN_BYTES = 40  # of a field at fault


@dataclasses.dataclass(frozen=True)
class BadRow:
    """One line that is no row: where it stands, the rule it breaks and what was received."""

    path: str
    line: int
    rule: str
    received: str
    remedy: str
    text: bytes

    def __str__(self) -> str:
        return f"{self.rule} Received: {self.received} at {self.path}:{self.line}. {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Rows:
    """The sound rows of a block.

    Attributes:
      values: float32 [n_columns, n_rows], the label, if any, first; one contiguous array per column.
      numbers: int64 [n_rows], the number of each row's line among the data lines of all files, bad ones included.
      bad: the lines that are no rows.
    """

    values: np.ndarray
    numbers: np.ndarray
    bad: Sequence[BadRow] = ()


@dataclasses.dataclass(frozen=True)
class RowParser:
    """Parses the blocks of one file.

    Attributes:
      columns: the names wanted, in order.
      file_columns: the same names in the file's order.
      head: how the file begins.
      labelled: whether the first of the columns is a label, 0 or 1.
    """

    columns: tuple[str, ...]
    file_columns: tuple[str, ...]
    head: Head
    labelled: bool = True

    @classmethod
    def for_file(cls, path: str, head: Head, columns: tuple[str, ...], labelled: bool = True) -> "RowParser":
        """A parser for a file that begins with `head`.

        Raises:
          IngestionError: the header does not name exactly the columns wanted, in any order.
        """
        if head.names is None and (not head.is_header or len(head.fields) == len(columns)):
            return cls(columns, columns, head, labelled)
        names = tuple(head.fields)
        if sorted(names) != sorted(columns):
            missing, extra = sorted(set(columns) - set(names)), sorted(set(names) - set(columns))
            fault = f"missing {missing[0]!r}" if missing else f"extra {extra[0]!r}" if extra else "a name twice"
            raise IngestionError(
                f"A header must name the {len(columns)} HIGGS columns once each. Received: {fault} among "
                f"{len(names)} names at {path}:1. Correct the header, or remove it to use the order of HIGGS."
            )
        return cls(columns, names, head, labelled)

    def parse(self, block: Block) -> Rows:
        """Parses one block; `Rows.bad` holds what is no row, in order."""
        values = self.parse_plain(block.text)
        if values is None:
            return self.parse_by_line(block)
        return Rows(values, block.first_row + np.arange(values.shape[1]))

    def parse_plain(self, text: bytes) -> np.ndarray | None:
        """float32 [n_columns, n_rows] of lines that are all sound rows in plain spelling; None of any others."""
        # Two spellings that are common enough to stay off the path line by line. Looking for one character takes a
        # twentieth of the time that looking for two does.
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if b" " in text:
            text = text.replace(b", ", b",")
        values = self._parse_text(text)
        return None if values is None or not is_sound(values, self.labelled) else values

    def _parse_text(self, text: bytes) -> np.ndarray | None:
        """float32 [n_columns, n_rows] of lines of plain numbers; None if they are anything else.

        The text itself serves as the buffer of an array of strings whose pieces are in turn a field and the separator
        behind it. The separators are declared null, so nothing is copied before the cast to floats. (pyarrow's CSV
        reader parses no faster, and under Python 3.10 each call to it walks every object of the process.)
        """
        text = text if text.endswith(b"\n") else text + b"\n"
        characters = np.frombuffer(text, np.uint8)
        is_separator = characters == COMMA
        is_separator |= characters == NEWLINE
        separators = np.flatnonzero(is_separator).astype(np.int32)
        n_columns, n_fields = len(self.file_columns), len(separators)
        ends = np.flatnonzero(characters[separators] == NEWLINE)
        if len(ends) * n_columns != n_fields or (ends % n_columns != n_columns - 1).any():
            return None
        offsets = np.zeros(2 * n_fields + 1, np.int32)
        offsets[1::2] = separators
        offsets[2::2] = separators + 1
        fields_only = pa.py_buffer(b"\x55" * (n_fields // 4 + 1))  # bits 1, 0, 1, 0, ...
        pieces = pa.StringArray.from_buffers(2 * n_fields, pa.py_buffer(offsets), pa.py_buffer(text), fields_only)
        try:
            numbers = pieces.cast(pa.float32())
        except pa.ArrowInvalid:
            return None
        numbers = np.frombuffer(numbers.buffers()[1], np.float32)[: 2 * n_fields : 2].reshape(-1, n_columns)
        return numbers.T[[self.file_columns.index(name) for name in self.columns]]

    def parse_by_line(self, block: Block) -> Rows:
        """Parses one block whose lines may be spelled in any way, or be no rows."""
        lines = [(offset, line) for offset, line in enumerate(block.text.split(b"\n")) if line.strip()]
        fields = [split_fields(line) for _, line in lines]
        values, bad, index = [np.empty((len(self.columns), 0), np.float32)], [], 0
        numbers: list[int] = []
        for part in self._parse_halves([_spell(line) for line in fields]):
            if part is None:
                offset, line = lines[index]
                bad.append(BadRow(block.path, block.first_line + offset, *self._fault(fields[index]), line))
                index += 1
            else:
                values.append(part)
                numbers.extend(range(index, index + part.shape[1]))
                index += part.shape[1]
        return Rows(np.concatenate(values, axis=1), block.first_row + np.array(numbers, np.int64), bad)

    def _parse_halves(self, lines: list[bytes]) -> Iterator[np.ndarray | None]:
        """Yields the values of lines in order, as many at a time as are sound, and None for each that is no row."""
        values = self.parse_plain(b"".join(lines)) if lines else None
        if values is not None or len(lines) == 1:
            yield values
        elif lines:
            half = len(lines) // 2
            yield from self._parse_halves(lines[:half])
            yield from self._parse_halves(lines[half:])

    def _fault(self, fields: list[bytes]) -> tuple[str, str, str]:
        """The rule that a line breaks which is no row, what was received and the remedy."""
        n_columns = len(self.file_columns)
        if len(fields) != n_columns:
            remedy = (
                "Remove the extra field." if len(fields) > n_columns else "Complete the row; commas separate fields."
            )
            return f"HIGGS rows need {n_columns} columns.", str(len(fields)), remedy
        for name, field in zip(self.file_columns, fields, strict=True):
            shown = f"{name} = {field[:SHOWN_BYTES].decode('utf-8', 'replace')!r}"
            if NOT_FINITE.fullmatch(field):
                return "Values must be finite.", shown, "Correct or remove the row."
            if not NUMBER.fullmatch(field):
                return "Values must be numbers.", shown, "Correct or remove the row."
            if abs(float(field)) >= OVERFLOW:
                return "Values must fit in 32-bit floats.", shown, "Correct or remove the row."
            if self.labelled and name == self.columns[0] and np.float32(float(field)) not in (0, 1):
                return "The label must be 0 or 1.", shown, "Correct the label or remove the row."
        received = b",".join(fields)[:SHOWN_BYTES].decode("utf-8", "replace")
        return "Values must be numbers that fit in 32-bit floats.", repr(received), "Correct or remove the row."


def _spell(fields: list[bytes]) -> bytes:
    """A line as the parser of whole blocks takes it: without the plus that numbers may begin with."""
    return b",".join(f[1:] if f.startswith(b"+") and NUMBER.fullmatch(f) else f for f in fields) + b"\n"


def is_sound(values: np.ndarray, labelled: bool = True) -> bool:
    """Whether float32 [n_columns, n_rows] holds finite numbers only, and 0 or 1 in a label's column, the first."""
    label = values[0]
    return bool(np.isfinite(values).all() and (not labelled or ((label == 0) | (label == 1)).all()))
