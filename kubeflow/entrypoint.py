"""What a pod runs: TFX's own entrypoint, given what it misses on open-source Kubeflow Pipelines.

    python -m kubeflow.entrypoint --task NAME --outputs NAME,... [--run_driver] --executor_class_path CLASS \
        --json_serialized_invocation_args JSON --json_serialized_inputs_spec_args JSON [BEAM OPTIONS]

TFX's entrypoint expects Vertex. Kubeflow's driver hands artifacts over without their types and adds outputs of its own,
its launcher copies artifacts between the object store and local folders, and ExampleGen's driver does not run. So types
and outputs come from the component's definition, the URIs of the store become the launcher's folders and back, and
ExampleGen's driver is run here.
"""

import argparse
import importlib.resources
import json
import os
import sys
from collections.abc import Collection, Iterator

from kubeflow.compile import INPUTS_FLAG, OUTPUTS_FLAG, OWN_FILE
from kubeflow.parameters import apply

INVOCATION_FLAG = "--json_serialized_invocation_args"

# Where Kubeflow's launcher copies an artifact: minio://bucket/key to /minio/bucket/key.
FOLDERS = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
# For tests: these folders elsewhere than in the root.
ROOT_VARIABLE = "HIGGS_ARTIFACTS_ROOT"

LAUNCHERS_OWN = ("store_session_info", "display_name")  # what Kubeflow notes on every artifact


def main(arguments: list[str]) -> None:
    """Runs one task."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--task", required=True)
    parser.add_argument(OUTPUTS_FLAG, required=True, type=lambda names: names.split(","))
    parser.add_argument("--run_driver", action="store_true")
    parser.add_argument(INVOCATION_FLAG, required=True, dest="invocation")
    parser.add_argument(INPUTS_FLAG, required=True, dest="inputs_spec")
    own, others = parser.parse_known_args(arguments)
    invocation = prepare(json.loads(own.invocation), json.loads(own.inputs_spec), own.outputs, own.task)
    output_file = invocation["outputs"]["outputFile"]
    if own.run_driver:
        _run_driver(invocation, own.inputs_spec)
    _run_executor(invocation, own.inputs_spec, others)
    restore(output_file)


def prepare(invocation: dict, inputs_spec: dict, own_outputs: Collection[str], task: str) -> dict:
    """Makes of Kubeflow's executor input one that TFX can use, and makes the folders of the outputs.

    Args:
      invocation: the executor input, JSON as in `pipeline_spec.proto`.
      inputs_spec: the component's input definitions, the source of the artifacts' types.
      own_outputs: the outputs that the component defines. Any other, such as the `executor-logs` that Kubeflow adds
        since 2.5, is of a type that TFX does not know, and the launcher's affair: it is left out.
      task: the task's name.

    Returns:
      The same executor input, edited in place.
    """
    inputs, outputs = invocation.setdefault("inputs", {}), invocation["outputs"]
    given = outputs.get("artifacts", {})
    outputs["artifacts"] = {name: given[name] for name in given if name in own_outputs}
    for name, artifacts in inputs.get("artifacts", {}).items():
        for artifact in artifacts["artifacts"]:
            artifact["type"] = inputs_spec["artifacts"][name]["artifactType"]
            # Where there is an ID beside it, a name is the producer's output, which two models share.
            artifact["name"] = artifact.pop("artifactId", None) or artifact["name"]
            for key in LAUNCHERS_OWN:
                artifact.get("metadata", {}).pop(key, None)
    for artifact in (*_artifacts(inputs), *_artifacts(outputs)):
        artifact["uri"] = to_local(artifact["uri"])
    for artifact in _artifacts(outputs):
        if "://" not in artifact["uri"]:
            os.makedirs(artifact["uri"], exist_ok=True)
    settings = inputs.setdefault("parameterValues", {})
    for name, value in settings.items():
        settings[name] = _own_file(value)
    apply(task, settings)
    return invocation


def _artifacts(side: dict) -> Iterator[dict]:
    for artifacts in side.get("artifacts", {}).values():
        yield from artifacts["artifacts"]


def to_local(uri: str) -> str:
    """Where the launcher keeps its copy of an artifact; the URI itself if it keeps none."""
    root = os.environ.get(ROOT_VARIABLE, "/")
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            path = os.path.join(root, folder, uri.removeprefix(scheme))
            return path if os.path.isdir(os.path.dirname(path)) else uri
    return uri


def to_uri(path: str) -> str:
    """The inverse of `to_local`."""
    root = os.environ.get(ROOT_VARIABLE, "/")
    for scheme, folder in FOLDERS.items():
        prefix = os.path.join(root, folder, "")
        if path.startswith(prefix):
            return scheme + path.removeprefix(prefix)
    return path


def _own_file(value):
    """The path of `package:name/file#digest` in this installation; any other value as it is."""
    if not (isinstance(value, str) and value.startswith(OWN_FILE)):
        return value
    package, _, file = value.removeprefix(OWN_FILE).partition("#")[0].partition("/")
    return str(importlib.resources.files(package) / file)


def _run_driver(invocation: dict, inputs_spec: str) -> None:
    """Lets ExampleGen's driver find the newest span and the data's fingerprint; the executor reads what it found."""
    from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver

    driver.main(argparse.Namespace(**_flags(invocation, inputs_spec)))
    with open(invocation["outputs"]["outputFile"], encoding="utf-8") as file:
        found = json.load(file)
    for name, artifacts in found["artifacts"].items():
        [artifact], [output] = artifacts["artifacts"], invocation["outputs"]["artifacts"][name]["artifacts"]
        output["metadata"] = {**output.get("metadata", {}), **artifact.get("metadata", {})}


def _run_executor(invocation: dict, inputs_spec: str, others: list[str]) -> None:
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    known, beam_args = parser.parse_known_args(others)
    flags = argparse.Namespace(**vars(known), **_flags(invocation, inputs_spec))
    kubeflow_v2_run_executor.main((flags, beam_args))


def _flags(invocation: dict, inputs_spec: str) -> dict[str, str]:
    return {
        INVOCATION_FLAG.strip("-"): json.dumps(invocation),
        INPUTS_FLAG.strip("-"): inputs_spec,
    }


def restore(output_file: str) -> None:
    """Turns the executor's output into one that Kubeflow's launcher can use: URIs of the store, and no nulls."""
    with open(output_file, encoding="utf-8") as file:
        output = json.load(file)
    for artifact in _artifacts(output):
        artifact["uri"] = to_uri(artifact["uri"])
        metadata = artifact.get("metadata", {})
        artifact["metadata"] = {
            # A blessing, for one, says which models it compared.
            key: to_uri(value) if isinstance(value, str) else value
            for key, value in metadata.items()
            if value is not None
        }
    with open(output_file, "w", encoding="utf-8") as file:
        json.dump(output, file)


if __name__ == "__main__":
    from pipeline.exits import reported

    with reported():
        main(sys.argv[1:])
