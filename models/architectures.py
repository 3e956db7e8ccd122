"""The networks, as data.

Source of the named ones: TensorFlow's tutorial "Overfit and underfit", on the data of Baldi et al. 2014. A new
architecture is a line in `ARCHITECTURES`; a new regularizer is a field of `Architecture` and a line in
`models.networks`.
"""

import dataclasses
import math
import typing
from collections.abc import Callable
from typing import Any

from events.errors import ModelError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron for two classes, and what keeps it from overfitting.

    `l1`, `l2` and `dropout` are one value for every hidden layer, or a tuple of one for each.

    Attributes:
      hidden_units: width of each hidden layer, in order.
      activation: of each hidden layer, by Keras's name.
      l1: adds l1 * sum(abs(w)) over every hidden kernel to the loss.
      l2: adds l2 * sum(w**2) over every hidden kernel to the loss: Keras's convention, without a factor of one half.
      penalized: what `l1` and `l2` weigh: `kernel`, or `activity`, each hidden layer's outputs, as a mean over events.
      dropout: fraction of each hidden layer's outputs that is set to 0 in training (Srivastava et al., JMLR 15 (2014)).
      batch_norm: whether each hidden layer's sums are normalised before the activation (Ioffe, Szegedy, ICML 2015).
      weight_decay: AdamW's, decoupled from the loss: each step first takes learning_rate * weight_decay * w from every
        weight w (Loshchilov, Hutter, ICLR 2019).
      augment: whether training sees each event rotated and reflected at random, see `events.higgs.symmetries`.
      inputs: `columns`, the 28 of the data set, or `physics`, those and what `events.higgs.physics` computes of them.
      pretrain: so many simulated events train the network before the real ones do, without penalties, dropout, weight
        decay or augmentation; see `models.pretraining`.
      members: so many such networks learn side by side, each by its own loss, and the probability is the mean of theirs
        (Lakshminarayanan et al., NeurIPS 2017).
    """

    hidden_units: tuple[int, ...]
    activation: str = "elu"
    l1: float | tuple[float, ...] = 0.0
    l2: float | tuple[float, ...] = 0.0
    penalized: str = "kernel"
    dropout: float | tuple[float, ...] = 0.0
    batch_norm: bool = False
    weight_decay: float = 0.0
    augment: bool = False
    inputs: str = "columns"
    pretrain: int = 0
    members: int = 1

    def __post_init__(self):
        if not self.hidden_units or min(self.hidden_units) < 1:
            raise ModelError(
                f"Hidden layers have at least 1 unit. Received: hidden_units = {self.hidden_units}. "
                "Give one width per hidden layer, such as (64, 64)."
            )
        for name in ("l1", "l2", "weight_decay"):
            if not all(0 <= value < math.inf for value in self.per_layer(name)):
                raise ModelError(f"{name} is at least 0 and finite. Received: {getattr(self, name)}. Use 0 for none.")
        if not all(0 <= value < 1 for value in self.per_layer("dropout")):
            raise ModelError(f"dropout is a fraction below 1. Received: {self.dropout}. Use 0 for none.")
        if self.members < 1:
            raise ModelError(f"members is at least 1. Received: {self.members}. Use 1 for a single network.")
        if self.inputs not in INPUTS:
            raise ModelError(f"inputs is {' or '.join(INPUTS)}. Received: {self.inputs!r}. Use columns.")
        if self.pretrain < 0:
            raise ModelError(f"pretrain is a number of events. Received: {self.pretrain}. Use 0 for none.")
        if self.penalized not in PENALIZED:
            raise ModelError(f"penalized is {' or '.join(PENALIZED)}. Received: {self.penalized!r}. Use kernel.")

    def per_layer(self, name: str) -> tuple[float, ...]:
        """The values of a field, one for each hidden layer.

        Raises:
          ModelError: there are more or fewer values than layers.
        """
        value, n_layers = getattr(self, name), len(self.hidden_units)
        values = value if isinstance(value, tuple) else (value,) * n_layers
        if len(values) != n_layers:
            raise ModelError(
                f"{name} is one value, or one for each of the {n_layers} hidden layers. Received: {value}. "
                "Give as many as hidden_units."
            )
        return values

    def to_dict(self) -> dict:
        """The fields, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "Architecture":
        """The architecture of `to_dict`, by way of JSON or not."""
        return cls(**fields | {key: tuple(value) for key, value in fields.items() if isinstance(value, list)})


