"""The rows of a study: ingested, validated and normalised once by the pipeline's components, then kept in memory."""

import dataclasses
import hashlib
import logging
import os

import tensorflow as tf

from components.example_gen import ORIGIN_PROPERTY
from components.ingestion import read_summary, remarks
from models.augmentation import Augmentation
from models.inputs import load, load_raw
from models.transform_graph import TransformGraph
from pipeline.config import Config
from pipeline.execution import execute
from pipeline.graph import create_data_pipeline
from pipeline.lineage import read_run

LOGGER = logging.getLogger("higgs.study")

Rows = tuple[tf.Tensor, tf.Tensor]  # features, float32 [n, 28], normalised, and labels, float32 [n, 1]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Rows by split.

    Attributes:
      train: to train on, or to divide into folds; val: stops training; eval: is scored at the end.
      raw: the features of `train` before normalisation, float32 [n_train, 28].
      transform: normalises raw features.
      origin: `real` or `simulated`.
      files: what was read, as ingestion recorded it.
      counts: split to class to rows.
    """

    train: Rows
    val: Rows
    eval: Rows
    raw: tf.Tensor
    transform: TransformGraph
    origin: str
    files: list
    counts: dict

    @property
    def digest(self) -> str:
        """Of all rows: equal rows, equal digest."""
        digest = hashlib.sha256()
        for tensor in (*self.train, *self.val, *self.eval):
            digest.update(memoryview(tensor.numpy()).cast("B"))
        return digest.hexdigest()

    def part(self, rows: tf.Tensor) -> tuple[Rows, Augmentation]:
        """Some rows of `train`, by index, and their augmentation."""
        features, labels = (tf.gather(tensor, rows) for tensor in self.train)
        return (features, labels), Augmentation(tf.gather(self.raw, rows), self.transform)


def materialize(config: Config) -> Dataset:
    """Runs the pipeline up to Transform, or takes its stages from the cache, and loads what it made."""
    config = dataclasses.replace(config, name=f"{config.name}-study")
    run = execute(config, create_data_pipeline)
    outputs = {execution.node: execution.outputs for execution in read_run(config, run)}
    examples = outputs["HiggsExampleGen"]["examples"]
    transform = TransformGraph(outputs["Transform"]["transform_graph"].uri)
    files = {split: [os.path.join(examples.uri, f"Split-{split}", "*")] for split in ("train", "val", "eval")}
    ingested = read_summary(examples.uri)
    for remark in remarks(ingested):
        LOGGER.warning("%s", remark)
    return Dataset(
        **{split: load(patterns, transform) for split, patterns in files.items()},
        raw=load_raw(files["train"], transform),
        transform=transform,
        origin=examples.custom_properties[ORIGIN_PROPERTY].string_value,
        files=ingested["files"],
        counts=ingested["splits"],
    )
