"""Tables of plain text, for commands that answer at once."""

from collections.abc import Sequence


def aligned(*rows: Sequence[str]) -> str:
    """Rows of texts as lines with columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