PENALIZED = ("kernel", "activity")
INPUTS = COLUMNS_ONLY, PHYSICS = ("columns", "physics")

_LARGE = (512, 512, 512, 512)

ARCHITECTURES = {
    "tiny": Architecture((16,)),
    "small": Architecture((16, 16)),
    "medium": Architecture((64, 64, 64)),
    "large": Architecture(_LARGE),
    "l1": Architecture(_LARGE, l1=1e-4),
    "l2": Architecture(_LARGE, l2=1e-3),
    "l1_l2": Architecture(_LARGE, l1=5e-5, l2=5e-4),
    "activity_l2": Architecture(_LARGE, l2=1e-3, penalized="activity"),
    "dropout": Architecture(_LARGE, dropout=0.5),
    "batch_norm": Architecture(_LARGE, batch_norm=True),
    "adamw": Architecture(_LARGE, weight_decay=1.0),
    "augmented": Architecture(_LARGE, augment=True),
    "combined": Architecture(_LARGE, l2=1e-4, dropout=0.5),
    "combined_bn": Architecture(_LARGE, l2=1e-4, dropout=0.5, batch_norm=True),
    "physics": Architecture(_LARGE, l2=1e-4, dropout=0.5, inputs="physics"),
    "simulated": Architecture(_LARGE, "swish", dropout=0.1, pretrain=10_000_000),
    "pretrained": Architecture(_LARGE, "swish", dropout=0.1, inputs="physics", pretrain=10_000_000),
}


def named(text: str) -> Architecture:
    """The architecture that a text names, with any fields changed.

    >>> changed = named("combined,augment=true,hidden_units=256x3,dropout=0.5:0.5:0.2")
    >>> changed.hidden_units, changed.dropout, changed.augment
    ((256, 256, 256), (0.5, 0.5, 0.2), True)

    Args:
      text: a name in ARCHITECTURES, and `field=value` texts after commas. Values by layer are divided by colons;
        `256x3` is short for 256:256:256.

    Raises:
      ModelError: there is no such architecture or field, or a value is not of the field's type.
    """
    name, *settings = text.split(",")
    architecture = ARCHITECTURES[_known(name, ARCHITECTURES, "architecture")]
    changes = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        _known(key, _PARSERS, "field of an architecture")
        try:
            changes[key] = _PARSERS[key](value)
        except (ValueError, KeyError):
            raise ModelError(
                f"{key} cannot have this value. Received: {setting!r}. Write for example dropout=0.5, augment=true or "
                "hidden_units=512x4."
            ) from None
    return dataclasses.replace(architecture, **changes)


def _known(name: str, names, kind: str) -> str:
    if name not in names:
        raise ModelError(f"There is no {kind} of this name. Received: {name!r}. {did_you_mean(name, names)}")
    return name


def _widths(text: str) -> tuple[int, ...]:
    width, times, n_layers = text.partition("x")
    return (int(width),) * int(n_layers) if times else tuple(int(part) for part in text.split(":"))


def _values(text: str) -> float | tuple[float, ...]:
    values = tuple(float(part) for part in text.split(":"))
    return values[0] if len(values) == 1 else values


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


# By a field's type; the others' types read their own values.
_READERS: dict[Any, Callable] = {tuple[int, ...]: _widths, float | tuple[float, ...]: _values, bool: _truth}
_PARSERS = {name: _READERS.get(kind, kind) for name, kind in typing.get_type_hints(Architecture).items()}
