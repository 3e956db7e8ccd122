"""Requests to a model, made of real rows: they show that it answers, and TF Serving warms it up with them.

    python -m serving.warmup MODEL RECORDS... --name NAME --to REQUESTS

Loads the model in this fresh process as TF Serving does, into a session, sends it the requests in both input forms,
compares the answers and writes the requests down, as `PredictionLog` records. Ends with exit code 2 and one line if the
model is not fit to be served.
"""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Mapping

import numpy as np

if __name__ == "__main__":
    # TF Serving has no Keras either; without it, TensorFlow is there in half the time.
    sys.modules["keras"] = None  # type: ignore[assignment]  # what hides a module
    gc.disable()  # nor are so few requests worth a look for garbage

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from events.errors import UnservableModelError
from events.shards import DamageError, damage_reported, open_shards

BY_EXAMPLE, BY_FEATURE = "serving_default", "serving_features"
OUTPUTS = ("probability", "logit")
BATCH_SIZES = 1, 8, 64  # TensorFlow prepares itself anew for some shapes; of TF Serving's limit of 1,000 this is little
TOLERANCE = 1e-6  # between the probabilities of the two forms


def read_records(files: list[str], n_records: int) -> list[bytes]:
    """The first serialized tf.Examples of TFRecord files, repeated if there are fewer.

    Raises:
      UnservableModelError: there are none.
      DamageError: a file is damaged.
    """
    with damage_reported(files):
        records = list(open_shards(sorted(files)).take(n_records).as_numpy_iterator())
    if not records:
        raise UnservableModelError(
            "A model is tried on real rows. Received: no rows to try it on. Check the eval split."
        )
    return [records[index % len(records)] for index in range(n_records)]


def make_requests(
    records: list[bytes], model_name: str, feature_names: list[str]
) -> Iterator[predict_pb2.PredictRequest]:
    """Yields, for each batch size, a request by example and one by feature for the same rows."""
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in feature_names}
    for size in BATCH_SIZES:
        rows = records[:size]
        columns = tf.io.parse_example(rows, spec)
        for signature, inputs in ((BY_EXAMPLE, {"examples": rows}), (BY_FEATURE, columns)):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            yield request


class ServedModel:
    """A SavedModel in a session, where TF Serving and TensorFlow for Java and C++ have it, too.

    Python's own loader restores more than that: weights that only it finds, a session leaves empty.

    Attributes:
      signatures: name to what it takes and gives.
    """

    def __init__(self, folder: str):
        """Loads the model.

        Raises:
          UnservableModelError: it does not load.
        """
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], folder)
        except Exception as error:  # whatever a damaged file makes of TensorFlow's loader
            raise UnservableModelError(
                f"A served model loads. Received: {_first_line(error)} from {folder}. Train it again."
            ) from None
        self.signatures = dict(loaded.signature_def)

    def __call__(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs of a signature."""
        signature = self.signatures[name]
        outputs = {key: tensor.name for key, tensor in signature.outputs.items()}
        return self._session.run(outputs, {signature.inputs[key].name: value for key, value in inputs.items()})


def answer(model: ServedModel, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    """What a model answers to a request.

    Raises:
      UnservableModelError: it lacks the signature or an output, or fails.
    """
    name = request.model_spec.signature_name
    try:
        outputs = model(name, {key: tf.make_ndarray(value) for key, value in request.inputs.items()})
        return {key: outputs[key] for key in OUTPUTS}
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise UnservableModelError(
            f"A served model answers {name} with {' and '.join(OUTPUTS)}. Received: {_first_line(error)}. "
            "Correct models/signatures.py."
        ) from None


def check(model: ServedModel, requests: list[predict_pb2.PredictRequest]) -> None:
    """Sends pairs of requests and compares the answers.

    Raises:
      UnservableModelError: an answer is not a finite number for each row, or the two forms disagree.
    """
    for by_example, by_feature in zip(requests[::2], requests[1::2], strict=True):
        [n_rows] = tf.make_ndarray(by_example.inputs["examples"]).shape
        answers = []
        for request in (by_example, by_feature):
            form = request.model_spec.signature_name
            outputs = answer(model, request)
            for name, values in outputs.items():
                if values.shape != (n_rows,):
                    received = f"{name} of shape {values.shape} from {form}"
                    raise UnservableModelError(
                        f"{n_rows} rows give {n_rows} answers. Received: {received}. Correct it."
                    )
                if not np.isfinite(values).all():
                    received = f"{name} = {values[~np.isfinite(values)][0]} from {form}"
                    raise UnservableModelError(
                        f"A served model answers with finite numbers. Received: {received}. Train it again."
                    )
            answers.append(outputs["probability"])
        apart = float(np.abs(answers[0] - answers[1]).max())
        if apart > TOLERANCE:
            raise UnservableModelError(
                f"Both input forms give the same probabilities to {TOLERANCE:g}. Received: a difference of {apart:g}. "
                "Correct models/signatures.py."
            )


def write_requests(path: str, requests: list[predict_pb2.PredictRequest]) -> None:
    """Writes requests as TF Serving reads them from a model's assets.extra."""
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString(deterministic=True))


def _first_line(error: Exception) -> str:
    lines = str(error).removeprefix("Graph execution error:").strip().splitlines()  # a session's heading says nothing
    return (lines or [type(error).__name__])[0].rstrip(".")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Tries a model and writes warm-up requests for it.")
    parser.add_argument("model")
    parser.add_argument("records", nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--to", required=True)
    arguments = parser.parse_args()
    try:
        model = ServedModel(arguments.model)
        if BY_FEATURE not in model.signatures:
            raise UnservableModelError(
                f"A served model has {BY_FEATURE}. Received: {list(model.signatures)}. Correct it."
            )
        names = sorted(model.signatures[BY_FEATURE].inputs)
        requests = list(make_requests(read_records(arguments.records, max(BATCH_SIZES)), arguments.name, names))
        check(model, requests)
        write_requests(arguments.to, requests)
    except (UnservableModelError, DamageError) as error:
        print(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
