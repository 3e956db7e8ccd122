"""TF Serving's gRPC interface."""

import re

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from events.errors import ServingError
from events.higgs.columns import FEATURES
from serving.faults import FAILED, NOT_LOADED, REFUSED, TOO_SLOW, Unavailable, fault
from serving.request import OUTPUT, SIGNATURE, Model

_KINDS = {
    grpc.StatusCode.NOT_FOUND: NOT_LOADED,
    grpc.StatusCode.INVALID_ARGUMENT: REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.DEADLINE_EXCEEDED: TOO_SLOW,
}
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A name with several addresses, such as a headless Kubernetes service, has a server behind each.
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.enable_retries", 0),  # `Retries` asks again
]


class GrpcScorer:
    """Scores events by Predict calls to one address; may be called from many threads."""

    def __init__(self, address: str, model: Model, timeout_s: float):
        """Prepares calls; connects at the first one.

        Raises:
          ServingError: the address is none.
        """
        if not re.fullmatch(r"(dns:///)?[^/\s]+:\d+", address):
            raise ServingError(f"A gRPC server's address is host:port. Received: {address!r}. Correct --grpc.")
        self.server = address
        self._model = model
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The probabilities of n events, from float32 [28, n]; raises as `RestScorer` does."""
        try:
            response = self._stub.Predict(self._request(features), timeout=self._timeout_s)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(error.details()) from None
            received = f"{error.code().name}: {error.details()}"
            raise fault(_KINDS.get(error.code(), FAILED), received, self.server) from None
        if OUTPUT not in response.outputs:
            raise fault(FAILED, f"an answer without {OUTPUT!r}", self.server)
        tensor = response.outputs[OUTPUT]
        shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
        if shape != features.shape[1:]:  # before so much memory is allocated
            raise fault(FAILED, f"shape {shape} for {features.shape[1]} events", self.server)
        try:
            return tf.make_ndarray(tensor)
        except (TypeError, ValueError) as error:
            raise fault(FAILED, f"a broken tensor: {error}", self.server) from None

    def _request(self, features: np.ndarray) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model.served_name
        request.model_spec.signature_name = SIGNATURE
        if self._model.version:
            request.model_spec.version.value = self._model.version
        for name, column in zip(FEATURES, features, strict=True):
            request.inputs[name].CopyFrom(tf.make_tensor_proto(column))
        return request

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()
