"""Trains what a study consists of, and keeps each training, so that a study which was killed repeats none."""

import dataclasses
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from events.errors import ModelError
from events.files import read_arrays, whole
from metrics.sums import crossentropies
from models.pretraining import Pretrained, without_regularizers
from models.rules import Rules
from models.training import fit
from pipeline.digest import CODE, digest_source
from study.dataset import Dataset, stratified_folds
from study.plan import Variant
from study.processes import side_by_side

LOGGER = logging.getLogger("higgs.study")
SCORED_ROWS = 16_384  # per step of scoring

Kept = TypeVar("Kept")


@dataclasses.dataclass(frozen=True)
class Task:
    """One training of a variant.

    Attributes:
      variant: what is trained.
      repeat: which seed, from 0.
      fold: which fold of all rows is scored, while the next one stops the training and the others are trained on; None
        for the splits as they are: `eval` is scored.
    """

    variant: Variant
    repeat: int
    fold: int | None

    @property
    def rules(self) -> Rules:
        """The rules of this training, with a seed of its own."""
        rules = self.variant.rules
        return dataclasses.replace(rules, seed=rules.seed + self.repeat)

    @property
    def seed(self) -> int:
        """The seed of this training."""
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
          n_folds: of all rows, each scored once by networks that have not seen it; 0 to score the eval split instead.
          folder: where finished trainings are kept.
        """
        self._dataset = dataset
        self._folder = folder
        self._n_repeats = n_repeats
        self._folds = stratified_folds(np.ravel(dataset.all[1]), n_folds) if n_folds else None
        self._digests = [dataset.digest, digest_source(*CODE["Trainer"])]
        self._divided = f"{n_folds} folds of all rows" if n_folds else "splits"
        os.makedirs(folder, exist_ok=True)

    @property
    def labels(self) -> np.ndarray:
        """The labels of the scored rows, [n_scored]."""
        return np.ravel(self._dataset.eval[1] if self._folds is None else self._dataset.all[1])

    def of(self, variants: Sequence[Variant], n_processes: int = 1) -> list[Result]:
        """Trains each variant once for each repeat and fold, but for what is already there, with a bar over trainings.

        Args:
          variants: what to train.
          n_processes: that train at a time; the results do not depend on it.

        Raises:
          ModelError: a variant is to have more rows than there are.
        """
        n_rows = min(len(self._parts(fold)[0]) for fold in self._numbers())
        for variant in variants:
            if (variant.n_rows or 0) > n_rows:
                raise ModelError(
                    f"A training has at most {n_rows:,} rows. Received: rows = {variant.n_rows:,}. Take fewer."
                )
        tasks = [
            task for repeat in range(self._n_repeats) for variant in variants for task in self._tasks(variant, repeat)
        ]
        missing = list({self._path(task): task for task in tasks if self._kept(task) is None}.values())
        bar = tqdm(total=len(missing), unit="training", file=sys.stdout, dynamic_ncols=True, smoothing=0.1)

        def train_here(task: Task) -> None:
            bar.set_description(f"{task.variant.name}, seed {task.seed}")
            self._train(task)

        with bar:
            for independent in self._phases(missing):
                for _ in side_by_side(train_here, self._train, independent, n_processes):
                    bar.update()
        return [self._result(variant) for variant in variants]

    def _phases(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
        """The tasks that can be trained at once, pretrainings first, and those that take up one of them."""
        pretraining: dict[str, Task] = {}
        at_once, later = [], []
        for task in tasks:
            if not task.variant.architecture.pretrain or self._pretrained(task) is not None:
                at_once.append(task)
            elif pretraining.setdefault(self._pretrained_path(task), task) is not task:
                later.append(task)
        return [*pretraining.values(), *at_once], later

    def _numbers(self) -> Sequence[int | None]:
        """The numbers of the folds; None alone where there are none."""
        return [None] if self._folds is None else range(self._folds.max() + 1)

    def _parts(self, fold: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices into all rows: those that are trained on, those that stop the training, and those that are scored."""
        if fold is not None and self._folds is not None:
            following = (fold + 1) % (self._folds.max() + 1)
            stopping, scored = self._folds == following, self._folds == fold
            return np.flatnonzero(~(stopping | scored)), np.flatnonzero(stopping), np.flatnonzero(scored)
        n_train, n_val, n_eval = (len(rows[1]) for rows in (self._dataset.train, self._dataset.val, self._dataset.eval))
        return tuple(np.split(np.arange(n_train + n_val + n_eval), [n_train, n_train + n_val]))

    def _tasks(self, variant: Variant, repeat: int) -> Iterator[Task]:
        return (Task(variant, repeat, fold) for fold in self._numbers())

    def _path(self, task: Task) -> str:
        """Where a training is kept: under a digest of everything that decides it."""
        variant = task.variant
        rules = dataclasses.asdict(task.rules)
        return self._named(self._divided, variant.architecture.to_dict(), rules, variant.n_rows, task.fold)

    def _named(self, *key) -> str:
        text = json.dumps([*self._digests, *key], sort_keys=True)
        return os.path.join(self._folder, hashlib.sha256(text.encode()).hexdigest()[:24] + ".npz")

    def _kept(self, task: Task) -> tuple[dict, np.ndarray] | None:
        """The record and the probabilities of a finished training; None if there is none, or none that can be read."""
        n_scored = len(self._parts(task.fold)[2])

        def read(kept) -> tuple[dict, np.ndarray]:
            record, probabilities = json.loads(str(kept["record"])), kept["probabilities"]
            if probabilities.shape != (n_scored,):
                raise ValueError(f"{probabilities.shape} are not {n_scored} probabilities")
            return record, probabilities

        return _read(self._path(task), read)

    def _train(self, task: Task) -> tuple[dict, np.ndarray]:
        dataset, architecture = self._dataset, task.variant.architecture
        trained, validated, scored = self._parts(task.fold)
        trained = trained[: task.variant.n_rows]
        train, val, rest = (dataset.part(rows, architecture.inputs) for rows in (trained, validated, scored))
        kept = self._pretrained(task)
        training = fit(
            architecture,
            task.rules,
            train,
            val,
            augmentation=dataset.augmentation(trained, architecture.inputs) if architecture.augment else None,
            normalize=dataset.transforms[architecture.inputs],
            pretrained=kept,
        )
        if training.pretrained and training.pretrained is not kept:
            self._keep_pretrained(task, training.pretrained)
        record = {"seed": task.seed, "fold": task.fold, "summary": training.summary, "history": training.history}
        probabilities = score(training.network, rest[0])
        with whole(self._path(task), "wb") as file:
            np.savez(file, record=json.dumps(record), probabilities=probabilities)
        keras.backend.clear_session()
        return record, probabilities

    def _pretrained_path(self, task: Task) -> str:
        return self._named("pretrained", without_regularizers(task.variant.architecture).to_dict(), task.seed)

    def _pretrained(self, task: Task) -> Pretrained | None:
        """The pretraining that trainings with one seed share, whatever their regularizers; None before the first."""

        def read(kept) -> Pretrained:
            weights = [kept[f"weights{number}"] for number in range(len(kept) - 1)]
            return Pretrained(weights, json.loads(str(kept["record"])))

        return _read(self._pretrained_path(task), read) if task.variant.architecture.pretrain else None

    def _keep_pretrained(self, task: Task, pretrained: Pretrained) -> None:
        weights = {f"weights{number}": value for number, value in enumerate(pretrained.weights)}
        with whole(self._pretrained_path(task), "wb") as file:
            np.savez(file, record=json.dumps(pretrained.record), **weights)

    def _result(self, variant: Variant) -> Result:
        records, probabilities = [], np.empty((self._n_repeats, len(self.labels)), np.float32)
        for repeat in range(self._n_repeats):
            for task in self._tasks(variant, repeat):
                record, probabilities_of_task = self._kept(task) or self._train(task)  # if it was lost meanwhile
                records.append(record)
                scored = slice(None) if task.fold is None else self._folds == task.fold
                probabilities[repeat, scored] = probabilities_of_task
        return Result(variant, records, probabilities)


def _read(path: str, read: Callable[[Mapping[str, np.ndarray]], Kept]) -> Kept | None:
    """What `read` makes of a kept file's arrays; None if there is no such file, or it is damaged."""
    if not os.path.exists(path):
        return None
    try:
        return read(read_arrays(path))
    except (OSError, ValueError, KeyError):
        LOGGER.warning("Trained again, for what is kept of it is damaged: %s.", path)
        return None


def score(network: keras.Model, features: tf.Tensor) -> np.ndarray:
    """The network's probabilities of the signal, float32 [n], from normalised features, float32 [n, 28]."""
    parts = [
        tf.sigmoid(network(features[start : start + SCORED_ROWS], training=False))
        for start in range(0, features.shape[0], SCORED_ROWS)
    ]
    return np.ravel(np.concatenate(parts))
