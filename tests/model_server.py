"""A model of how TF Serving follows models.config, from its sources of July 2026; no model is loaded by it.

- server_core.cc, ReloadConfig: a list replaces the former one; the same names are there before and after.
- file_system_storage_path_source.cc, PollFileSystemForServable: the versions wanted are those that are listed and whose
  folders are there; a list of which nothing is there unloads everything.
- aspired_versions_manager.cc, ProcessAspiredVersionsRequest: versions that are no longer wanted are marked; a list with
  a version that is marked, but not unloaded yet, waits. One that failed is not tried again while it is wanted.
- availability_preserving_policy.cc: unloads what is unwanted once something wanted is ready, else loads the highest.
- basic_manager.cc: a request without a version goes to the highest that is ready.
"""

import contextlib
import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2


@dataclasses.dataclass
class Loaded:
    """One version under one name."""

    ready: bool
    wanted: bool = True


class ModelServer:
    """A server of the models in a serving folder; versions in `broken` do not load."""

    def __init__(self, root: Path, broken: set[int]):
        self.root, self.broken = root, broken
        self.lists: dict[str, tuple[str, list[int]]] = {}
        self.managed: dict[str, dict[int, Loaded]] = {}
        self.pending: dict[str, set[int]] = {}
        self.read_config()

    def read_config(self) -> None:
        """Reads models.config, and polls."""
        text = (self.root / "models.config").read_text()
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        models = config.model_config_list.config
        assert not self.lists or {model.name for model in models} == set(self.lists)
        self.lists = {
            model.name: (Path(model.base_path).name, list(model.model_version_policy.specific.versions))
            for model in models
        }
        self.poll()

    def poll(self) -> None:
        """Looks which of the listed folders are there, and follows."""
        for name, (folder, versions) in self.lists.items():
            assert versions, "an empty list unloads everything"
            self.pending[name] = {version for version in versions if (self.root / folder / str(version)).is_dir()}
            self._follow(name)

    def _follow(self, name: str) -> None:
        managed = self.managed.setdefault(name, {})
        while True:
            wanted = self.pending.get(name)
            if wanted is not None and not any(not managed[v].wanted for v in wanted & set(managed)):
                del self.pending[name]
                for version, loaded in managed.items():
                    loaded.wanted = version in wanted
                managed |= {v: None for v in wanted - set(managed)}  # new
            if not self._act(managed):
                return

    def _act(self, managed: dict[int, Loaded]) -> bool:
        """One step of the policy; whether there was one."""
        for version in [v for v, loaded in managed.items() if loaded and not loaded.ready and not loaded.wanted]:
            del managed[version]  # what failed is let go of
        unwanted = sorted(v for v, loaded in managed.items() if loaded and not loaded.wanted)
        wanted = [v for v in managed if v not in unwanted]
        if unwanted and (not wanted or len(unwanted) > 1 or any(managed[v] and managed[v].ready for v in wanted)):
            del managed[unwanted[0]]
            return True
        new = [version for version, loaded in managed.items() if loaded is None]
        if new:
            managed[max(new)] = Loaded(ready=max(new) not in self.broken)
        return bool(new)

    def answers(self, name: str) -> int:
        """The version that answers a request without one; 0 for none."""
        return max((v for v, loaded in self.managed.get(name, {}).items() if loaded.ready), default=0)

    def status(self, name: str, version: int) -> str:
        """AVAILABLE, END for one that failed, or nothing."""
        loaded = self.managed.get(name, {}).get(version)
        return "" if loaded is None else "AVAILABLE" if loaded.ready else "END"


class _Status(BaseHTTPRequestHandler):
    """The REST address of a version's status, as http_rest_api_handler.cc and get_model_status.proto have it."""

    def do_GET(self):
        match = re.fullmatch(r"/v1/models/([^/:]+)/versions/(\d+)", self.path)
        name, version = match[1], int(match[2])
        model_server = self.server.find()
        state = model_server.status(name, version) if model_server else ""
        health = {"error_code": "OK", "error_message": ""}
        if state == "END":
            health = {"error_code": "RESOURCE_EXHAUSTED", "error_message": f"Could not load {version}:\nout of memory."}
        answer = {"model_version_status": [{"version": str(version), "state": state, "status": health}]}
        if not state:
            answer = {"error": f"Could not find version {version} of model {name}"}
        text = json.dumps(answer).encode()
        self.send_response(200 if state else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        """Says nothing."""


@contextlib.contextmanager
def serve_status(root: Path, is_broken) -> Iterator[str]:
    """Yields the REST URL of a server of `root`, which reads models.config at every second request.

    Args:
      root: the serving folder.
      is_broken: from the path of a version to whether it fails to load.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Status)
    requests = []

    def find() -> ModelServer | None:
        requests.append(1)
        if len(requests) % 2 or not (root / "models.config").exists():
            return None
        broken = {int(path.name) for path in root.glob("*/*") if path.name.isdecimal() and is_broken(path)}
        return ModelServer(root, broken)

    server.find = find
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
