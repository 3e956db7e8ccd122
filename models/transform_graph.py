"""The graph that Transform wrote, as a function of raw features."""

import tensorflow as tf
import tensorflow_transform as tft

from datasets.seals import check_seal
from models.features import FEATURES, LABEL


class TransformGraph(tf.Module):
    """Normalises raw features; can be called inside other graphs and saved with them.

    tensorflow-transform's own layer does the same, but is a Keras 2 model, whose export takes seconds.

    Attributes:
      spec: column name to what `tf.io.parse_example` needs to read it.
    """

    def __init__(self, folder: str):
        """Loads the graph from the folder of Transform's output.

        Raises:
          DamageError: it is not as Transform wrote it.
        """
        super().__init__()
        check_seal(folder)
        output = tft.TFTransformOutput(folder)
        self.spec = output.raw_feature_spec()
        self._graph = tf.saved_model.load(output.transform_savedmodel_dir)

    def __call__(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """float32 [n, 28] from 28 named float32 [n]; other columns are ignored."""
        raw = {name: features[name] for name in FEATURES}
        # The graph passes the label through; without one, as in serving, any will do.
        raw[LABEL] = tf.zeros_like(features[FEATURES[0]], tf.int64)
        return self._graph.transform_fn(raw)["features"]
