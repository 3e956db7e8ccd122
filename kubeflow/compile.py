"""The pipeline as a spec for Kubeflow Pipelines 2: TFX compiles it, and what open-source Kubeflow lacks is added.

TFX writes for Vertex. Open-source Kubeflow wants names that Argo takes, runs no driver of ExampleGen's, and knows
run-time parameters as inputs of whole tasks only; see `kubeflow.entrypoint` for the other half of each of these.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from events.errors import KubeflowError
from events.files import whole
from kubeflow.parameters import DATA_VERSION, EXAMPLE_GEN, KINDS, PARAMETERS, Parameter, require_full
from kubeflow.resources import NEEDS, Needs, container_resources, retry_policy
from pipeline.config import Config

COMMAND = ("python", "-m", "kubeflow.entrypoint")
INPUTS_FLAG, OUTPUTS_FLAG = "--json_serialized_inputs_spec_args", "--outputs"
OWN_FILE = "package:"  # a file of the image's own code, which lies elsewhere than where the spec is compiled


@dataclasses.dataclass(frozen=True)
class Target:
    """Where and how the tasks run; fixed in the spec, other than the run-time parameters.

    Attributes:
      image: of every task. A spec names its images, so another image is another compilation.
      needs: by task.
      volumes: persistent volume claim to the folder at which it is mounted.
      pull_secrets: names of the secrets by which the image is pulled.
      data_version: the default of the parameter of this name; if empty, there is none and ExampleGen is never cached.
    """

    image: str
    needs: dict[str, Needs] = dataclasses.field(default_factory=lambda: NEEDS)
    volumes: dict[str, str] = dataclasses.field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()
    data_version: str = ""

    def __post_init__(self):
        name, _, digest = self.image.partition("@")
        _, _, tag = name.rpartition("/")[2].partition(":")
        if not digest and tag in ("", "latest"):
            raise KubeflowError(
                "An image has a tag of its own, or a digest: latest is pulled anew for each task, and Kubeflow's cache "
                f"does not see new code in it. Received: {self.image!r}. Write for example registry/higgs:1."
            )


def compile_pipeline(config: Config, target: Target) -> list[dict]:
    """Compiles the pipeline.

    Args:
      config: the configuration; `output` is where the Pusher pushes, as the pods see it.
      target: where and how to run it.

    Returns:
      The documents of the YAML file: the pipeline spec 2.1, and, if there is any, what is special to Kubernetes.

    Raises:
      ConfigError: a path means something else in a pod than here.
      KubeflowError: a setting works in local runs only.
    """
    require_full("The data path", config.data.path)
    require_full("The output folder", config.output)
    if config.tuner.hyperparameters:
        raise KubeflowError(
            "A pipeline on Kubeflow tunes by itself, or trains what it is told to. Received: tuner.hyperparameters="
            f"{config.tuner.hyperparameters}. Tune with --tune, or give what was found with --architecture."
        )
    spec = rename_tasks(_compile_for_vertex(config, target.image))
    parameters, needs = defaults(config, target), dict(target.needs)
    if target.data_version:
        needs[EXAMPLE_GEN] = dataclasses.replace(needs[EXAMPLE_GEN], cached=True)
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            parameter.name: _definition(parameter) | {"defaultValue": value, "description": parameter.description}
            for parameter, value in parameters
        }
    }
    for name in spec["root"]["dag"]["tasks"]:
        _complete_task(spec, name, [parameter for parameter, _ in parameters], needs[name])
    platform = _platform({name: needs[name].mounted for name in spec["root"]["dag"]["tasks"]}, target)
    return [spec, platform] if target.volumes or target.pull_secrets else [spec]


def defaults(config: Config, target: Target) -> list[tuple[Parameter, object]]:
    """The run-time parameters, each with its default."""
    given = [(parameter, parameter.default(config)) for parameter in PARAMETERS]
    return [*given, (DATA_VERSION, target.data_version)] if target.data_version else given


def mounts_of(texts: Iterable[str]) -> dict[str, str]:
    """Claim to folder, of texts `claim:folder`.

    Raises:
      KubeflowError: a text is none.
    """
    volumes: dict[str, str] = {}
    for text in texts:
        claim, _, folder = text.partition(":")
        # Kubeflow makes the claim's name the pod's name for the volume, which has no dots and is there once.
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", claim) or not re.fullmatch(r"/[^:]+", folder):
            raise KubeflowError(
                "A volume is CLAIM:FOLDER, the claim's name of lower-case letters, digits and hyphens. "
                f"Received: {text!r}. Write for example higgs:/mnt/higgs."
            )
        if claim in volumes or folder in volumes.values():
            raise KubeflowError(
                f"A claim is mounted once, and a folder holds one. Received: {text!r} as well. Leave it out."
            )
        volumes[claim] = folder
    return volumes


def write(documents: list[dict], path: str) -> None:
    """Writes the documents of `compile_pipeline` to a YAML file."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with whole(path) as file:
        yaml.dump_all(documents, file, _Dumper, sort_keys=True)


