"""The pipeline's graph: which component reads what. The same for every runner."""

from pathlib import Path

from tfx.components import StatisticsGen, Trainer, Transform
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2

import components.slicing
import models.preprocessing
import models.training
from components.evaluator import HiggsEvaluator
from components.example_gen import HiggsExampleGen
from components.example_validator import HiggsExampleValidator
from components.pusher import HiggsPusher, newest_version
from models.architectures import named
from models.features import COLUMNS
from pipeline.config import Config
from pipeline.data import split_pattern
from pipeline.digest import digest_source
from pipeline.gate import eval_config
from pipeline.places import Places

SCHEMA = Path(models.preprocessing.__file__).with_name("schema.pbtxt")


def dotted_path(function) -> str:
    """The path by which TFX finds a function of ours."""
    return f"{function.__module__}.{function.__qualname__}"


def create_pipeline(config: Config, metadata_connection=None) -> Pipeline:
    """Builds the pipeline from ExampleGen to Pusher.

    Args:
      config: the resolved configuration.
      metadata_connection: where the lineage is kept; SQLite at the configured place if None.

    Raises:
      ValueError: an architecture's name is unknown.
    """
    places = Places(config)
    base, pattern = split_pattern(config.data.path)
    example_gen = HiggsExampleGen(
        input_base=base,
        pattern=pattern,
        columns=COLUMNS,
        weights=config.data.weights,
        row_ranges=config.data.row_ranges,
        bad_rows=config.data.bad_rows,
        origin=config.data.origin,
        code=digest_source("components"),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = ImportSchemaGen(schema_file=str(SCHEMA))
    schema = schema_gen.outputs["schema"]
    validator = HiggsExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=dotted_path(models.preprocessing.preprocessing_fn),
        # Training and evaluation apply the graph themselves: nothing reads materialised examples or their statistics.
        materialize=False,
        disable_statistics=True,
        custom_config={"code": digest_source("models.preprocessing", "models.features")},
    )
    transform.add_upstream_node(validator)  # nothing trains on anomalous data

    def trainer(name: str, architecture: str) -> Trainer:
        return Trainer(
            examples=examples,
            transform_graph=transform.outputs["transform_graph"],
            schema=schema,
            run_fn=dotted_path(models.training.run_fn),
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=["val"]),
            custom_config={
                "name": name,
                "architecture": named(architecture).to_dict(),
                "rules": config.train.rules,
                "code": digest_source("models"),
            },
        ).with_id(f"Trainer.{name}")

    candidate, baseline = trainer("candidate", config.train.architecture), trainer("baseline", config.train.baseline)
    evaluator = HiggsEvaluator(
        examples=examples,
        model=candidate.outputs["model"],
        baseline_model=baseline.outputs["model"],
        example_splits=["eval"],
        schema=schema,
        eval_config=eval_config(config.gate.min_improvement),
        module_path=components.slicing.__name__,
    )
    pusher = HiggsPusher(
        model=candidate.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=places.serving)
        ),
        # Not cached while another model is being served: a push that was undone since is done again.
        custom_config={
            "newest_version": newest_version(places.serving) if config.cache else None,
            "origin": config.data.origin,
        },
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=places.artifacts,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            validator,
            transform,
            candidate,
            baseline,
            evaluator,
            pusher,
        ],
        metadata_connection_config=metadata_connection or metadata.sqlite_metadata_connection_config(places.metadata),
        enable_cache=config.cache,
        beam_pipeline_args=list(config.beam_args),
    )
