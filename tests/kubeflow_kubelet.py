"""A stand-in for Kubernetes's scheduler and kubelet: every container is a mount namespace of this machine."""

import base64
import dataclasses
import datetime
import os
import subprocess
import sys
import threading
from pathlib import Path

import requests
from kubeflow_pods import Container, expanded, start
from kubeflow_services import NAMESPACE, Services

NODE = "here"
POLL_S = 0.3
END_S = 10  # for what a pod has still to tell


class Kubelet:
    """Runs pods until it is stopped.

    Attributes:
      api: a client of Kubernetes's API.
    """

    def __init__(self, api: "Api", programs: Path, services: Services, folder: Path, claims: dict[str, Path]):
        """Prepares.

        Args:
          api: a client of Kubernetes's API.
          programs: the folder of what Kubeflow's and Argo's images hold.
          services: what pods find in the cluster.
          folder: for pods and logs.
          claims: persistent volume claim to the folder that stands for its volume.
        """
        self.api, self._folder = api, folder
        self._what_is_there = (programs, services, claims)
        self._stopped = threading.Event()
        self._known: dict[str, Pod] = {}
        self._runs: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Kubelet":
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stopped.set()
        self._thread.join()
        for pod in self._known.values():
            pod.kill()
        for run in self._runs:  # while Kubernetes's API is there to be told
            run.join(END_S)

    def log(self, name: str, container: str = "main") -> Path:
        """The file with the output of a pod's container."""
        return self._folder / name / f"{container}.log"

    def _follow(self) -> None:
        while not self._stopped.wait(POLL_S):
            manifests = {manifest["metadata"]["uid"]: manifest for manifest in self.api.get("pods")["items"]}
            for uid in self._known.keys() - manifests.keys():
                self._known.pop(uid).kill()
            for uid, manifest in manifests.items():
                name = manifest["metadata"]["name"]
                if "deletionTimestamp" in manifest["metadata"]:
                    if uid in self._known:
                        self._known[uid].kill()
                    if uid not in self._known or self._known[uid].has_ended:
                        self.api.delete(f"pods/{name}")
                elif uid not in self._known:
                    self._bind(name)
                    self._known[uid] = pod = Pod(manifest, self.api, *self._what_is_there, self._folder / name)
                    self._runs.append(threading.Thread(target=pod.run, daemon=True))
                    self._runs[-1].start()

    def _bind(self, name: str) -> None:
        target = {"kind": "Node", "apiVersion": "v1", "name": NODE}
        binding = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": name}, "target": target}
        self.api.post(f"pods/{name}/binding", binding)