class _Dumper(yaml.SafeDumper):
    """Quotes every text: Kubeflow reads YAML otherwise than Python does, 1e3 for one as a number."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _compile_for_vertex(config: Config, image: str) -> dict:
    """What TFX makes of the pipeline. Its own caching is off: each task's is set afterwards."""
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    from pipeline.graph import create_pipeline
    from pipeline.runners import beam_options

    # Kubeflow keeps the metadata itself; for SQLite, TFX would make the pods' output folder here and now.
    elsewhere = "mysql://kubeflow/metadata"
    beam_args = beam_options(config.runner, config.beam_args)
    config = dataclasses.replace(config, cache=False, beam_args=beam_args, metadata=elsewhere)
    runner_config = KubeflowV2DagRunnerConfig(
        default_image=image, default_commands=list(COMMAND), use_pipeline_spec_2_1=True
    )
    return KubeflowV2DagRunner(runner_config).run(create_pipeline(config), write_out=False)["pipelineSpec"]


def task_name(node: str) -> str:
    """The name of a TFX node as Argo takes it.

    >>> task_name("HiggsExampleGen"), task_name("Trainer.candidate")
    ('higgs-example-gen', 'trainer-candidate')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|\.", "-", node).lower()


def rename_tasks(spec: dict) -> dict:
    """The spec with every task, component and executor named by `task_name`, as Kubeflow's own compiler names them."""
    executors = spec["deploymentSpec"]["executors"]
    components, renamed, tasks = {}, {}, {}
    for node, component in spec["components"].items():
        label = f"exec-{task_name(node)}"
        renamed[label] = executors[component["executorLabel"]]
        components[f"comp-{task_name(node)}"] = component | {"executorLabel": label}
    for node, task in spec["root"]["dag"]["tasks"].items():
        name = task_name(node)
        task = task | {"taskInfo": {"name": name}, "componentRef": {"name": f"comp-{name}"}}
        if "dependentTasks" in task:
            task["dependentTasks"] = sorted(task_name(other) for other in task["dependentTasks"])
        for source in task["inputs"].get("artifacts", {}).values():
            producer = source["taskOutputArtifact"]
            producer["producerTask"] = task_name(producer["producerTask"])
        tasks[name] = task
    return spec | {
        "components": components,
        "deploymentSpec": {"executors": renamed},
        "root": {"dag": {"tasks": tasks}},
    }


def _definition(parameter: Parameter) -> dict:
    return {"parameterType": KINDS[parameter.kind]}


def _complete_task(spec: dict, name: str, parameters: list[Parameter], needs: Needs) -> None:
    task, component = spec["root"]["dag"]["tasks"][name], spec["components"][f"comp-{name}"]
    container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
    inputs, definitions = task["inputs"].setdefault("parameters", {}), component["inputDefinitions"]
    for source in inputs.values():
        source["runtimeValue"]["constant"] = _own_file(source["runtimeValue"]["constant"])
    for parameter in parameters:
        if name in parameter.effects:
            inputs[parameter.name] = {"componentInputParameter": parameter.name}
            definitions.setdefault("parameters", {})[parameter.name] = _definition(parameter)
    arguments = container["args"]
    arguments[arguments.index(INPUTS_FLAG) + 1] = json.dumps(definitions, sort_keys=True)
    outputs = ",".join(sorted(component["outputDefinitions"]["artifacts"]))
    container["args"] = ["--task", name, OUTPUTS_FLAG, outputs, *arguments]
    container["resources"] = container_resources(needs)
    if container.pop("lifecycle", None):
        container["args"].insert(0, "--run_driver")  # Kubeflow does not call this hook: the entrypoint does its work
    if needs.retries:
        task["retryPolicy"] = retry_policy(needs)
    task["cachingOptions"] = {"enableCache": True} if needs.cached else {}


def _own_file(value):
    """A path of our own code as `package:name/file#digest`, the digest so that a cache sees another content."""
    import models

    root = os.path.dirname(os.path.dirname(models.__file__))
    if not (isinstance(value, str) and value.startswith(root + os.sep) and os.path.isfile(value)):
        return value
    digest = hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return f"{OWN_FILE}{os.path.relpath(value, root)}#{digest[:16]}"


def _platform(mounted: dict[str, bool], target: Target) -> dict:
    """The second document of the file, in the fields that every KFP 2 knows."""
    volumes = [{"constant": claim, "mountPath": folder} for claim, folder in target.volumes.items()]
    secrets = [{"secretName": name} for name in target.pull_secrets]
    specs = {}
    for name, is_mounted in mounted.items():
        fields = {"pvcMount": volumes if is_mounted else [], "imagePullSecret": secrets}
        specs[f"exec-{name}"] = {key: value for key, value in fields.items() if value}
    specs = {label: spec for label, spec in specs.items() if spec}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": specs}}}}
