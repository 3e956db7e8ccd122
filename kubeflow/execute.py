"""Runs a compiled spec without a cluster: each task's exact command line, on the input that Kubeflow would give it.

    higgs kubeflow execute pipeline.yaml --parameter data=/data/rows.csv --folder runs/kubeflow [--image higgs:latest]

What Kubeflow's driver and launcher do to a task is done here as their sources have it (kubeflow/pipelines,
backend/src/v2: driver/driver.go, component/launcher_v2.go, metadata/converter.go): parameters resolved, artifacts
handed over without their types under integer names, copied from the object store to local folders and back, the
outputs' metadata taken from the file that the task writes. Nothing is cached and nothing is retried.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter

import yaml

from kubeflow.entrypoint import ROOT_VARIABLE
from kubeflow.errors import KubeflowError

STORE = "minio"  # the scheme of Kubeflow's own object store, and the launcher's folder for it
SESSION = json.dumps({"Provider": "minio", "Params": {"disableSSL": "true", "region": "minio"}})
OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"
EXECUTOR_INPUT = "{{$}}"
FOLDER_MODE = 0o777  # the image's user is another than this machine's


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What Kubeflow knows of an artifact.

    Attributes:
      name: an integer, as text.
      uri: in the object store.
      metadata: JSON values.
    """

    name: str
    uri: str
    metadata: dict


@dataclasses.dataclass(frozen=True)
class Pod:
    """Where one task runs.

    Attributes:
      folder: stands for the pod's root folder, as far as the launcher writes there.
      image: to run the command in with Docker; empty to run it as a plain process of this installation.
      mounts: folders of this machine that a container sees at the same place.
    """

    folder: str
    image: str = ""
    mounts: tuple[str, ...] = ()

    @property
    def output_file(self) -> str:
        """Where the task writes what came of it, as the task sees it."""
        return OUTPUT_FILE if self.image else os.path.join(self.folder, OUTPUT_FILE.strip("/"))

    def path(self, inside: str) -> str:
        """The place on this machine of an absolute path inside."""
        return os.path.join(self.folder, inside.strip("/"))

    def run(self, command: list[str], log: str) -> int:
        """Runs the command, its output to a file, and returns its exit code."""
        environment = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
        if self.image:
            shared = [f"{self.path(inside)}:{inside}" for inside in (f"/{STORE}", os.path.dirname(OUTPUT_FILE))]
            shared += [f"{folder}:{folder}" for folder in self.mounts]
            volumes = [word for volume in shared for word in ("--volume", volume)]
            command = ["docker", "run", "--rm", "--network", "none", *volumes, self.image, *command]
        else:
            environment[ROOT_VARIABLE] = self.folder
        with open(log, "w") as file:
            return subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode


def execute(
    path: str, parameters: dict, folder: str, image: str = "", mounts: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, Artifact]]]:
    """Runs a compiled pipeline.

    Args:
      path: of the YAML file.
      parameters: the run-time parameters that differ from their defaults.
      folder: for the object store, the pods' folders and the logs.
      image: the image to run the tasks in, whatever the spec says; empty for plain processes.
      mounts: folders that containers see as well: the data, and what stands for volumes.

    Yields:
      Each task's name and its outputs by key, as soon as it is done.

    Raises:
      KubeflowError: a task failed.
    """
    spec = _read(path)
    defaults = {name: given["defaultValue"] for name, given in spec["root"]["inputDefinitions"]["parameters"].items()}
    run = _Run(spec, defaults | parameters, os.path.abspath(folder), image, mounts)
    for name in run.order():
        yield name, run.task(name)


