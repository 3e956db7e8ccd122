"""Runs a compiled spec without a cluster: each task's exact command line, on the input that Kubeflow would give it.

    higgs kubeflow execute pipeline.yaml --parameter data=/data/rows.csv --folder runs/kubeflow [--image higgs:1]

What Kubeflow's driver and launcher do to a task is done here as their sources have it (`kubeflow.releases`): parameters
resolved, artifacts handed over without their types, copied from the object store to local folders and back, the log
published as one more output, the outputs' metadata taken from the file that the task writes. Nothing is cached and
nothing is retried.
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

from events.errors import KubeflowError
from kubeflow.entrypoint import ROOT_VARIABLE
from kubeflow.releases import (
    LOGS,
    NEWEST,
    RELEASES,
    STORE,
    TEMPORARY_FOLDER,
    Artifact,
    Release,
    local_path,
)

EXECUTOR_INPUT = "{{$}}"
FOLDER_MODE = 0o777  # the image's user is another than this machine's


def start_process(command: list[str], environment: dict[str, str], log: str) -> int:
    """Runs a command, its output to a file, and returns its exit code."""
    with open(log, "w") as file:
        return subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode


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

    def path(self, inside: str) -> str:
        """The path on this machine of an absolute path inside."""
        return os.path.join(self.folder, inside.strip("/"))

    def seen(self, inside: str) -> str:
        """An absolute path inside, as the task has to write it."""
        return inside if self.image else self.path(inside)

    def run(self, command: list[str], log: str) -> int:
        """Runs the command, its output to a file, and returns its exit code."""
        environment = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
        if self.image:
            shared = [f"{self.path(inside)}:{inside}" for inside in (f"/{STORE}", TEMPORARY_FOLDER)]
            shared += [f"{folder}:{folder}" for folder in self.mounts]
            volumes = [word for volume in shared for word in ("--volume", volume)]
            command = ["docker", "run", "--rm", "--network", "none", *volumes, self.image, *command]
        else:
            environment[ROOT_VARIABLE] = self.folder
        return start_process(command, environment, log)


def execute(
    path: str,
    parameters: dict,
    folder: str,
    image: str = "",
    mounts: tuple[str, ...] = (),
    release: str = NEWEST,
) -> Iterator[tuple[str, dict[str, Artifact]]]:
    """Runs a compiled pipeline.

    Args:
      path: of the YAML file.
      parameters: the run-time parameters that differ from their defaults.
      folder: for the object store, the pods' folders and the logs.
      image: the image to run the tasks in, whatever the spec says; empty for plain processes.
      mounts: folders that containers see as well: the data, and what stands for volumes.
      release: whose rules hold, a key of `RELEASES`.

    Yields:
      Each task's name and its outputs by key, as soon as it is done.

    Raises:
      KubeflowError: a task failed.
    """
    spec = _read(path)
    defaults = {name: given["defaultValue"] for name, given in spec["root"]["inputDefinitions"]["parameters"].items()}
    folder = os.path.abspath(folder)
    run = _Run(spec, defaults | parameters, folder, RELEASES[release], Pod(folder, image, mounts))
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
    """One run: the state that Kubeflow keeps of it, and the object store."""

    def __init__(self, spec: dict, parameters: dict, folder: str, release: Release, pod: Pod):
        self._spec, self._parameters, self._folder = spec, parameters, folder
        self._release, self._pod = release, pod
        self._outputs: dict[str, dict[str, Artifact]] = {}
        self._root = f"{STORE}://mlpipeline/v2/artifacts/{spec['pipelineInfo']['name']}/{uuid.uuid4()}"

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
        pod = dataclasses.replace(self._pod, folder=os.path.join(self._folder, "pods", name))
        shutil.rmtree(pod.folder, ignore_errors=True)
        outputs = self._release.provision(self._root, name, component["outputDefinitions"]["artifacts"])
        output_file = pod.path(outputs["outputFile"])
        outputs["outputFile"] = pod.seen(outputs["outputFile"])
        executor_input = {"inputs": self._inputs(task), "outputs": outputs}
        self._prepare(pod, executor_input)
        text = json.dumps(executor_input)
        command = [word.replace(EXECUTOR_INPUT, text) for word in (*container["command"], *container["args"])]
        os.makedirs(os.path.join(self._folder, "logs"), exist_ok=True)
        log = os.path.join(self._folder, "logs", f"{name}.log")
        code = pod.run(command, log)
        if code:
            raise KubeflowError(f"Every task must succeed. Received: exit code {code} from {name}. See {log}.")
        if LOGS in outputs["artifacts"]:
            shutil.copyfile(log, pod.path(local_path(_only(outputs["artifacts"][LOGS])["uri"])))
        self._outputs[name] = self._upload(pod, outputs["artifacts"], output_file)
        return self._outputs[name]

    def _inputs(self, task: dict) -> dict:
        parameters, artifacts = {}, {}
        for key, source in task["inputs"].get("parameters", {}).items():
            if "runtimeValue" in source:
                parameters[key] = source["runtimeValue"]["constant"]
            else:
                parameters[key] = self._parameters[source["componentInputParameter"]]
        for key, source in task["inputs"].get("artifacts", {}).items():
            producer = source["taskOutputArtifact"]
            artifact = self._outputs[producer["producerTask"]][producer["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [self._release.hand_on(artifact)]}
        return {"parameterValues": parameters} | ({"artifacts": artifacts} if artifacts else {})

    def _prepare(self, pod: Pod, executor_input: dict) -> None:
        """Fills the pod's folders: inputs, the folders that outputs go to, and the log as an empty file."""
        for artifacts in executor_input["inputs"].get("artifacts", {}).values():
            uri = _only(artifacts)["uri"]
            _copy_files(self._stored(uri), pod.path(local_path(uri)))
        for key, artifacts in executor_input["outputs"]["artifacts"].items():
            path = pod.path(local_path(_only(artifacts)["uri"]))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if key == LOGS:
                with open(path, "x"):
                    pass
        if pod.image:  # which sees it as a volume; the launcher does not make it
            os.makedirs(pod.path(TEMPORARY_FOLDER), exist_ok=True)
        for folder, _, _ in os.walk(pod.folder):
            os.chmod(folder, FOLDER_MODE)

    def _upload(self, pod: Pod, artifacts: dict, output_file: str) -> dict[str, Artifact]:
        """Keeps the outputs: what is in the folders, and what the task says of them."""
        with open(output_file, encoding="utf-8") as file:
            written = json.load(file).get("artifacts", {})
        outputs: dict[str, Artifact] = {}
        for key, given in artifacts.items():
            said = _only(written[key]) if key in written else {}
            n_before = sum(map(len, self._outputs.values())) + len(outputs)
            outputs[key] = self._release.record(n_before, key, _only(given), said)
            path = pod.path(local_path(outputs[key].uri))
            if not (os.path.exists(path) or self._release.has_metadata_store):
                raise KubeflowError(f"Every output must be there. Received: none at {path}. Write it.")
            _copy_files(path, self._stored(outputs[key].uri))
        return outputs

    def _stored(self, uri: str) -> str:
        return os.path.join(self._folder, "store", uri.removeprefix(f"{STORE}://"))


def _only(artifacts: dict) -> dict:
    [artifact] = artifacts["artifacts"]
    return artifact


def _copy_files(source: str, target: str) -> None:
    """Copies a file or a folder's files; like an object store, it knows no empty folders."""
    files = [source] if os.path.isfile(source) else []
    files += [os.path.join(folder, name) for folder, _, names in os.walk(source) for name in names]
    for file in files:
        to = os.path.normpath(os.path.join(target, os.path.relpath(file, source)))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copyfile(file, to)
