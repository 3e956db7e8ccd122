"""A model server for the tests, which answers as TF Serving does: its protos, its status codes, its words.

Source of codes and words: tensorflow/serving, `http_rest_api_handler.cc`, `http_server.cc`, `predict_util.cc`,
`basic_manager.cc` and `server_core.cc`.
"""

import contextlib
import dataclasses
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.warmup import ServedModel

HTTP_CODES = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.INTERNAL: 500,
}


to_tensor = tf.make_tensor_proto


class Fault(Exception):
    """A status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass
class Mood:
    """How the server behaves.

    Attributes:
      n_unavailable: this many requests are told that it cannot answer now.
      n_good: after this many requests it is unavailable for good.
      delay_s: before each answer.
      outputs: what to answer, whatever is asked.
      reply: what REST sends instead of any answer: status code, headers and body.
    """

    n_unavailable: int = 0
    n_good: int = 1_000_000
    delay_s: float = 0.0
    outputs: dict | None = None
    reply: tuple[int, dict[str, str], bytes] | None = None


class Core:
    """The models and what is asked of them; the same for both interfaces."""

    def __init__(self, models: dict[str, list[Path]]):
        self.models = {
            name: {int(folder.name): ServedModel(str(folder)) for folder in folders} for name, folders in models.items()
        }
        self.mood = Mood()
        self.asked: set[tuple[str, int]] = set()  # names and versions
        self.n_posts = self.n_requests = self.n_now = self.n_at_once = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def counted(self):
        """Counts requests, and how many there are at a time."""
        with self._lock:
            self.n_requests += 1
            self.n_now += 1
            self.n_at_once = max(self.n_at_once, self.n_now)
            n_request = self.n_requests
        try:
            if n_request <= self.mood.n_unavailable or n_request > self.mood.n_good:
                raise Fault(
                    grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
                )
            time.sleep(self.mood.delay_s)
            yield
        finally:
            with self._lock:
                self.n_now -= 1

    def find(self, name: str, version: int):
        """The version number and the model that a request means."""
        request = f"Specific({name}, {version})" if version else f"Latest({name})"
        versions = self.models.get(name, {})
        version = version or max(versions, default=0)
        if version not in versions:
            raise Fault(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
        self.asked.add((name, version))
        return version, versions[version]

    def predict(self, model, signature: str, inputs: dict) -> dict[str, np.ndarray]:
        """Runs a signature whose name has been looked up."""
        expected = model.signatures[signature].inputs
        if set(inputs) != set(expected):
            missing = ",".join(sorted(set(expected) - set(inputs)))
            raise Fault(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"input size does not match signature: {len(inputs)}!={len(expected)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(expected))}}}). "
                f"Sent extra: {{}}. Missing but required: {{{missing}}}.",
            )
        if self.mood.outputs is not None:
            return self.mood.outputs
        return model(signature, inputs)

    def status(self, name: str) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of a model's versions."""
        if name not in self.models:
            raise Fault(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        versions = [
            get_model_status_pb2.ModelVersionStatus(version=version, state=available) for version in self.models[name]
        ]
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=versions)


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """gRPC's Predict."""

    def __init__(self, core: Core):
        self._core = core

    def Predict(self, request, context):
        try:
            with self._core.counted():
                spec = request.model_spec
                version, model = self._core.find(spec.name, spec.version.value)
                signature = spec.signature_name or "serving_default"
                if signature not in model.signatures:
                    raise Fault(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
                inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
                outputs = self._core.predict(model, signature, inputs)
        except Fault as fault:
            context.abort(fault.code, str(fault))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(to_tensor(value))
        return response


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """gRPC's GetModelStatus."""

    def __init__(self, core: Core):
        self._core = core

    def GetModelStatus(self, request, context):
        try:
            return self._core.status(request.model_spec.name)
        except Fault as fault:
            context.abort(fault.code, str(fault))


class Rest(BaseHTTPRequestHandler):
    """The REST interface; `server.core` holds the models."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        match = re.fullmatch(r"/v1/models/([^/:]+)", self.path)
        self._answer(
            lambda: json_format.MessageToDict(self.server.core.status(match[1]), preserving_proto_field_name=True)
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.core.n_posts += 1
        if self.server.core.mood.reply:
            self._send(*self.server.core.mood.reply)
            return
        self._answer(lambda: self._predict(body))

    def _predict(self, body: bytes) -> dict:
        core = self.server.core
        with core.counted():
            match = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", self.path)
            if not match:
                raise Fault(grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: POST {self.path}")
            _, model = core.find(match[1], int(match[2] or 0))
            request = json.loads(body)
            signature = request.get("signature_name", "serving_default")
            if signature not in model.signatures:
                message = f'Serving signature name: "{signature}" not found in signature def'
                raise Fault(grpc.StatusCode.INVALID_ARGUMENT, message)
            if "instances" in request:
                names = request["instances"][0]
                inputs = {name: [row[name] for row in request["instances"]] for name in names}
            else:
                inputs = request["inputs"]
            outputs = core.predict(model, signature, {name: np.array(v, np.float32) for name, v in inputs.items()})
        columns = {name: np.asarray(values).tolist() for name, values in outputs.items()}
        if "instances" not in request:
            return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()), [])}
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}

    def _answer(self, function) -> None:
        code = 200
        try:
            answer = function()
        except Fault as fault:
            code, answer = HTTP_CODES[fault.code], {"error": str(fault)}
        self._send(code, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _send(self, code: int, headers: dict[str, str], text: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(code)
            for name, value in (headers | {"Content-Length": str(len(text))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *arguments):
        """Says nothing."""


@contextlib.contextmanager
def serve(models: dict[str, list[Path]]):
    """Yields the core, the REST URL and the gRPC address of a server of these models: names to versions' folders."""
    core = Core(models)
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    rest.core = core
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    rpc = grpc.server(ThreadPoolExecutor(16))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(core), rpc)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(core), rpc)
    port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    try:
        yield core, f"http://127.0.0.1:{rest.server_port}", f"127.0.0.1:{port}"
    finally:
        rest.shutdown()
        rest.server_close()
        rpc.stop(None)
        thread.join()