def parse_parameters(path: str, texts: Iterable[str]) -> dict:
    """Run-time parameters of a compiled pipeline from `name=value` texts, each of the type that the spec says.

    Raises:
      KubeflowError: there is no such parameter, or its value is of another type.
    """
    known, values = _read(path)["root"]["inputDefinitions"]["parameters"], {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            values[name] = value if known[name]["parameterType"] == "STRING" else float(value)
        except KeyError:
            raise KubeflowError(f"Parameters are {', '.join(known)}. Received: {text!r}. Correct the name.") from None
        except ValueError:
            raise KubeflowError(f"{name} is a number. Received: {value!r}. Correct the value.") from None
    return values


def _read(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            return next(yaml.safe_load_all(file))
    except OSError as error:
        raise KubeflowError(
            f"A compiled pipeline must be readable. Received: {path}: {error.strerror}. "
            "Make it with higgs kubeflow compile."
        ) from None


class _Run:
    """One run: the state that Kubeflow keeps in its metadata store, and the object store."""

    def __init__(self, spec: dict, parameters: dict, folder: str, image: str, mounts: tuple[str, ...]):
        self._spec, self._parameters, self._folder = spec, parameters, folder
        self._image, self._mounts = image, mounts
        self._outputs: dict[str, dict[str, Artifact]] = {}
        self._root = f"{STORE}://mlpipeline/{spec['pipelineInfo']['name']}/{uuid.uuid4()}"
        self._n_artifacts = 0

    def order(self) -> list[str]:
        """The tasks' names, each after those that it depends on."""
        tasks = self._spec["root"]["dag"]["tasks"]
        return list(
            TopologicalSorter({name: task.get("dependentTasks", ()) for name, task in tasks.items()}).static_order()
        )

    def task(self, name: str) -> dict[str, Artifact]:
        """Does what driver and launcher do with one task."""
        task = self._spec["root"]["dag"]["tasks"][name]
        component = self._spec["components"][task["componentRef"]["name"]]
        container = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        pod = Pod(os.path.join(self._folder, "pods", name), self._image, self._mounts)
        shutil.rmtree(pod.folder, ignore_errors=True)
        executor_input = {
            "inputs": self._inputs(task),
            "outputs": self._provision(name, component) | {"outputFile": pod.output_file},
        }
        self._download(pod, executor_input)
        text = json.dumps(executor_input)
        command = [word.replace(EXECUTOR_INPUT, text) for word in (*container["command"], *container["args"])]
        os.makedirs(os.path.join(self._folder, "logs"), exist_ok=True)
        log = os.path.join(self._folder, "logs", f"{name}.log")
        code = pod.run(command, log)
        if code:
            raise KubeflowError(f"Every task must succeed. Received: exit code {code} from {name}. See {log}.")
        self._outputs[name] = self._upload(pod, executor_input)
        return self._outputs[name]

    def _inputs(self, task: dict) -> dict:
        """driver.go, resolveInputs."""
        parameters, artifacts = {}, {}
        for key, source in task["inputs"].get("parameters", {}).items():
            if "runtimeValue" in source:
                parameters[key] = source["runtimeValue"]["constant"]
            else:
                parameters[key] = self._parameters[source["componentInputParameter"]]
        for key, source in task["inputs"].get("artifacts", {}).items():
            producer = source["taskOutputArtifact"]
            artifact = self._outputs[producer["producerTask"]][producer["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [dataclasses.asdict(artifact) | {"type": {"instanceSchema": ""}}]}
        return {"parameterValues": parameters} | ({"artifacts": artifacts} if artifacts else {})

    def _provision(self, name: str, component: dict) -> dict:
        """driver.go, provisionOutputs."""
        artifacts = {}
        for key, definition in component["outputDefinitions"]["artifacts"].items():
            artifact = {"uri": f"{self._root}/{name}/{uuid.uuid4()}/{key}", "type": definition["artifactType"]}
            artifacts[key] = {"artifacts": [artifact | {"metadata": definition.get("metadata", {})}]}
        return {"artifacts": artifacts}

    def _download(self, pod: Pod, executor_input: dict) -> None:
        """launcher_v2.go, downloadArtifacts and prepareOutputFolders."""
        for artifacts in executor_input["inputs"].get("artifacts", {}).values():
            [artifact] = artifacts["artifacts"]
            shutil.copytree(self._stored(artifact["uri"]), pod.path(_local(artifact["uri"])), dirs_exist_ok=True)
        for artifacts in executor_input["outputs"]["artifacts"].values():
            os.makedirs(os.path.dirname(pod.path(_local(artifacts["artifacts"][0]["uri"]))), exist_ok=True)
        os.makedirs(pod.path(os.path.dirname(OUTPUT_FILE)), exist_ok=True)
        for folder, _, _ in os.walk(pod.folder):
            os.chmod(folder, FOLDER_MODE)

    def _upload(self, pod: Pod, executor_input: dict) -> dict[str, Artifact]:
        """launcher_v2.go, uploadOutputArtifacts; converter.go, there and back."""
        with open(pod.path(OUTPUT_FILE), encoding="utf-8") as file:
            written = json.load(file).get("artifacts", {})
        outputs = {}
        for key, artifacts in executor_input["outputs"]["artifacts"].items():
            [artifact] = artifacts["artifacts"]
            [said] = written.get(key, {"artifacts": [{}]})["artifacts"]
            uri = said.get("uri") or artifact["uri"]
            metadata = artifact["metadata"] | said.get("metadata", {})
            metadata = {name: _recorded(value) for name, value in metadata.items()}
            if os.path.exists(pod.path(_local(uri))):
                shutil.copytree(pod.path(_local(uri)), self._stored(uri))
            self._n_artifacts += 1
            known = {"display_name": key, "store_session_info": SESSION}
            outputs[key] = Artifact(str(self._n_artifacts), uri, known | metadata)
        return outputs

    def _stored(self, uri: str) -> str:
        return os.path.join(self._folder, "store", uri.removeprefix(f"{STORE}://"))


def _local(uri: str) -> str:
    """launcher_v2.go, localPathForURI: any other scheme is an error there, too."""
    scheme, _, key = uri.partition("://")
    if scheme != STORE or not key:
        raise KubeflowError(f"Artifacts are kept in the object store. Received: {uri}. Restore the URI that was given.")
    return f"/{STORE}/{key}"


def _recorded(value):
    """What remains of a metadata value after ML Metadata kept it."""
    if value is None:
        raise KubeflowError("Kubeflow's metadata knows no null. Received: null. Leave the property out.")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
