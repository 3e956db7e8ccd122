"""Numbers as texts, the same way everywhere."""

import math

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


def number(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """A number with that many digits behind the point; JSON has None for a NaN."""
    if value is None or math.isnan(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def interval(bounds) -> str:
    """Two bounds of differences in nats."""
    return f"{number(bounds[0], sign=True)} to {number(bounds[1], sign=True)}"


def architecture(fields: dict) -> str:
    """Fields of `models.architectures.Architecture` in a few words, regularizers only where there are any."""
    units = list(fields["hidden_units"])
    size = f"{len(units)} {TIMES} {units[0]}" if len(units) > 1 and len(set(units)) == 1 else ", ".join(map(str, units))
    used = [name.replace("_", " ") + ("" if value is True else f" {value:g}") for name, value in regularizers(fields)]
    return ", ".join([f"{size} {fields['activation']}", *used])


def regularizers(fields: dict) -> list[tuple[str, float | bool]]:
    """The regularizers that fields of an `Architecture` ask for; none makes it one of the tutorial's sizes."""
    return [(name, value) for name, value in fields.items() if name not in ("hidden_units", "activation") and value]


def group(fields: dict) -> str:
    """The tutorial's group of an architecture: `sizes`, or `regularizers` if it has any regularization."""
    return "regularizers" if regularizers(fields) else "sizes"
