"""HiggsEvaluator: TFX's Evaluator, except that it never blesses a model for want of a baseline, and reads in blocks.

The stock executor ignores every change threshold when no baseline model arrives and blesses whatever is left. It also
reads one record at a time and hands small batches to the models. What is evaluated and written is TFMA's either way.
Beside candidate and baseline this one evaluates the champion, the model that is served as stable.
"""

import os
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tensorflow_model_analysis.utils import update_eval_config_with_defaults, verify_eval_config
from tfx import types
from tfx.components.evaluator import component, constants, executor
from tfx.dsl.components.base import base_driver, executor_spec
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils, json_utils, proto_utils

from components import champion as champions
from components.contracts import Artifacts, with_parameters
from components.event_metrics import CHAMPION
from components.sealed import model_path
from components.slicing import extractors
from components.verdict import VERDICT_PROPERTY, Verdict, read_verdict
from events.errors import MissingBaselineError, ingestion_errors
from events.example_blocks import ExampleBlocks
from events.seals import seal
from serving.served import Version

MODELS = {False: standard_component_specs.MODEL_KEY, True: standard_component_specs.BASELINE_MODEL_KEY}
SERVING, MAX_REGRESSION, MAY_KNOW_EVAL = "serving", "max_regression", "may_know_eval"


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Looks for the champion before the cache is consulted: an evaluation is valid as long as it is the same."""

    def __init__(self, metadata_handle):
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info) -> driver_output_pb2.DriverOutput:
        """Adds the champion to the execution's properties."""
        champion = champions.find_champion(execution_info.exec_properties[SERVING])
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[CHAMPION].string_value = champions.to_json(champion)
        return output


class Executor(executor.Executor):
    """Evaluates a candidate and a baseline, and blesses the candidate or not.

    It is a subclass of TFX's executor, none of whose work it uses, because TFX's entrypoint on Kubeflow completes the
    blessings of that class only.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
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
        config = proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], EvalConfig())
        config = update_eval_config_with_defaults(config, has_baseline=True)
        verify_eval_config(config)
        folders = {
            spec.name: model_path(artifact_utils.get_single_instance(input_dict[MODELS[spec.is_baseline]]))
            for spec in config.model_specs
        }
        champion = _champion(exec_properties)
        if champion:
            [ours] = [spec for spec in config.model_specs if not spec.is_baseline]
            champions.check_answers(
                champion, folders[ours.name], [ours.signature_name, *ours.preprocessing_function_names]
            )
            config = champions.with_champion(config, exec_properties[MAX_REGRESSION])
            folders[CHAMPION] = champion.folder
        evaluation_uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
        with ingestion_errors():
            self._evaluate(_examples(input_dict, exec_properties), folders, config, evaluation_uri)
        seal(evaluation_uri)
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        verdict = read_verdict(evaluation_uri, config, champion, bool(exec_properties.get(MAY_KNOW_EVAL)))
        _bless(blessing, verdict, input_dict, exec_properties)

    def _evaluate(self, examples: ExampleBlocks, folders: dict[str, str], config: EvalConfig, to: str) -> None:
        """Writes TFMA's files, verdict included, to a folder; `folders` are the models' by name."""
        shared = [
            tfma.default_eval_shared_model(eval_saved_model_path=folder, model_name=name, eval_config=config)
            for name, folder in folders.items()
        ]
        with self._make_beam_pipeline() as pipeline:
            batches = pipeline | "ReadBlocks" >> examples.BeamSource()
            _ = batches | "Evaluate" >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=shared,
                eval_config=config,
                extractors=extractors(shared, config, examples.TensorAdapterConfig()),
                writers=_writers(to, config, folders),
            )


def _champion(exec_properties: dict[str, Any]) -> Version | None:
    """What the driver found; what there is now where no driver ran, as on Kubeflow."""
    if CHAMPION in exec_properties:
        return champions.from_json(exec_properties[CHAMPION])
    return champions.find_champion(exec_properties.get(SERVING) or "")


def _writers(folder: str, config: EvalConfig, locations: dict[str, str]) -> list:
    """TFMA's, less those of plots and attributions, of which there are none; each file takes Beam half a second."""
    paths = {key: os.path.join(folder, key) for key in (tfma.METRICS_KEY, tfma.VALIDATIONS_KEY)}
    return [
        tfma.writers.EvalConfigWriter(folder, config, model_locations=locations),
        tfma.writers.MetricsPlotsAndValidationsWriter(paths, config),
    ]


def _examples(input_dict: Artifacts, exec_properties: dict[str, Any]) -> ExampleBlocks:
    """The examples of all requested splits."""
    schema_uri = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
    artifacts = input_dict[standard_component_specs.EXAMPLES_KEY]
    splits = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
    uris = [uri for split in splits for uri in artifact_utils.get_split_uris(artifacts, split)]
    schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
    return ExampleBlocks([io_utils.all_files_pattern(uri) for uri in uris], schema=schema)


def _bless(blessing: types.Artifact, verdict: Verdict, input_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
    """Writes the decision and which models it is about, as TFX does, and the verdict."""
    [candidate], [baseline] = (input_dict[MODELS[is_baseline]] for is_baseline in (False, True))
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, candidate.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, candidate.id)
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)
    if "current_component_id" in exec_properties:
        blessing.set_string_custom_property("component_id", exec_properties["current_component_id"])
    blessing.set_string_custom_property(VERDICT_PROPERTY, verdict.to_json())
    name = constants.BLESSED_FILE_NAME if verdict.blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    value = constants.BLESSED_VALUE if verdict.blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)


PARAMETERS = {SERVING: str, MAX_REGRESSION: float, MAY_KNOW_EVAL: int, "code": str}


class HiggsEvaluator(component.Evaluator):
    """See `tfx.components.Evaluator`; the baseline, the schema and the slices of `components.slicing` are a must.

    The verdict is a property of `blessing`, see `components.verdict`.
    """

    SPEC_CLASS = with_parameters(standard_component_specs.EvaluatorSpec, **PARAMETERS)
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: BaseChannel,
        model: BaseChannel,
        baseline_model: BaseChannel,
        schema: BaseChannel,
        eval_config: EvalConfig,
        example_splits: list[str],
        serving: str = "",
        max_regression: float = 0.0,
        may_know_eval: bool = False,
        code: str = "",
    ):
        """Constructs the component.

        Args:
          examples: with all the splits.
          model: the candidate, whose slices are those of its signature `slices`.
          baseline_model: what it must beat.
          schema: of the examples.
          eval_config: metrics, slices and thresholds of candidate and baseline.
          example_splits: what to measure on.
          serving: the folder that the Pusher pushes versions to, for the champion; empty for none.
          max_regression: nats of binary crossentropy by which the candidate may be worse than the champion.
          may_know_eval: whether a champion may have been trained on rows that are in `eval` today: not where splits are
            by hash, by which a row never moves. Such a champion looks better than it is, so that too much is refused.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        spec = self.SPEC_CLASS(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            eval_config=eval_config,
            fairness_indicator_thresholds=json_utils.dumps(None),
            example_splits=json_utils.dumps(example_splits),
            serving=serving,
            max_regression=float(max_regression),
            may_know_eval=int(may_know_eval),
            code=code,
            evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        )
        super(component.Evaluator, self).__init__(spec=spec)
