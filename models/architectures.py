"""The networks, as data, and the one function that builds them.

Source of the named ones: TensorFlow's tutorial "Overfit and underfit", on the data of Baldi et al. 2014. A new
architecture is a line in `ARCHITECTURES`; a new regularizer is a field of `Architecture` and a line in `build`.
"""

import dataclasses
import difflib

from models.errors import ModelError
from models.features import FEATURES


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron for two classes.

    Attributes:
      hidden_units: width of each hidden layer, in order.
      activation: of each hidden layer, by Keras's name.
      l1: adds l1 * sum(abs(w)) over every hidden kernel to the loss.
      l2: adds l2 * sum(w**2) over every hidden kernel to the loss: Keras's convention, without a factor of one half.
      dropout: fraction of each hidden layer's outputs that is set to 0 in training (Srivastava et al., JMLR 15 (2014)).
      batch_norm: whether each hidden layer's sums are normalised before the activation (Ioffe, Szegedy, ICML 2015).
      weight_decay: AdamW's, decoupled from the loss (Loshchilov, Hutter, ICLR 2019).
    """

    hidden_units: tuple[int, ...]
    activation: str = "elu"
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    batch_norm: bool = False
    weight_decay: float = 0.0

    def __post_init__(self):
        if not self.hidden_units or min(self.hidden_units) < 1:
            raise ModelError(
                f"Hidden layers have at least 1 unit. Received: hidden_units = {self.hidden_units}. "
                "Give one width per hidden layer, such as (64, 64)."
            )
        for name in ("l1", "l2", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ModelError(f"{name} is at least 0. Received: {getattr(self, name)}. Use 0 for none.")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is a fraction below 1. Received: {self.dropout}. Use 0 for none.")

    def to_dict(self) -> dict:
        """The fields, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "Architecture":
        """The architecture of `to_dict`, by way of JSON or not."""
        return cls(**{**fields, "hidden_units": tuple(fields["hidden_units"])})


_LARGE = (512, 512, 512, 512)

ARCHITECTURES = {
    "tiny": Architecture((16,)),
    "small": Architecture((16, 16)),
    "medium": Architecture((64, 64, 64)),
    "large": Architecture(_LARGE),
    "l2": Architecture(_LARGE, l2=1e-3),
    "dropout": Architecture(_LARGE, dropout=0.5),
    "combined": Architecture(_LARGE, l2=1e-4, dropout=0.5),
}


def named(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
      ModelError: there is none.
    """
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        remedy = f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(ARCHITECTURES)}."
        raise ModelError(f"There is no architecture of this name. Received: {name!r}. {remedy}")
    return ARCHITECTURES[name]


def build(architecture: Architecture, seed: int = 0):
    """Builds the network.

    Args:
      architecture: what to build.
      seed: of the initial weights and of dropout; equal seeds give equal networks.

    Returns:
      An uncompiled keras.Model from float32 [batch, 28], normalised features, to float32 [batch, 1], the logit of the
      signal's probability.
    """
    import keras

    seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def dense(n_units: int, **settings):
        return keras.layers.Dense(
            n_units, kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)), **settings
        )

    inputs = keras.Input([len(FEATURES)], name="features")
    outputs = inputs
    for n_units in architecture.hidden_units:
        penalty = keras.regularizers.L1L2(architecture.l1, architecture.l2)
        outputs = dense(
            n_units,
            use_bias=not architecture.batch_norm,
            kernel_regularizer=penalty if architecture.l1 or architecture.l2 else None,
        )(outputs)
        if architecture.batch_norm:
            outputs = keras.layers.BatchNormalization()(outputs)
        outputs = keras.layers.Activation(architecture.activation)(outputs)
        if architecture.dropout:
            outputs = keras.layers.Dropout(architecture.dropout, seed=next(seeds))(outputs)
    return keras.Model(inputs, dense(1, name="logit")(outputs))
