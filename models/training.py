"""Training: `fit` for whoever has arrays, `run_fn` for TFX's Trainer."""

import dataclasses
import json
import logging
import os
import sys
import time

import keras
import tensorflow as tf
from tqdm import tqdm

from models.architectures import Architecture
from models.augmentation import Augmentation
from models.errors import ModelError
from models.inputs import load, load_raw
from models.loop import Loop
from models.networks import build
from models.rules import Rules
from models.signatures import export
from models.space import from_hyperparameters, values_of
from models.transform_graph import TransformGraph

LOGGER = logging.getLogger("higgs.training")


@dataclasses.dataclass(frozen=True)
class Training:
    """What came of training one network.

    Attributes:
      network: the keras.Model with the weights of its best epoch.
      history: metric to its values by epoch.
      summary: epochs, best_epoch (from 1), seconds, parameters, and `train` and `val` metrics of the best weights.
    """

    network: keras.Model
    history: dict[str, list[float]]
    summary: dict


def fit(
    architecture: Architecture, rules: Rules, train, val, callbacks=(), augmentation: Augmentation | None = None
) -> Training:
    """Trains a network until its validation binary crossentropy stops improving, and keeps the best epoch's weights.

    The crossentropy is watched, not the loss: the loss carries the penalties.

    Args:
      architecture: what to train.
      rules: how.
      train: features, float32 [n_rows, 28], normalised, and labels, float32 [n_rows, 1].
      val: the same.
      callbacks: Keras callbacks to call as well.
      augmentation: of the training rows, for an architecture that asks for it.
    """
    if architecture.augment and augmentation is None:
        raise ModelError("An architecture with augment=true is trained on raw rows. Received: none. Pass augmentation.")
    network = build(architecture, rules.seed)
    loop = Loop(
        network,
        _optimizer(architecture, rules, train[0].shape[0]),
        rules.batch_size,
        rules.seed,
        augmentation if architecture.augment else None,
    )
    # Keras's History would hide behind the model; this one is ours to return.
    history = keras.callbacks.History()
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_bce", mode="min", patience=rules.patience, restore_best_weights=True
    )
    started = time.monotonic()
    loop.fit(train, val, rules.epochs, [history, stopping, *callbacks])
    summary = {
        "epochs": len(history.epoch),
        "best_epoch": stopping.best_epoch + 1,
        "seconds": round(time.monotonic() - started, 3),
        "n_parameters": network.count_params(),
        "n_train": train[0].shape[0],
        "n_val": val[0].shape[0],
        "train": loop.evaluate(*train),
        "val": loop.evaluate(*val),
        "architecture": architecture.to_dict(),
        "rules": dataclasses.asdict(rules),
    }
    return Training(network, history.history, summary)


def _optimizer(architecture: Architecture, rules: Rules, n_rows: int) -> keras.optimizers.Optimizer:
    steps_per_epoch = -(-n_rows // rules.batch_size)
    rate = keras.optimizers.schedules.InverseTimeDecay(
        rules.learning_rate, decay_steps=steps_per_epoch * rules.decay_epochs, decay_rate=1.0
    )
    if architecture.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=architecture.weight_decay)
    return keras.optimizers.Adam(rate)


class ProgressBar(keras.callbacks.Callback):
    """A bar over epochs on standard output; every epoch goes to the log as well."""

    def __init__(self, name: str, rules: Rules):
        super().__init__()
        self._name = name
        self._bar = tqdm(
            total=rules.epochs,
            desc=name,
            unit="epoch",
            file=sys.stdout,
            mininterval=0.5 if sys.stdout.isatty() else 10.0,
            dynamic_ncols=True,
        )
        self._best = float("inf")

    def on_epoch_end(self, epoch, logs=None):
        """Moves the bar by one epoch."""
        self._best = min(self._best, logs["val_bce"])
        self._bar.set_postfix(val_bce=f"{logs['val_bce']:.4f}", best=f"{self._best:.4f}", refresh=False)
        self._bar.update()
        values = " ".join(f"{name} {value:.5f}" for name, value in logs.items())
        LOGGER.debug("%s epoch %d: %s", self._name, epoch + 1, values)

    def on_train_end(self, logs=None):
        """Leaves the bar as it is."""
        self._bar.close()


def augmentation_for(architecture: Architecture, patterns: list[str], transform: TransformGraph) -> Augmentation | None:
    """The augmentation of the rows in some files, for an architecture that asks for it."""
    return Augmentation(load_raw(patterns, transform), transform) if architecture.augment else None


def run_fn(fn_args) -> None:
    """Trains and exports, as TFX's Trainer asks for it.

    Reads `custom_config`: `name`, shown with the progress, `architecture` and `rules`, fields of `Architecture` and
    `Rules`; `hyperparameters`, where there are any, are a point in the space around those two. Writes the SavedModel to
    `serving_model_dir`, and TensorBoard logs and `history.json` to `model_run_dir`.
    """
    config = fn_args.custom_config
    architecture, rules = Architecture.from_dict(config["architecture"]), Rules(**config["rules"])
    if fn_args.hyperparameters:
        architecture, rules = from_hyperparameters(values_of(fn_args.hyperparameters), architecture, rules)
    transform = TransformGraph(fn_args.transform_output)
    train, val = load(fn_args.train_files, transform), load(fn_args.eval_files, transform)
    augmentation = augmentation_for(architecture, fn_args.train_files, transform)
    board = keras.callbacks.TensorBoard(fn_args.model_run_dir, write_graph=False)
    training = fit(architecture, rules, train, val, [ProgressBar(config["name"], rules), board], augmentation)
    record = {"name": config["name"], "summary": training.summary, "history": training.history}
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    with tf.io.gfile.GFile(os.path.join(fn_args.model_run_dir, "history.json"), "w") as file:
        json.dump(record, file)
    export(training.network, fn_args.transform_output, fn_args.serving_model_dir)
