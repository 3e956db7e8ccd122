"""What is learned from HIGGS, and how. Knows nothing of pipelines."""

import os

# Keras 3 on TensorFlow, whatever is imported first: tensorflow-transform would otherwise choose Keras 2 for `tf.keras`
# in every process that imports it before TensorFlow.
for name in [name for name in os.environ if name.startswith("KERAS_")]:
    del os.environ[name]
os.environ["KERAS_BACKEND"] = "tensorflow"
# Keras's settings are those in keras.json beside this file, never a user's: they decide what is trained, as code does.
os.environ["KERAS_HOME"] = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