@dataclasses.dataclass
class Pod:
    """A pod of this machine.

    Attributes:
      manifest: as Kubernetes's API has it.
      api: a client of Kubernetes's API.
      programs: the folder of what Kubeflow's and Argo's images hold.
      services: what it finds in the cluster.
      claims: persistent volume claim to folder.
      folder: for its volumes and logs.
      has_ended: whether Kubernetes's API knows how it ended.
    """

    manifest: dict
    api: "Api"
    programs: Path
    services: Services
    claims: dict[str, Path]
    folder: Path

    def __post_init__(self):
        self.name, self.spec = self.manifest["metadata"]["name"], self.manifest["spec"]
        self._processes: list[subprocess.Popen] = []
        self._states: dict[str, dict] = {}
        self.has_ended = False

    def run(self) -> None:
        """Runs the init containers, one after the other, and then the others at once."""
        self.folder.mkdir(parents=True)
        volumes = {volume["name"]: self._volume(volume) for volume in self.spec.get("volumes", ())}
        for container in self.spec.get("initContainers", ()):
            if self._start(container, volumes).wait():
                return self._report("Failed", container["name"])
        processes = {c["name"]: self._start(c, volumes) for c in self.spec["containers"]}
        began = now()
        self._states = {name: {"running": {"startedAt": began}} for name in processes}
        self._report("Running")
        waits = [
            threading.Thread(target=self._await, args=(name, process, began)) for name, process in processes.items()
        ]
        for thread in waits:
            thread.start()
        for thread in waits:
            thread.join()
        codes = [state["terminated"]["exitCode"] for state in self._states.values()]
        self._report("Failed" if any(codes) else "Succeeded")

    def kill(self) -> None:
        """Ends all containers, with whatever they have started."""
        for process in [process for process in self._processes if process.poll() is None]:
            subprocess.run(["pkill", "--signal", "KILL", "--session", str(process.pid)])

    def _await(self, name: str, process: subprocess.Popen, began: str) -> None:
        code = process.wait()
        code = 128 - code if code < 0 else code  # as Kubernetes has it of what a signal ended
        ended = {"exitCode": code, "startedAt": began, "finishedAt": now(), "reason": "Error" if code else "Completed"}
        self._states[name] = {"terminated": ended}
        self._report("Running")

    def _report(self, phase: str, failed_init: str = "") -> None:
        containers = [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": False, "restartCount": 0}
            | {"state": self._states.get(c["name"], {"waiting": {"reason": "PodInitializing"}})}
            for c in self.spec["containers"]
        ]
        status = {"phase": phase, "startTime": now(), "containerStatuses": containers, "podIP": self.services.address}
        if failed_init:
            status["message"] = f"init container {failed_init} failed"
        self.api.patch(f"pods/{self.name}/status", {"status": status})
        self.has_ended = phase in ("Succeeded", "Failed")

    def _start(self, container: dict, volumes: dict[str, Path]) -> subprocess.Popen:
        variables = {"PATH": f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for source in container.get("envFrom", ()):
            variables |= self.api.get(f"configmaps/{source['configMapRef']['name']}").get("data", {})
        for entry in container.get("env", ()):
            value = entry.get("value", "") if "valueFrom" not in entry else self._field(entry["valueFrom"])
            variables[entry["name"]] = expanded(value, variables)
        mounts = {}
        for mount in container.get("volumeMounts", ()):
            mounts[mount["mountPath"]] = outside = volumes[mount["name"]] / mount.get("subPath", "")
            if not outside.exists():
                outside.mkdir(parents=True)
                outside.chmod(0o777)
        name, command = container["name"], [*container.get("command", ()), *container.get("args", ())]
        own, log = self.folder / "own" / name, self.folder / f"{name}.log"
        self._processes.append(process := start(Container(command, variables, mounts), self.services, own, log))
        return process

    def _volume(self, volume: dict) -> Path:
        if "persistentVolumeClaim" in volume:
            return self.claims[volume["persistentVolumeClaim"]["claimName"]]
        folder = self.folder / "volumes" / volume["name"]
        folder.mkdir(parents=True)
        folder.chmod(0o777)  # as Kubernetes makes it
        if "secret" in volume:
            content = self.api.get(f"secrets/{volume['secret']['secretName']}")["data"]
            for item in volume["secret"].get("items") or [{"key": key, "path": key} for key in content]:
                (folder / item["path"]).write_bytes(base64.b64decode(content[item["key"]]))
        return folder

    def _field(self, source: dict) -> str:
        metadata = self.manifest["metadata"]
        known = {"metadata.name": metadata["name"], "metadata.uid": metadata["uid"], "metadata.namespace": NAMESPACE}
        known |= {"spec.nodeName": NODE, "status.podIP": self.services.address}
        return known[source["fieldRef"]["fieldPath"]]


class Api:
    """A client of Kubernetes's API, for one namespace."""

    def __init__(self, url: str, token: str, authority: Path):
        self._session = requests.Session()
        self._session.verify, self._session.trust_env = str(authority), False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._url = url

    def get(self, path: str, group: str = "api/v1") -> dict:
        """What there is at a path below the namespace."""
        return self._send("GET", path, group)

    def post(self, path: str, content: dict, group: str = "api/v1") -> dict:
        """Makes something."""
        return self._send("POST", path, group, json=content)

    def make(self, path: str, content: dict) -> dict:
        """Makes something outside the namespace."""
        answer = self._session.post(f"{self._url}/{path}", json=content)
        answer.raise_for_status()
        return answer.json()

    def patch(self, path: str, content: dict) -> dict:
        """Merges into what there is."""
        return self._send(
            "PATCH", path, "api/v1", json=content, headers={"Content-Type": "application/merge-patch+json"}
        )

    def delete(self, path: str) -> None:
        """Deletes at once."""
        self._send("DELETE", path, "api/v1", params={"gracePeriodSeconds": 0})

    def _send(self, method: str, path: str, group: str, **content) -> dict:
        answer = self._session.request(method, f"{self._url}/{group}/namespaces/{NAMESPACE}/{path}", **content)
        if not answer.ok and answer.status_code not in (404, 409):
            raise RuntimeError(f"{method} {path}: {answer.text}")
        return answer.json()


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
