"""Trains what a study consists of, and keeps each training, so that a study which was killed repeats none."""

import dataclasses
import hashlib
import json
import logging
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from components.sums import crossentropies
from datasets.files import whole
from models.errors import ModelError
from models.rules import Rules
from models.training import fit
from pipeline.digest import TRAINING, digest_source
from study.data import Dataset
from study.plan import Variant
from study.statistics import stratified_folds

LOGGER = logging.getLogger("higgs.study")
SCORED_ROWS = 16_384  # per step of scoring


@dataclasses.dataclass(frozen=True)
class Task:
    """One training of a variant.

    Attributes:
      variant: what is trained.
      repeat: which seed, from 0.
      fold: which fold of the training split is left out and scored; None to score the eval split.
    """

    variant: Variant
    repeat: int
    fold: int | None

    @property
    def rules(self) -> Rules:
        """Of this training, with a seed of its own."""
        rules = self.variant.rules
        return dataclasses.replace(rules, seed=rules.seed + self.repeat)

    @property
    def seed(self) -> int:
        """Of this training."""
        return self.rules.seed


@dataclasses.dataclass(frozen=True)
class Result:
    """What a study needs of its trainings of one variant.

    Attributes:
      variant: what was trained.
      records: of each training, `summary` and `history` as `models.training.fit` gives them, with `seed` and `fold`.
      probabilities: of the signal on the scored rows, float32 [n_repeats, n_scored].
    """

    variant: Variant
    records: list[dict]
    probabilities: np.ndarray

    def losses(self, labels: np.ndarray) -> np.ndarray:
        """Crossentropies on the scored rows, float64 [n_repeats, n_scored], from their labels, [n_scored]."""
        return np.stack([crossentropies(labels, repeat) for repeat in self.probabilities])


class Trainings:
    """The trainings of a study on one data set."""

    def __init__(self, dataset: Dataset, n_repeats: int, n_folds: int, folder: str):
        """Prepares them.

        Args:
          dataset: the rows.
          n_repeats: trainings of each variant, with seeds one after another.
          n_folds: of the training split, each left out once and scored; 0 to score the eval split instead.
          folder: where finished trainings are kept.
        """
        self._dataset = dataset
        self._folder = folder
        self._n_repeats = n_repeats
        self._folds = None
        if n_folds:
            self._folds = stratified_folds(np.ravel(dataset.train[1]), n_folds)
        self._digests = [dataset.digest, digest_source(*TRAINING), str(n_folds)]
        os.makedirs(folder, exist_ok=True)

    @property
    def labels(self) -> np.ndarray:
        """Of the scored rows, [n_scored]."""
        return np.ravel(self._dataset.eval[1] if self._folds is None else self._dataset.train[1])

    def of(self, variants: Sequence[Variant]) -> list[Result]:
        """Trains each variant as often as is asked, but for what is already there, with a bar over trainings.

        Raises:
          ModelError: a variant asks for more rows than there are.
        """
        n_rows = self._dataset.train[0].shape[0]
        for variant in variants:
            if (variant.n_rows or 0) > n_rows:
                raise ModelError(
                    f"The training split has {n_rows:,} rows. Received: rows = {variant.n_rows:,}. Ask for fewer."
                )
        tasks = [
            task for repeat in range(self._n_repeats) for variant in variants for task in self._tasks(variant, repeat)
        ]
        bar = tqdm(tasks, unit="training", file=sys.stdout, dynamic_ncols=True, smoothing=0.1)
        for task in bar:
            if self._kept(task) is None:
                bar.set_description(f"{task.variant.name}, seed {task.seed}")
                self._train(task)
        return [self._result(variant) for variant in variants]

    def _tasks(self, variant: Variant, repeat: int) -> Iterator[Task]:
        folds = [None] if self._folds is None else range(self._folds.max() + 1)
        return (Task(variant, repeat, fold) for fold in folds)

    def _path(self, task: Task) -> str:
        """Where a training is kept: under a digest of everything that decides it."""
        variant = task.variant
        key = [
            *self._digests,
            variant.architecture.to_dict(),
            dataclasses.asdict(task.rules),
            variant.n_rows,
            task.fold,
        ]
        text = json.dumps(key, sort_keys=True)
        return os.path.join(self._folder, hashlib.sha256(text.encode()).hexdigest()[:24] + ".npz")

    def _kept(self, task: Task) -> tuple[dict, np.ndarray] | None:
        """The record and the probabilities of a finished training; None if there is none, or none that can be read."""
        path = self._path(task)
        n_scored = len(self.labels) if task.fold is None else np.count_nonzero(self._folds == task.fold)
        if not os.path.exists(path):
            return None
        try:
            with np.load(path) as kept:
                record, probabilities = json.loads(str(kept["record"])), kept["probabilities"]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            probabilities = np.empty(0)
        if probabilities.shape != (n_scored,):
            LOGGER.warning("Trained again, for what is kept of it is damaged: %s.", path)
            return None
        return record, probabilities

    def _train(self, task: Task) -> None:
        dataset, variant = self._dataset, task.variant
        inputs = variant.architecture.inputs
        rows = np.arange(dataset.train[0].shape[0])
        scored = dataset.eval[0]
        if task.fold is not None:
            scored = tf.boolean_mask(dataset.train[0], self._folds == task.fold)
            rows = rows[self._folds != task.fold]
        train, augmentation = dataset.part(rows[: variant.n_rows], inputs)
        val = dataset.taken(dataset.val[0], inputs), dataset.val[1]
        normalize = dataset.transforms[inputs]
        training = fit(variant.architecture, task.rules, train, val, augmentation=augmentation, normalize=normalize)
        record = {"seed": task.seed, "fold": task.fold, "summary": training.summary, "history": training.history}
        probabilities = score(training.network, dataset.taken(scored, inputs))
        with whole(self._path(task), "wb") as file:
            np.savez(file, record=json.dumps(record), probabilities=probabilities)
        keras.backend.clear_session()

    def _result(self, variant: Variant) -> Result:
        records, probabilities = [], np.empty((self._n_repeats, len(self.labels)), np.float32)
        for repeat in range(self._n_repeats):
            for task in self._tasks(variant, repeat):
                record, probabilities_of_task = self._kept(task)
                records.append(record)
                scored = slice(None) if task.fold is None else self._folds == task.fold
                probabilities[repeat, scored] = probabilities_of_task
        return Result(variant, records, probabilities)


def score(network: keras.Model, features: tf.Tensor) -> np.ndarray:
    """The network's probabilities of the signal, float32 [n], from normalised features, float32 [n, 28]."""
    parts = [
        tf.sigmoid(network(features[start : start + SCORED_ROWS], training=False))
        for start in range(0, features.shape[0], SCORED_ROWS)
    ]
    return np.ravel(np.concatenate(parts))
