"""The graph that Transform wrote, as a function of raw features."""

import tensorflow as tf
import tensorflow_transform as tft

from events.higgs.columns import FEATURES, LABEL
from events.seals import check_seal
from models.architectures import COLUMNS_ONLY, PHYSICS

OUTPUTS = {COLUMNS_ONLY: ("features",), PHYSICS: ("features", "physics")}


class TransformGraph(tf.Module):
    """Normalises raw features; can be called inside other graphs and saved with them.

    tensorflow-transform's own layer does the same, but is a Keras 2 model, whose export takes seconds.

    Attributes:
      spec: column name to what `tf.io.parse_example` needs to read it.
      n_inputs: how many values it makes of an event.
    """

    def __init__(self, folder: str, inputs: str = COLUMNS_ONLY):
        """Loads the graph from the folder of Transform's output.

        Args:
          folder: of Transform's output.
          inputs: what the network takes, see `Architecture.inputs`. What it does not take is not computed.

        Raises:
          DamageError: it is not as Transform wrote it.
          KeyError: Transform has not computed what the network takes.
        """
        super().__init__()
        check_seal(folder)
        output = tft.TFTransformOutput(folder)
        self.spec = output.raw_feature_spec()
        self._graph = tf.saved_model.load(output.transform_savedmodel_dir)
        self._outputs = OUTPUTS[inputs]
        made = output.transformed_feature_spec()
        self.n_inputs = sum(made[name].shape[0] for name in self._outputs)
        self._source = folder, inputs

    def __reduce__(self):
        """Another process loads it anew."""
        return TransformGraph, self._source

    def __call__(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """float32 [n, n_inputs] from 28 named float32 [n]; other columns are ignored."""
        raw = {name: features[name] for name in FEATURES}
        # The graph passes the label through; without one, as in serving, any will do.
        raw[LABEL] = tf.zeros_like(features[FEATURES[0]], tf.int64)
        transformed = self._graph.transform_fn(raw)
        return tf.concat([transformed[name] for name in self._outputs], axis=1)
