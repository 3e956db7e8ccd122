"""Numbers as texts, the same way everywhere."""

import math

NOT_STRENGTHS = ("hidden_units", "activation", "penalized", "inputs", "pretrain")  # of an architecture's fields
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


def is_known(*values: float | None) -> bool:
    """Whether values are numbers; JSON has None for a NaN."""
    return not any(value is None or math.isnan(value) for value in values)


def number(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """A number with that many digits behind the point."""
    if not is_known(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def interval(bounds) -> str:
    """Two bounds of differences in nats."""
    return f"{number(bounds[0], sign=True)} to {number(bounds[1], sign=True)}"


def architecture(fields: dict) -> str:
    """Fields of `models.architectures.Architecture` in a few words, regularizers only where there are any."""
    units = list(fields["hidden_units"])
    size = f"{len(units)} {TIMES} {units[0]}" if len(units) > 1 and len(set(units)) == 1 else ", ".join(map(str, units))
    used = [name.replace("_", " ") + _strength(value) for name, value in _regularizers(fields)]
    if fields.get("penalized") == "activity" and (fields["l1"] or fields["l2"]):
        used.append("on activities")
    used += ["physics columns"] * (fields.get("inputs") == "physics")
    if fields.get("pretrain"):
        used.append(f"pre-trained on {fields['pretrain']:,} simulated events")
    return ", ".join([f"{size} {fields['activation']}", *used])


def _strength(value: bool | float | list[float]) -> str:
    if value is True:
        return ""
    return " " + (":".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value:g}")


def group(fields: dict) -> str:
    """The tutorial's group of an architecture: `sizes`, or `regularizers` if it has any regularization."""
    return "regularizers" if _regularizers(fields) else "sizes"


def _regularizers(fields: dict) -> list[tuple[str, bool | float | list[float]]]:
    """Name and strength of each regularizer, one strength for all layers or a list."""
    others = {name: value for name, value in fields.items() if name not in NOT_STRENGTHS}
    if others.get("members") == 1:
        del others["members"]
    return [(name, value) for name, value in others.items() if (any(value) if isinstance(value, list) else value)]
