"""What Kubeflow's driver and launcher talk to: ML Metadata, the cache, an object store and Kubernetes, on this machine.

Each answers at the port that it has in a cluster, on a loopback address that belongs to this process, so that neither
the programs nor their default settings have to be told where.
"""

import base64
import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import grpc
import requests
from certificates import self_signed
from ml_metadata import MetadataStore
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as serialized
from ml_metadata.proto import metadata_store_pb2

NAMESPACE = "kubeflow"
BUCKET = "mlpipeline"
TOKEN = "a-pod-s-own"
KEYS = {"accesskey": "minio", "secretkey": "minio123"}
METADATA_PORT, CACHE_PORT, STORE_PORT, KUBERNETES_PORT = 8080, 8887, 9000, 6443
# As the releases name them: 2.17 with the cluster's domain, older ones without, or without the namespace.
NAMES = [
    f"{service}{domain}"
    for service in ("metadata-grpc-service", "ml-pipeline", "seaweedfs", "minio-service")
    for domain in ("", f".{NAMESPACE}", f".{NAMESPACE}.svc", f".{NAMESPACE}.svc.cluster.local")
]
CONFIG_MAPS = {
    "metadata-grpc-configmap": {
        "METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service",
        "METADATA_GRPC_SERVICE_PORT": str(METADATA_PORT),
    }
}
FINGERPRINT = re.compile(rb"[0-9a-f]{64}")
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Services:
    """The services of one cluster.

    Attributes:
      address: where all of them listen.
      authority: the file of the certificate that Kubernetes's API shows.
      objects: a client of the object store.
      tasks: fingerprint to what the launcher noted of a task for the cache.
      requests: methods and paths that Kubernetes was asked for.
    """

    def __init__(self, folder: Path):
        number = os.getpid()
        self.address = f"127.{number >> 16 & 63 | 64}.{number >> 8 & 255}.{number & 255}"
        self.authority, self._context = self_signed(folder, self.address, *NAMES)
        self._database = metadata_store_pb2.ConnectionConfig()
        self._database.sqlite.SetInParent()  # in memory
        self.tasks: dict[bytes, bytes] = {}
        self.requests: list[str] = []
        self.objects = boto3.client(
            "s3",
            endpoint_url=f"http://{self.address}:{STORE_PORT}",
            region_name="minio",
            aws_access_key_id=KEYS["accesskey"],
            aws_secret_access_key=KEYS["secretkey"],
        )

    @contextlib.contextmanager
    def running(self, *, has_server: bool = False) -> Iterator["Services"]:
        """Starts the services, and stops them at the end; with `has_server`, only what Kubernetes and Kubeflow need."""
        os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "true"  # seaweedfs.kubeflow is no bucket's host
        from moto.server import ThreadedMotoServer

        store = serialized.CreateMetadataStore(
            self._database.SerializeToString(), metadata_store_pb2.MigrationOptions().SerializeToString()
        )
        metadata = {name: _metadata_method(store, getattr(serialized, name)) for name in _METHODS}
        cache = {"CreateTaskV1": self._note_task, "ListTasksV1": self._find_task}
        objects = ThreadedMotoServer(ip_address=self.address, port=STORE_PORT, verbose=False)
        served = [(METADATA_PORT, "ml_metadata.MetadataStoreService", metadata)]
        with contextlib.ExitStack() as stack:
            if not has_server:
                served.append((CACHE_PORT, "api.TaskService", cache))
                stack.enter_context(self._kubernetes())
            for port, service, methods in served:
                server = _grpc_server(f"{self.address}:{port}", service, methods)
                stack.callback(server.stop, None)
            objects.start()
            stack.callback(objects.stop)
            # The objects of one process are those of all its stores.
            stack.callback(requests.post, f"http://{self.address}:{STORE_PORT}/moto-api/reset")
            self.objects.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "minio"})
            yield self

    @contextlib.contextmanager
    def _kubernetes(self) -> Iterator[None]:
        server = ThreadingHTTPServer((self.address, KUBERNETES_PORT), _Kubernetes)
        server.services, server.daemon_threads = self, True
        server.socket = self._context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()

    def metadata(self) -> MetadataStore:
        """A client of the metadata's service."""
        return MetadataStore(metadata_store_pb2.MetadataStoreClientConfig(host=self.address, port=METADATA_PORT))

    def environment(self) -> dict[str, str]:
        """What Kubernetes tells each container of its API."""
        return {"KUBERNETES_SERVICE_HOST": self.address, "KUBERNETES_SERVICE_PORT": str(KUBERNETES_PORT)}

    def _note_task(self, request: bytes, context) -> bytes:
        """Keeps a task. A request of one task has the bytes of an answer of one task: neither has to be taken apart."""
        [fingerprint] = FINGERPRINT.findall(request)
        self.tasks[fingerprint] = request
        return b""  # a task without fields, which the launcher does not look at

    def _find_task(self, request: bytes, context) -> bytes:
        [fingerprint] = FINGERPRINT.findall(request)
        return self.tasks.get(fingerprint, b"")


_METHODS = [name for name in dir(serialized) if name[:3] in ("Get", "Put")]


def _metadata_method(store, method):
    def answer(request: bytes, context) -> bytes:
        response, message, code = method(store, request)
        if code:
            context.abort(CODES[code], message.decode())
        return response

    return answer


def _grpc_server(address: str, service: str, methods: dict) -> grpc.Server:
    """A server of methods from bytes to bytes; one call at a time, since SQLite's connection is one thread's."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(address)
    server.start()
    return server


class _Kubernetes(BaseHTTPRequestHandler):
    """A namespace of a fresh installation: no settings for the launcher, and the store's keys in a secret."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.services.requests.append(f"GET {self.path}")
        secret = {name: base64.b64encode(value.encode()).decode() for name, value in KEYS.items()}
        known = {"secrets/mlpipeline-minio-artifact": {"kind": "Secret", "apiVersion": "v1", "data": secret}}
        found = known.get(self.path.removeprefix(f"/api/v1/namespaces/{NAMESPACE}/"))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401})
        elif found is None:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self._send(404, status)
        else:
            self._send(200, found)

    def _send(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
