"""The pipeline's graph: which component reads what. The same for every runner."""

import dataclasses
import os
from collections.abc import Iterable
from typing import NamedTuple

from tfx.components import Trainer, Tuner
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2
from tfx.types import standard_artifacts

import models.preprocessing
import models.training
import models.tuning
from components.evaluator import HiggsEvaluator
from components.example_gen import HiggsExampleGen
from components.example_validator import HiggsExampleValidator
from components.infra_validator import HiggsInfraValidator
from components.pusher import HiggsPusher
from components.statistics_gen import HiggsStatisticsGen
from components.transform import HiggsTransform
from events.higgs import SCHEMA
from events.higgs.columns import COLUMNS
from models.architectures import PHYSICS, Architecture, named
from pipeline.config import Config
from pipeline.data import split_pattern
from pipeline.digest import CODE, digest_source
from pipeline.gate import eval_config
from pipeline.hyperparameters import HYPERPARAMETERS, IMPORTER
from pipeline.lineage import connection
from pipeline.workspace import Workspace
from serving.served import fingerprint
from serving.versions import check_base

# Tuner and Trainer read these; `eval` is the Evaluator's alone.
TRAIN, VAL = trainer_pb2.TrainArgs(splits=["train"]), trainer_pb2.EvalArgs(splits=["val"])


def dotted_path(function) -> str:
    """The path by which TFX finds a function of ours."""
    return f"{function.__module__}.{function.__qualname__}"


def preprocessing_path(architectures: Iterable[Architecture]) -> str:
    """The path of the function that makes what networks of some architectures take."""
    takes_physics = any(architecture.inputs == PHYSICS for architecture in architectures)
    preprocessing = models.preprocessing
    return dotted_path(preprocessing.physics_preprocessing_fn if takes_physics else preprocessing.preprocessing_fn)


class DataComponents(NamedTuple):
    """The components that come before any training, upstream first, and their outputs that training needs."""

    example_gen: HiggsExampleGen
    statistics_gen: HiggsStatisticsGen
    schema_gen: ImportSchemaGen
    validator: HiggsExampleValidator
    transform: HiggsTransform

    @property
    def examples(self):
        """Channel of the examples, in splits train, val and eval."""
        return self.example_gen.outputs["examples"]

    @property
    def schema(self):
        """Channel of the curated schema."""
        return self.schema_gen.outputs["schema"]


