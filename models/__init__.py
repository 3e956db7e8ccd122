"""What is learned from HIGGS, and how. Knows nothing of pipelines."""

import os

# Keras 3 on TensorFlow, whatever is imported first: tensorflow-transform would otherwise choose Keras 2 for `tf.keras`
# in every process that imports it before TensorFlow.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
