"""The pipeline as it would be of TFX's own components with their defaults, and no code but what TFX asks for.

It has the same stages, models and metrics as ours, except that TFX's InfraValidator needs a TF Serving to try models in
and is left out.
"""

import json
import os
import time

import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from google.protobuf import wrappers_pb2
from tfx import v1 as tfx
from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

from benchmarks import tutorial
from events.higgs.columns import FEATURES, LABEL
from models.architectures import named
from models.networks import build
from models.rules import Rules

# TFMA's names of what `components.event_metrics` measures as well.
METRICS = (
    "BinaryCrossentropy",
    "AUC",
    "BinaryAccuracy",
    "Calibration",
    "MeanLabel",
    "MeanPrediction",
    "ExampleCount",
)
FITTED = "fit.json"  # beside TensorBoard's logs: the seconds of the fit alone
BATCH_ROWS = 500


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Normalises each feature by itself, as TFX's tutorials do."""
    return {name: tft.scale_to_z_score(inputs[name]) for name in FEATURES} | {LABEL: inputs[LABEL]}


def batches(examples_factory, patterns: list[str], transform_graph: str) -> tf.data.Dataset:
    """One pass over materialised examples: 28 features by name and the label.

    Args:
      examples_factory: `fn_args.data_accessor.tf_dataset_factory`.
      patterns: globs of the files.
      transform_graph: the folder of Transform's output.
    """
    options = TensorFlowDatasetOptions(batch_size=BATCH_ROWS, num_epochs=1, label_key=LABEL)
    schema = tft.TFTransformOutput(transform_graph).transformed_metadata.schema
    return examples_factory(patterns, options, schema)


def eval_config() -> tfma.EvalConfig:
    """TFMA's metrics for the models of `models.signatures`, and the same change threshold as ours."""
    threshold = tfma.MetricThreshold(
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.LOWER_IS_BETTER, absolute=wrappers_pb2.DoubleValue(value=-1e-12)
        )
    )
    metrics = [tfma.MetricConfig(class_name=name) for name in METRICS]
    metrics[0].threshold.CopyFrom(threshold)
    spec = tfma.ModelSpec(signature_name="serving_default", label_key=LABEL, prediction_key="probability")
    return tfma.EvalConfig(
        model_specs=[spec],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )


def create_pipeline(rows: str, output: str, epochs: int) -> tfx.dsl.Pipeline:
    """Builds the pipeline.

    Args:
      rows: the folder of a .csv with a header.
      output: the folder for artifacts, metadata and served models.
      epochs: of either training.
    """
    splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in SPLITS.items()]
    example_gen = tfx.components.CsvExampleGen(
        input_base=rows, output_config=tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits))
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    schema = schema_gen.outputs["schema"]
    validator = tfx.components.ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)
    transform = tfx.components.Transform(examples=examples, schema=schema, preprocessing_fn=path(preprocessing_fn))
    trainers = [
        tfx.components.Trainer(
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            schema=schema,
            run_fn=path(run_fn),
            train_args=tfx.proto.TrainArgs(splits=["train"]),
            eval_args=tfx.proto.EvalArgs(splits=["val"]),
            custom_config={"architecture": architecture, "epochs": epochs},
        ).with_id(f"Trainer.{name}")
        for name, architecture in (("candidate", "combined"), ("baseline", "tiny"))
    ]
    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=["eval"],
        model=trainers[0].outputs["model"],
        baseline_model=trainers[1].outputs["model"],
        eval_config=eval_config(),
    )
    pusher = tfx.components.Pusher(
        model=trainers[0].outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=os.path.join(output, "serving"))
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="stock",
        pipeline_root=os.path.join(output, "artifacts"),
        components=[example_gen, statistics_gen, schema_gen, validator, transform, *trainers, evaluator, pusher],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            os.path.join(output, "metadata.sqlite")
        ),
        # What Beam 2.59 does by itself; later ones have another default, which fails here.
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
    )


SPLITS = {"train": 8, "val": 1, "eval": 1}


def path(function) -> str:
    """By which TFX finds a function."""
    return f"{function.__module__}.{function.__qualname__}"


def run_fn(fn_args) -> None:
    """Trains the tutorial's way and exports with the signature of TFX's tutorials."""
    factory, transform = fn_args.data_accessor.tf_dataset_factory, tft.TFTransformOutput(fn_args.transform_output)
    train, val = (
        _arrays(batches(factory, files, fn_args.transform_output))
        for files in (fn_args.train_files, fn_args.eval_files)
    )
    network = build(named(fn_args.custom_config["architecture"]))
    rules = Rules(epochs=fn_args.custom_config["epochs"])
    started = time.monotonic()
    tutorial.fit(network, rules, train, val)
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    with tf.io.gfile.GFile(os.path.join(fn_args.model_run_dir, FITTED), "w") as file:
        json.dump({"seconds": time.monotonic() - started}, file)
    served = tf.Module()
    served.network, served.transform = network, transform.transform_features_layer()
    spec = {name: value for name, value in transform.raw_feature_spec().items() if name != LABEL}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        features = served.transform(tf.io.parse_example(examples, spec))
        return {"probability": tf.sigmoid(network(_stacked(features), training=False)[:, 0])}

    tf.saved_model.save(served, fn_args.serving_model_dir, signatures={"serving_default": serve})


def _stacked(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.stack([tf.reshape(features[name], [-1]) for name in FEATURES], axis=1)


def _arrays(dataset: tf.data.Dataset) -> tuple[tf.Tensor, tf.Tensor]:
    parts = [(_stacked(features), tf.cast(tf.reshape(label, [-1, 1]), tf.float32)) for features, label in dataset]
    return tuple(tf.concat(columns, 0) for columns in zip(*parts, strict=True))