def data_components(config: Config, architectures: Iterable[Architecture] = ()) -> DataComponents:
    """From CSV to validated examples and the graph that normalises them for networks of some architectures."""
    base, pattern = split_pattern(config.data.path)
    example_gen = HiggsExampleGen(
        input_base=base,
        pattern=pattern,
        columns=COLUMNS,
        weights=config.data.weights,
        row_ranges=config.data.row_ranges,
        bad_rows=config.data.bad_rows,
        origin=config.data.origin,
        code=digest_source(*CODE["HiggsExampleGen"]),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = HiggsStatisticsGen(examples, digest_source(*CODE["StatisticsGen"])).with_id("StatisticsGen")
    schema_gen = ImportSchemaGen(schema_file=SCHEMA)
    schema = schema_gen.outputs["schema"]
    code = digest_source(*CODE["HiggsExampleValidator"])
    validator = HiggsExampleValidator(statistics_gen.outputs["statistics"], schema, code)
    transform = HiggsTransform(
        examples,
        schema,
        preprocessing_fn=preprocessing_path(architectures),
        code=digest_source(*CODE["Transform"]),
    ).with_id("Transform")
    transform.add_upstream_node(validator)  # nothing trains on anomalous data
    return DataComponents(example_gen, statistics_gen, schema_gen, validator, transform)


def create_data_pipeline(config: Config, architectures: Iterable[Architecture] = ()) -> Pipeline:
    """Builds the pipeline from ExampleGen to Transform, for a study, which trains networks itself."""
    return _pipeline(config, list(data_components(config, architectures)))


@dataclasses.dataclass(frozen=True)
class TrainingComponents:
    """The components up to both networks.

    Attributes:
      data: those before any training.
      hyperparameters: see `hyperparameters_node`.
      candidate, baseline: the Trainers.
    """

    data: DataComponents
    hyperparameters: Tuner | Importer | None
    candidate: Trainer
    baseline: Trainer

    def in_order(self) -> list:
        """All of them, upstream first."""
        tuning = [self.hyperparameters] if self.hyperparameters else []
        return [*self.data, *tuning, self.candidate, self.baseline]


def training_components(config: Config) -> TrainingComponents:
    """From CSV to the candidate and the baseline.

    Raises:
      ModelError: an architecture's name is unknown.
    """
    data = data_components(config, map(named, (config.train.architecture, config.train.baseline)))
    hyperparameters = hyperparameters_node(config, data)

    def trainer(name: str, architecture: str, rules: dict, **inputs) -> Trainer:
        return Trainer(
            examples=data.examples,
            transform_graph=data.transform.outputs["transform_graph"],
            schema=data.schema,
            run_fn=dotted_path(models.training.run_fn),
            train_args=TRAIN,
            eval_args=VAL,
            custom_config={
                "name": name,
                "architecture": named(architecture).to_dict(),
                **rules,
                "code": digest_source(*CODE["Trainer"]),
            },
            **inputs,
        ).with_id(f"Trainer.{name}")

    tuned = {"hyperparameters": hyperparameters.outputs[HYPERPARAMETERS]} if hyperparameters else {}
    candidate = trainer("candidate", config.train.architecture, {"rules": config.train.rules}, **tuned)
    own_rules = {"baseline_rules": config.train.baseline_rules, "seed": config.train.seed}
    return TrainingComponents(data, hyperparameters, candidate, trainer("baseline", config.train.baseline, own_rules))


def create_training_pipeline(config: Config) -> Pipeline:
    """Builds the pipeline from ExampleGen to both Trainers, for the reproduction of a run."""
    return _pipeline(config, training_components(config).in_order())


def create_pipeline(config: Config) -> Pipeline:
    """Builds the pipeline from ExampleGen to Pusher; raises as `training_components` does."""
    training = training_components(config)
    gate = gate_components(config, training.data, training.candidate, training.baseline)
    return _pipeline(config, [*training.in_order(), *gate])


def gate_components(config: Config, data: DataComponents, candidate: Trainer, baseline: Trainer) -> list:
    """What judges the candidate, tries it out, and serves it."""
    workspace = Workspace(config)
    check_base(workspace.serving)
    evaluator = HiggsEvaluator(
        examples=data.examples,
        model=candidate.outputs["model"],
        baseline_model=baseline.outputs["model"],
        example_splits=["eval"],
        schema=data.schema,
        eval_config=eval_config(config.gate.min_improvement, config.gate.confidence),
        serving=workspace.serving if config.gate.champion else "",
        max_regression=config.gate.max_regression,
        may_know_eval=bool(config.data.row_ranges),
        code=digest_source(*CODE["HiggsEvaluator"]),
    )
    infra_validator = HiggsInfraValidator(
        model=candidate.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        examples=data.examples,
        split="eval",
        model_name=config.name,
        code=digest_source(*CODE["HiggsInfraValidator"]),
    )
    pusher = HiggsPusher(
        model=candidate.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        examples=data.examples,
        model_run=candidate.outputs["model_run"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=workspace.serving)
        ),
        custom_config={
            "origin": config.data.origin,
            "promote": config.serving.promote,
            "keep": config.serving.keep,
            "url": config.serving.url,
            "code": digest_source(*CODE["HiggsPusher"]),
            # Cached only while the same is served: a push that was undone since is done again.
            "served": fingerprint(workspace.serving) if config.cache else None,
        },
    )
    return [evaluator, infra_validator, pusher]


def hyperparameters_node(config: Config, data: DataComponents) -> Tuner | Importer | None:
    """What tells the candidate's Trainer its hyperparameters, as `HYPERPARAMETERS`; None if nothing was tuned."""
    if config.tuner.hyperparameters:
        folder = os.path.dirname(config.tuner.hyperparameters)
        return Importer(
            source_uri=folder, artifact_type=standard_artifacts.HyperParameters, output_key=HYPERPARAMETERS
        ).with_id(IMPORTER)
    if not config.tuner.enabled:
        return None
    return Tuner(
        examples=data.examples,
        transform_graph=data.transform.outputs["transform_graph"],
        tuner_fn=dotted_path(models.tuning.tuner_fn),
        train_args=TRAIN,
        eval_args=VAL,
        custom_config={
            "name": config.train.architecture,
            "architecture": named(config.train.architecture).to_dict(),
            "rules": config.train.rules,
            "origin": config.data.origin,
            "tuning": config.tuner.rules,
            "folder": Workspace(config).tuning,
            "code": digest_source(*CODE["Tuner"]),
        },
    )


def _pipeline(config: Config, components: list) -> Pipeline:
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=Workspace(config).artifacts,
        components=components,
        metadata_connection_config=connection(config),
        enable_cache=config.cache,
        beam_pipeline_args=list(config.beam_args),
    )
