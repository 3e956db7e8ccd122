"""Numbers as texts, the same way everywhere."""

import math

from models.architecture_words import regularizers

MINUS = "\N{MINUS SIGN}"
SMALLEST = 1e-6


def is_known(*values: float | None) -> bool:
    """Whether values are numbers; JSON has None for a NaN."""
    return not any(value is None or math.isnan(value) for value in values)


def number(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """A number with that many digits behind the point."""
    if not is_known(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def significant(value: float | None) -> str:
    """A number with three significant digits; what is below SMALLEST is 0, as a mean of normalised values is."""
    if value is None or not is_known(value):
        return "n/a"
    plain = f"{value:#.3g}" if 1e-4 <= abs(value) < 1e3 else "0" if abs(value) < SMALLEST else f"{value:.3g}"
    return plain.rstrip(".").replace("-", MINUS)


def interval(bounds) -> str:
    """Two bounds of differences in nats."""
    return f"{number(bounds[0], sign=True)} to {number(bounds[1], sign=True)}"


def group(fields: dict) -> str:
    """The tutorial's group of an architecture: `sizes`, or `regularizers` if it has any regularization."""
    return "regularizers" if regularizers(fields) else "sizes"
