"""HiggsEvaluator: TFX's Evaluator, except that it never blesses a model for want of a baseline, and reads in blocks.

The stock executor ignores every change threshold when no baseline model arrives and blesses whatever is left. It also
reads one record at a time and hands small batches to the models. What is evaluated and written is TFMA's either way.
"""

import os
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tensorflow_model_analysis.utils import update_eval_config_with_defaults, verify_eval_config
from tfx import types
from tfx.components.evaluator import component, constants, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils, json_utils, proto_utils

from components.errors import MissingBaselineError, ingestion_errors
from components.example_blocks import ExampleBlocks
from components.sealed import model_path
from components.slicing import extractors
from datasets.seals import seal

MODELS = {False: standard_component_specs.MODEL_KEY, True: standard_component_specs.BASELINE_MODEL_KEY}


class Executor(executor.Executor):
    """Evaluates a candidate and a baseline, and blesses the candidate or not.

    Nothing of TFX's executor is left; its entrypoint on Kubeflow knows by the class whose blessing it has to complete.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `HiggsEvaluator`.

        Raises:
          MissingBaselineError: the input has no baseline model.
          IngestionError: the splits have no examples, or a file of them is damaged.
          DamageError: a model or a file of examples is not there as it was written.
        """
        if not input_dict.get(standard_component_specs.BASELINE_MODEL_KEY):
            raise MissingBaselineError(
                "A candidate is judged against a baseline model. Received: none. "
                "Connect the baseline Trainer's model to the Evaluator's baseline_model."
            )
        self._log_startup(input_dict, output_dict, exec_properties)
        config = EvalConfig()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], config)
        config = update_eval_config_with_defaults(config, has_baseline=True)
        verify_eval_config(config)
        models = {
            spec.name: artifact_utils.get_single_instance(input_dict[MODELS[spec.is_baseline]])
            for spec in config.model_specs
        }
        evaluation_uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
        with ingestion_errors():
            self._evaluate(_examples(input_dict, exec_properties), models, config, evaluation_uri)
        seal(evaluation_uri)
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        _bless(blessing, tfma.load_validation_result(evaluation_uri).validation_ok, input_dict, exec_properties)

    def _evaluate(
        self, examples: ExampleBlocks, models: dict[str, types.Artifact], config: EvalConfig, folder: str
    ) -> None:
        """Writes TFMA's files, verdict included, to the folder."""
        shared = [
            tfma.default_eval_shared_model(eval_saved_model_path=model_path(model), model_name=name, eval_config=config)
            for name, model in models.items()
        ]
        with self._make_beam_pipeline() as pipeline:
            batches = pipeline | "ReadBlocks" >> examples.BeamSource()
            _ = batches | "Evaluate" >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=shared,
                eval_config=config,
                extractors=extractors(shared, config, examples.TensorAdapterConfig()),
                writers=_writers(folder, config, {model.model_name: model.model_path for model in shared}),
            )


def _writers(folder: str, config: EvalConfig, locations: dict[str, str]) -> list:
    """TFMA's, less those of plots and attributions, of which there are none; each file takes Beam half a second."""
    paths = {key: os.path.join(folder, key) for key in (tfma.METRICS_KEY, tfma.VALIDATIONS_KEY)}
    return [
        tfma.writers.EvalConfigWriter(folder, config, model_locations=locations),
        tfma.writers.MetricsPlotsAndValidationsWriter(paths, config),
    ]


def _examples(input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]) -> ExampleBlocks:
    """The examples of all splits asked for."""
    schema_uri = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
    artifacts = input_dict[standard_component_specs.EXAMPLES_KEY]
    splits = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
    uris = [uri for split in splits for uri in artifact_utils.get_split_uris(artifacts, split)]
    schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
    return ExampleBlocks([io_utils.all_files_pattern(uri) for uri in uris], schema=schema)


def _bless(
    blessing: types.Artifact,
    blessed: bool,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> None:
    """Writes the verdict, and whose it is, as TFX has them."""
    for key, uri_property, id_property in (
        (
            standard_component_specs.MODEL_KEY,
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY,
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
        ),
        (
            standard_component_specs.BASELINE_MODEL_KEY,
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY,
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY,
        ),
    ):
        model = artifact_utils.get_single_instance(input_dict[key])
        blessing.set_string_custom_property(uri_property, model.uri)
        blessing.set_int_custom_property(id_property, model.id)
    if "current_component_id" in exec_properties:
        blessing.set_string_custom_property("component_id", exec_properties["current_component_id"])
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    value = constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)


class HiggsEvaluator(component.Evaluator):
    """See `tfx.components.Evaluator`; the baseline, the schema and the slices of `components.slicing` are a must."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: BaseChannel,
        model: BaseChannel,
        baseline_model: BaseChannel,
        schema: BaseChannel,
        eval_config: EvalConfig,
        example_splits: list[str],
    ):
        """Constructs the component.

        Args:
          examples: with all the splits.
          model: the candidate, whose slices are those of its signature `slices`.
          baseline_model: what it must beat.
          schema: of the examples.
          eval_config: metrics, slices and thresholds.
          example_splits: what to measure on.
        """
        super().__init__(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            eval_config=eval_config,
            example_splits=example_splits,
        )
