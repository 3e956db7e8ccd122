"""What the SavedModel serves: raw events in, probabilities out."""

import keras
import tensorflow as tf
import tensorflow_transform as tft

from models.features import B_TAGS, FEATURES, LABEL

M_BB_BOUND = 1.0  # the mean of m_bb over HIGGS; the signal's h0 -> b b peaks just below it


class Servable(tf.Module):
    """A network together with the transform graph, so that what is served is what was trained."""

    def __init__(self, network: keras.Model, transform: tft.TFTransformOutput):
        super().__init__()
        self.network = network
        self.transform = transform.transform_features_layer()
        self._spec = {name: kind for name, kind in transform.raw_feature_spec().items() if name != LABEL}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name to function, see `export`."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        features = {name: tf.TensorSpec([None], tf.float32, name=name) for name in FEATURES}
        return {
            "serving_default": tf.function(self._score_examples).get_concrete_function(examples),
            "serving_features": tf.function(self._score).get_concrete_function(features),
            "transform_features": tf.function(self._transform_examples).get_concrete_function(examples),
            "slices": tf.function(self._slice_examples).get_concrete_function(examples),
        }

    def _score_examples(self, examples):
        return self._score(self._parse(examples))

    def _score(self, features):
        logit = self.network(self.transform(dict(features))["features"], training=False)[:, 0]
        return {"probability": tf.sigmoid(logit), "logit": logit}

    def _transform_examples(self, examples):
        return {"features": self.transform(self._parse(examples))["features"]}

    def _slice_examples(self, examples):
        features = self._parse(examples)
        n_b_tags = tf.add_n([tf.cast(features[name] > 0, tf.int64) for name in B_TAGS])
        band = tf.where(features["m_bb"] < M_BB_BOUND, "low", "high")
        return {"n_b_tags": n_b_tags[:, None], "m_bb_band": band[:, None]}

    def _parse(self, examples):
        return tf.io.parse_example(examples, self._spec)


def export(network: keras.Model, transform_graph: str, folder: str) -> None:
    """Writes a SavedModel.

    Its signatures, for a batch of n events:

    - `serving_default`: `examples`, n serialized tf.Example, to `probability` and `logit`, float32 [n]; a label is
      neither needed nor read.
    - `serving_features`: 28 named float32 [n], to the same. TF Serving's REST `instances` are of this form.
    - `transform_features`: `examples` to `features`, float32 [n, 28], as the network sees them.
    - `slices`: `examples` to `n_b_tags`, int64 [n, 1], and `m_bb_band`, `low` or `high` [n, 1], for TFMA.

    Args:
      network: from normalised features to logits.
      transform_graph: the folder of Transform's output.
      folder: where to write.
    """
    servable = Servable(network, tft.TFTransformOutput(transform_graph))
    tf.saved_model.save(servable, folder, signatures=servable.signatures())
