"""Tables of plain text, for commands that answer at once."""

from collections.abc import Iterable, Sequence


def aligned(*rows: Sequence[str]) -> str:
    """Rows of texts as lines with columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(zip(row, widths, strict=True)) for row in rows)


def _line(cells: Iterable[tuple[str, int]]) -> str:
    return "  ".join(text.ljust(width) for text, width in cells).rstrip()
