"""What a person changes from run to run: the pipeline's run-time parameters, and what each of them does to a task.

TFX writes a component's settings into the pipeline spec as JSON texts, inside of which Kubeflow fills in nothing. So a
run-time parameter goes to the tasks that it concerns as an input of its own, and the entrypoint applies it there.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

from events.errors import ConfigError
from events.listing import is_remote
from events.provenance import SIMULATED, is_simulated
from models.architectures import PHYSICS, named
from pipeline.config import Config, GateConfig, override
from pipeline.data import data_files, split_pattern

EXAMPLE_GEN, EVALUATOR, PUSHER = "higgs-example-gen", "higgs-evaluator", "higgs-pusher"
TRANSFORM = "transform"
CANDIDATE, BASELINE = "trainer-candidate", "trainer-baseline"
TUNER = "tuner"  # a task of pipelines that tune

KINDS = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"}  # as a pipeline spec calls them

Effect = Callable[[dict, Any], None]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A run-time parameter.

    Attributes:
      name: in the pipeline spec.
      setting: the key of `Config` that it takes its default from; empty for none.
      kind: str, int or float.
      description: for those who fill it in.
      effects: task to what the parameter's value does to the task's settings, a dict that is edited in place.
    """

    name: str
    setting: str
    kind: type
    description: str
    effects: dict[str, Effect]

    def default(self, config: Config) -> object:
        """The setting's value in a configuration."""
        return functools.reduce(getattr, self.setting.split("."), config)

    def check(self, value: object) -> object:
        """The value as the configuration takes it, refused as it would be there.

        Args:
          value: Kubeflow's: text, or a floating-point number for whole ones as well.
        """
        if not self.setting:
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            return self.default(override(Config(), [f"{self.setting}={value}"]))
        except ConfigError as error:
            here = f"the run-time parameter {self.name}"
            raise ConfigError(str(error).replace(f"--set {self.setting}=VALUE", here)) from None


def _edit(settings: dict, key: str, *path: str | int, **values) -> None:
    """Changes values deep inside of the JSON text that is one of a task's settings."""
    tree = json.loads(settings[key])
    node = tree
    for part in path:
        node = node[part]
    node.update(values)
    settings[key] = json.dumps(tree)


def require_full(name: str, path: str) -> None:
    """Raises ConfigError if a path means something else in a pod than elsewhere."""
    if not (is_remote(path) or os.path.isabs(path)):
        raise ConfigError(
            f"{name} is absolute, or a URI: it is a pod that looks for it. Received: {path!r}. Write it in full."
        )


def _set_data(settings: dict, path: str) -> None:
    require_full("The data path", path)
    data_files(path)  # refuses what is not there
    settings["input_base"], pattern = split_pattern(path)
    _edit(settings, "input_config", "splits", 0, pattern=pattern)


def _set_origin_of_rows(settings: dict, origin: str) -> None:
    """Sets the origin; refuses to pass simulated rows off as real ones, wherever this machine can tell."""
    [split] = json.loads(settings["input_config"])["splits"]
    path = os.path.join(settings["input_base"], split["pattern"])
    if origin != SIMULATED and any(map(is_simulated, data_files(path))):
        raise ConfigError(
            f"Simulated rows are called so. Received: origin {origin!r} for {path}. "
            "Give the parameter origin=simulated."
        )
    _edit(settings, "custom_config", "custom_config", "value", origin=origin)


def _set_origin(settings: dict, origin: str) -> None:
    _edit(settings, "custom_config", origin=origin)


def _set_columns(settings: dict, architecture: str) -> None:
    """Adds the physics columns for a candidate that takes them; what the baseline takes was known before."""
    candidate = named(architecture)
    if candidate.inputs == PHYSICS:
        from pipeline.graph import preprocessing_path

        settings["preprocessing_fn"] = preprocessing_path([candidate])


def _set_candidate(settings: dict, architecture: str, **changes) -> None:
    _edit(settings, "custom_config", architecture=named(architecture).to_dict(), **changes)


def _set_epochs(settings: dict, epochs: int) -> None:
    _edit(settings, "custom_config", "rules", epochs=epochs)


def _set_gate(settings: dict, **changes) -> None:
    from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
    from tfx.utils import proto_utils

    from components.verdict import Limits
    from pipeline.gate import eval_config

    limits = Limits.of(proto_utils.json_to_proto(settings["eval_config"], EvalConfig()))
    gate = GateConfig(**{"min_improvement": limits.min_improvement, "confidence": limits.confidence, **changes})
    settings["eval_config"] = proto_utils.proto_to_json(eval_config(gate.min_improvement, gate.confidence))


PARAMETERS = (
    Parameter(
        "data",
        "data.path",
        str,
        "The rows: a file, a folder or a glob of .csv and .csv.gz; {SPAN} stands for the highest number there is.",
        {EXAMPLE_GEN: _set_data},
    ),
    Parameter(
        "origin",
        "data.origin",
        str,
        "real or simulated; every output says which.",
        {EXAMPLE_GEN: _set_origin_of_rows, TUNER: _set_origin, PUSHER: _set_origin},
    ),
    Parameter(
        "architecture",
        "train.architecture",
        str,
        "The candidate's name.",
        {
            TRANSFORM: _set_columns,
            TUNER: lambda settings, name: _set_candidate(settings, name, name=name),
            CANDIDATE: _set_candidate,
        },
    ),
    Parameter("epochs", "train.epochs", int, "At most this many passes.", {TUNER: _set_epochs, CANDIDATE: _set_epochs}),
    Parameter(
        "min_improvement",
        "gate.min_improvement",
        float,
        "Nats by which the candidate must beat the baseline; 0 for any at all.",
        {EVALUATOR: lambda settings, nats: _set_gate(settings, min_improvement=nats)},
    ),
    Parameter(
        "confidence",
        "gate.confidence",
        float,
        "Of the interval of the difference, which must lie below -min_improvement as a whole; 0 to do without.",
        {EVALUATOR: lambda settings, confidence: _set_gate(settings, confidence=confidence)},
    ),
    Parameter(
        "max_regression",
        "gate.max_regression",
        float,
        "Nats by which the candidate may be worse than the served model.",
        {EVALUATOR: lambda settings, nats: settings.update(max_regression=nats)},
    ),
)

DATA_VERSION = Parameter(
    "data_version",
    "",
    str,
    "A name for the state of the data: HiggsExampleGen's cache knows the rows by it.",
    {EXAMPLE_GEN: lambda settings, version: None},
)


def apply(task: str, settings: dict) -> None:
    """Takes the run-time parameters out of a task's settings and lets each do its work on the others.

    Raises:
      ConfigError, DatasetError, ModelError: a value would be refused by a local run as well.
    """
    for parameter in (*PARAMETERS, DATA_VERSION):
        if task in parameter.effects and parameter.name in settings:
            parameter.effects[task](settings, parameter.check(settings.pop(parameter.name)))
