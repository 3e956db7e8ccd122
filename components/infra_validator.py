"""HiggsInfraValidator: shows that the exported model can be served, before it is pushed.

TFX's InfraValidator needs Docker or a Kubernetes cluster, and does not compile for Kubeflow Pipelines 2. This one keeps
its contract - the InfraBlessing artifact, which holds the model with warm-up requests - and loads the model in a fresh
process of the same TensorFlow instead of a model server.
"""

import os
import subprocess
import sys
from pathlib import Path

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.utils import io_utils, path_utils

import serving.warmup
from components.sealed import model_path
from events.errors import UnservableModelError
from events.shards import list_shards

BLESSED_PROPERTY, HAS_MODEL_PROPERTY = "blessed", "has_model"  # of the InfraBlessing, by TFX's names
EXAMPLES, MODEL, MODEL_BLESSING, BLESSING = "examples", "model", "model_blessing", "blessing"


class Executor(base_executor.BaseExecutor):
    """Tries the model on rows of the eval split."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """See `HiggsInfraValidator`.

        Raises:
          UnservableModelError: the model does not load or does not answer as it must.
          DamageError: the model or the examples are not there as they were written.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        [blessing] = output_dict[BLESSING]
        [model] = input_dict[MODEL]
        [model_blessing] = input_dict[MODEL_BLESSING]
        if not model_utils.is_model_blessed(model_blessing):
            _mark(blessing, False)
            return
        folder = path_utils.stamped_model_path(blessing.uri)
        io_utils.copy_dir(model_path(model), folder)
        uri = artifact_utils.get_split_uri(input_dict[EXAMPLES], exec_properties["split"])
        records = list_shards([io_utils.all_files_pattern(uri)])
        try_model(folder, records, exec_properties["model_name"], path_utils.warmup_file_path(folder))
        _mark(blessing, True)
        blessing.set_int_custom_property(HAS_MODEL_PROPERTY, 1)


def _mark(blessing: types.Artifact, blessed: bool) -> None:
    """Records the decision in the property that Pusher reads and in a file, as TFX's InfraValidator does."""
    blessing.set_int_custom_property(BLESSED_PROPERTY, int(blessed))
    io_utils.write_string_file(os.path.join(blessing.uri, "INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED"), "")


def try_model(folder: str, records: list[str], model_name: str, warmup_file: str) -> None:
    """Runs `serving.warmup` in a process of its own.

    Args:
      folder: of the SavedModel.
      records: TFRecord files of tf.Example.
      model_name: by which it will be served.
      warmup_file: where to write the requests.

    Raises:
      UnservableModelError: what that process says, or that it died.
    """
    root = Path(serving.warmup.__file__).parent.parent
    command = [sys.executable, "-m", serving.warmup.__name__, folder, *records]
    result = subprocess.run(
        [*command, "--name", model_name, "--to", warmup_file],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        text=True,
    )
    if result.returncode == 2 and result.stdout.strip():
        raise UnservableModelError(result.stdout.strip().splitlines()[-1])
    if result.returncode:
        raise UnservableModelError(
            f"A served model loads and answers. Received: exit code {result.returncode} of a process that tried to. "
            "The log says more."
        )


class _Spec(component_spec.ComponentSpec):
    PARAMETERS = {  # noqa: RUF012 - TFX's own form
        "split": component_spec.ExecutionParameter(type=str),
        "model_name": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        MODEL_BLESSING: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {BLESSING: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}  # noqa: RUF012


class HiggsInfraValidator(base_component.BaseComponent):
    """Loads a blessed model in a fresh process and sends it real rows in both input forms.

    Outputs `blessing`, for Pusher's `infra_blessing`: with a copy of the model that holds warm-up requests for TF
    Serving. A model that was not blessed is passed over.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        examples: types.BaseChannel,
        split: str,
        model_name: str,
        code: str = "",
    ):
        """Constructs the component.

        Args:
          model: from the Trainer.
          model_blessing: from the Evaluator.
          examples: where real rows come from.
          split: which of them.
          model_name: by which the model will be served.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        blessing = types.Channel(type=standard_artifacts.InfraBlessing)
        super().__init__(
            _Spec(
                model=model,
                model_blessing=model_blessing,
                examples=examples,
                split=split,
                model_name=model_name,
                code=code,
                blessing=blessing,
            )
        )
