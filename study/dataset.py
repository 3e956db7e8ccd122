"""The rows of a study: ingested, validated and normalised once by the pipeline's components, then kept in memory."""

import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from sklearn.model_selection import StratifiedKFold

from components.example_gen import ORIGIN_PROPERTY
from events.higgs.columns import FEATURES
from events.higgs.symmetries import Augmentation
from events.ingestion import read_summary, remarks
from models.architectures import COLUMNS_ONLY, Architecture
from models.inputs import load, load_raw
from models.loop import Rows
from models.transform_graph import TransformGraph
from pipeline.config import Config
from pipeline.execution import execute
from pipeline.graph import create_data_pipeline
from pipeline.lineage import read_run

LOGGER = logging.getLogger("higgs.study")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Rows by split.

    Attributes:
      train: to train on, or to divide into folds; val: stops training; eval: is scored at the end. Where a network
        takes physics columns, they stand behind the 28.
      raw: the features of `all` before normalisation, float32 [n, 28]; None where no architecture is augmented.
      transforms: `Architecture.inputs` to what makes such features of raw ones.
      origin: `real` or `simulated`.
      files: what was read, as ingestion recorded it.
      counts: split to class to rows.
    """

    train: Rows
    val: Rows
    eval: Rows
    raw: tf.Tensor | None
    transforms: dict[str, TransformGraph]
    origin: str
    files: list
    counts: dict

    @property
    def digest(self) -> str:
        """The digest of all rows, without physics columns, which are a function of them and of code."""
        digest = hashlib.sha256()
        for tensor in (*self.train, *self.val, *self.eval):
            digest.update(np.ascontiguousarray(tensor[:, : len(FEATURES)]).data)
        return digest.hexdigest()

    @functools.cached_property
    def all(self) -> Rows:
        """The rows of `train`, `val` and `eval`, in this order."""
        return tuple(tf.concat(tensors, 0) for tensors in zip(self.train, self.val, self.eval, strict=True))

    def part(self, rows: np.ndarray, inputs: str) -> Rows:
        """Some of all rows, by index, as networks of these `Architecture.inputs` take them."""
        features, labels = (tf.gather(tensor, rows) for tensor in self.all)
        return features[:, : self.transforms[inputs].n_inputs], labels

    def augmentation(self, rows: np.ndarray, inputs: str) -> Augmentation:
        """The augmentation of some of all rows, by index."""
        return Augmentation(tf.gather(self.raw, rows), self.transforms[inputs])


def materialize(config: Config, architectures: Sequence[Architecture]) -> Dataset:
    """Runs the pipeline up to Transform, or takes its stages from the cache, and loads what the architectures take."""
    config = dataclasses.replace(config, name=f"{config.name}-study")
    run = execute(config, functools.partial(create_data_pipeline, architectures=architectures))
    outputs = {execution.node: execution.outputs for execution in read_run(config, run)}
    examples = outputs["HiggsExampleGen"]["examples"]
    kinds = sorted({COLUMNS_ONLY, *(architecture.inputs for architecture in architectures)})
    transforms = {kind: TransformGraph(outputs["Transform"]["transform_graph"].uri, kind) for kind in kinds}
    widest = max(transforms.values(), key=lambda transform: transform.n_inputs)
    files = {split: [os.path.join(examples.uri, f"Split-{split}", "*")] for split in ("train", "val", "eval")}
    ingested = read_summary(examples.uri)
    for remark in remarks(ingested):
        LOGGER.warning("%s", remark)
    return Dataset(
        **{split: load(patterns, widest) for split, patterns in files.items()},
        raw=_load_raw(files, widest) if any(architecture.augment for architecture in architectures) else None,
        transforms=transforms,
        origin=examples.custom_properties[ORIGIN_PROPERTY].string_value,
        files=ingested["files"],
        counts=ingested["splits"],
    )


def stratified_folds(labels: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold of each row, int [n_rows] in [0, n_folds): each holds its share of both classes, to one row."""
    folds = np.empty(len(labels), np.int64)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    for fold, (_, left_out) in enumerate(splitter.split(labels, labels)):
        folds[left_out] = fold
    return folds


def _load_raw(files: dict[str, list[str]], transform: TransformGraph) -> tf.Tensor:
    """The raw features of all splits, in the order of `files`: one call would read their files in sorted order."""
    return tf.concat([load_raw(patterns, transform) for patterns in files.values()], 0)
