"""What the SavedModel serves: raw events in, probabilities out."""

import functools

import keras
import tensorflow as tf

from events.higgs.columns import FEATURES
from events.higgs.slices import INPUTS, slices
from events.seals import IN_MODEL, seal
from models.transform_graph import TransformGraph


class Servable(tf.Module):
    """A network together with the transform graph, so that what is served is what was trained."""

    def __init__(self, network: keras.Model, transform: TransformGraph):
        super().__init__()
        # The weights alone. Of a whole Keras network all loaders but Python's, TF Serving's included, restore copies
        # that no signature reads; and the optimizer would be saved as well.
        self.weights = [weight.value for weight in network.weights]
        self._network = functools.partial(network, training=False)
        self.transform = transform
        self._spec = {name: transform.spec[name] for name in FEATURES}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name to function, see `export`."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        features = {name: tf.TensorSpec([None], tf.float32, name=name) for name in FEATURES}
        return {
            "serving_default": _trace(self._score_examples, examples),
            "serving_features": _trace(self._score, features),
            "transform_features": _trace(self._transform_examples, examples),
            "slices": _trace(slices, {name: features[name] for name in INPUTS}),
        }

    def _score_examples(self, examples):
        return self._score(self._parse(examples))

    def _score(self, features):
        logit = self._network(self.transform(features))[:, 0]
        return {"probability": tf.sigmoid(logit), "logit": logit}

    def _transform_examples(self, examples):
        return {"features": self.transform(self._parse(examples))}

    def _parse(self, examples):
        return tf.io.parse_example(examples, self._spec)


def _trace(function, signature) -> tf.types.experimental.ConcreteFunction:
    # Nothing here branches on a tensor, and converting the libraries' code for that takes seconds.
    return tf.function(function, autograph=False).get_concrete_function(signature)


def export(network: keras.Model, transform: TransformGraph, folder: str) -> None:
    """Writes a SavedModel.

    Its signatures, for a batch of n events:

    - `serving_default`: `examples`, n serialized tf.Example, to `probability` and `logit`, float32 [n]; a label is
      neither needed nor read.
    - `serving_features`: 28 named float32 [n], to the same. TF Serving's REST `instances` are of this form.
    - `transform_features`: `examples` to `features`, float32 [n, n_inputs], as the network sees them.
    - `slices`: named float32 [n] to what `events.higgs.slices` computes of them, for TFMA.

    Args:
      network: from normalised features to logits.
      transform: the graph that normalises for it.
      folder: where to write.
    """
    servable = Servable(network, transform)
    tf.saved_model.save(servable, folder, signatures=servable.signatures())
    seal(folder, IN_MODEL)
