"""What is tuned: a space around an architecture and a learning rate, and the way from a point in it to what is trained.

    l2             log scale, 0 and 1e-6 to 1e-2
    dropout        0 and 0.05 to 0.75
    width, depth   16, 32, ... 1024 units in each of 1 to 6 hidden layers
    batch_norm     with or without
    learning_rate  log scale, 1e-4 to 1e-2

The lower end of an axis that can be 0 counts as 0, so that a model of the space sees one axis and no jump. The base,
which is the architecture as configured, is a point of the space whatever its layers: the nearest one stands for it.
"""

import dataclasses
import math

from events.errors import ModelError
from models.architecture_words import in_words
from models.architectures import Architecture
from models.rules import Rules

RANGES = {
    "width": (16, 1024),
    "depth": (1, 6),
    "l2": (1e-7, 1e-2),
    "dropout": (0.0, 0.75),
    "learning_rate": (1e-4, 1e-2),
}
SMALLEST = {"l2": 1e-6, "dropout": 0.05}  # what is less counts as 0
NETWORK = ("width", "depth", "l2", "dropout", "batch_norm")
AXES = (*NETWORK, "learning_rate")
# Not tuned, but written beside what is: which architecture was the base, and whether its rows were real.
ARCHITECTURE, ORIGIN = "architecture", "origin"


def start(architecture: Architecture, rules: Rules) -> dict:
    """The point that stands for the base: axis to value."""
    values = {
        "width": round(_mean(architecture.hidden_units)),
        "depth": len(architecture.hidden_units),
        "l2": _mean(architecture.l2),
        "dropout": _mean(architecture.dropout),
        "batch_norm": architecture.batch_norm,
        "learning_rate": rules.learning_rate,
    }
    return {name: _clip(value, *RANGES[name]) if name in RANGES else value for name, value in values.items()}


def from_hyperparameters(values: dict, architecture: Architecture, rules: Rules) -> tuple[Architecture, Rules]:
    """What a point of the space trains.

    Args:
      values: axis to value, as KerasTuner has them; other names are ignored.
      architecture: the base. What is not tuned is kept, as one value for all layers where it has one per layer.
      rules: the base's.
    """
    base = start(architecture, rules)
    if any(values[name] != base[name] for name in NETWORK):
        architecture = dataclasses.replace(
            architecture,
            hidden_units=(int(values["width"]),) * int(values["depth"]),
            l1=_mean(architecture.l1),
            l2=_or_none("l2", values),
            dropout=_or_none("dropout", values),
            batch_norm=bool(values["batch_norm"]),
        )
    if values["learning_rate"] != base["learning_rate"]:
        rules = dataclasses.replace(rules, learning_rate=float(values["learning_rate"]))
    return architecture, rules


def space(architecture: Architecture, rules: Rules, name: str, origin: str):
    """The space as KerasTuner knows it, with the base as the default of each axis.

    Args:
      architecture, rules: the base.
      name: of the base's architecture.
      origin: of the rows, `real` or `simulated`.

    Returns:
      keras_tuner.HyperParameters.
    """
    import keras_tuner

    base, hyperparameters = start(architecture, rules), keras_tuner.HyperParameters()
    hyperparameters.Fixed(ARCHITECTURE, name)
    hyperparameters.Fixed(ORIGIN, origin)
    hyperparameters.Int("width", *RANGES["width"], step=2, sampling="log", default=base["width"])
    hyperparameters.Int("depth", *RANGES["depth"], default=base["depth"])
    hyperparameters.Float("l2", *RANGES["l2"], sampling="log", default=base["l2"])
    hyperparameters.Float("dropout", *RANGES["dropout"], default=base["dropout"])
    hyperparameters.Boolean("batch_norm", default=base["batch_norm"])
    hyperparameters.Float("learning_rate", *RANGES["learning_rate"], sampling="log", default=base["learning_rate"])
    return hyperparameters


def values_of(config: object) -> dict:
    """The values in a configuration that KerasTuner wrote of a point of this space.

    Raises:
      ModelError: it is none.
    """
    values = config.get("values") if isinstance(config, dict) else None
    expected = {*AXES, ARCHITECTURE, ORIGIN}
    if not isinstance(values, dict) or set(values) != expected:
        received = ", ".join(sorted(values)) if isinstance(values, dict) and values else "none of them"
        raise ModelError(
            f"Tuned hyperparameters are {', '.join(sorted(expected))}. Received: {received}. "
            "Take the file that a run with --tune wrote."
        )
    for name, (low, high) in RANGES.items():
        whole = isinstance(low, int)
        kind = int if whole else (int, float)
        if isinstance(values[name], bool) or not isinstance(values[name], kind) or not low <= values[name] <= high:
            raise ModelError(
                f"Tuned {name} is a {'whole ' if whole else ''}number from {low:g} to {high:g}. "
                f"Received: {values[name]!r}. Take the file that a run with --tune wrote."
            )
    if not isinstance(values["batch_norm"], bool):
        raise ModelError(f"Tuned batch_norm is true or false. Received: {values['batch_norm']!r}. Correct the file.")
    return values


def describe(architecture: Architecture, rules: Rules) -> str:
    """The architecture and the learning rate in a few words.

    >>> describe(Architecture((512, 512), l2=1e-4), Rules())
    '512x2, l2 0.0001, learning rate 0.001'
    """
    return f"{in_words(architecture.to_dict())}, learning rate {rules.learning_rate:.3g}"


def _mean(value) -> float:
    """The value, or the mean of one per layer."""
    return math.fsum(value) / len(value) if isinstance(value, tuple) else value


def _clip(value, low, high):
    return min(max(value, low), high)


def _or_none(name: str, values: dict) -> float:
    return float(values[name]) if values[name] >= SMALLEST[name] else 0.0
