"""Training: `fit` on arrays, and `run_fn` for TFX's Trainer."""

import dataclasses
import json
import os
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from events.errors import ModelError
from events.higgs.symmetries import Augmentation
from events.seals import seal
from models.architectures import Architecture
from models.callbacks import ProgressBar, TensorBoardLogger
from models.inputs import ALL, Shard, load, load_raw
from models.loop import Loop
from models.networks import build
from models.optimizers import Adam
from models.pretraining import FINE_TUNING, Pretrained, pretrain
from models.replicas import Replicas, choose_strategy
from models.rules import BaselineRules, Rules
from models.signatures import export
from models.space import from_hyperparameters, values_of
from models.transform_graph import TransformGraph


@dataclasses.dataclass(frozen=True)
class Training:
    """The result of training one network.

    Attributes:
      network: the keras.Model with the weights of its best epoch.
      history: metric to its values by epoch.
      summary: epochs, best_epoch (from 1), seconds, parameters, and `train` and `val` metrics of the best weights;
        `finished`, whether patience ended it and not the limit on epochs.
      pretrained: what it began with, where the architecture has pretraining.
    """

    network: keras.Model
    history: dict[str, list[float]]
    summary: dict
    pretrained: Pretrained | None = None


def fit(
    architecture: Architecture,
    rules: Rules,
    train,
    val,
    callbacks=(),
    augmentation: Augmentation | None = None,
    replicas: Replicas | None = None,
    normalize: Callable[[dict[str, tf.Tensor]], tf.Tensor] | None = None,
    pretrained: Pretrained | None = None,
) -> Training:
    """Trains a network until its validation binary crossentropy stops improving, and keeps the best epoch's weights.

    The crossentropy is watched, not the loss: the loss carries the penalties.

    Args:
      architecture: what to train.
      rules: how.
      train: features, float32 [n_rows, n_inputs], normalised, and labels, float32 [n_rows, 1].
      val: the same.
      callbacks: Keras callbacks to call as well.
      augmentation: of the training rows, for an architecture with augment=true.
      replicas: who trains together; each worker calls this with rows of its own, and gets the same network.
      normalize: from 28 named float32 [n] to features, for an architecture with pretraining.
      pretrained: of an earlier training with this seed and `normalize`, whose architecture may differ in regularizers.
    """
    replicas = replicas or Replicas()
    if architecture.augment and augmentation is None:
        raise ModelError("An architecture with augment=true is trained on raw rows. Received: none. Pass augmentation.")
    if architecture.pretrain and normalize is None:
        raise ModelError("Pretraining normalises simulated rows. Received: no way to. Pass normalize.")
    n_train, n_val = (replicas.count(rows[0].shape[0]) for rows in (train, val))
    if n_train < replicas.n or rules.batch_size < replicas.n:
        received = f"{n_train:,} rows, train.batch_size = {rules.batch_size}"
        raise ModelError(f"Each of {replicas.n} devices needs a row per step. Received: {received}. Use fewer devices.")
    # Keras's History would hide behind the model; this one is ours to return.
    history = keras.callbacks.History()
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_bce", mode="min", patience=rules.patience, restore_best_weights=True
    )
    started = time.monotonic()
    with replicas.strategy.scope():
        n_inputs = train[0].shape[1]
        network = build(architecture, rules.seed, n_inputs)
        if architecture.pretrain and normalize is not None:
            pretrained = pretrained or pretrain(architecture, rules.seed, n_inputs, normalize, replicas)
            network.set_weights(pretrained.weights)
            rules = dataclasses.replace(rules, learning_rate=FINE_TUNING * rules.learning_rate)
        loop = Loop(
            network,
            _optimizer(architecture, rules, n_train),
            rules.batch_size,
            rules.seed,
            augmentation if architecture.augment else None,
            replicas,
        )
        loop.fit(train, val, rules.epochs, [history, stopping, *callbacks])
        metrics = {"train": loop.evaluate(*train), "val": loop.evaluate(*val)}
    summary = {
        "epochs": len(history.epoch),
        "best_epoch": stopping.best_epoch + 1,
        "finished": stopping.stopped_epoch > 0,
        "seconds": round(time.monotonic() - started, 3),
        "n_parameters": network.count_params(),
        "n_train": n_train,
        "n_val": n_val,
        **metrics,
        "architecture": architecture.to_dict(),
        "rules": dataclasses.asdict(rules),
        "pretraining": pretrained.record if pretrained else {},
    }
    return Training(_on_one_device(network, architecture, replicas), history.history, summary, pretrained)


def _on_one_device(network: keras.Model, architecture: Architecture, replicas: Replicas) -> keras.Model:
    """The network as one device would have made it, without the variables of several."""
    if replicas.n == 1:
        return network
    plain = build(architecture, n_inputs=network.inputs[0].shape[1])
    plain.set_weights(network.get_weights())
    return plain


def _optimizer(architecture: Architecture, rules: Rules, n_rows: int) -> keras.optimizers.Optimizer:
    steps_per_epoch = -(-n_rows // rules.batch_size)
    rate = keras.optimizers.schedules.InverseTimeDecay(
        rules.learning_rate, decay_steps=steps_per_epoch * rules.decay_epochs, decay_rate=1.0
    )
    return Adam(rate, weight_decay=architecture.weight_decay or None)


def augmentation_for(
    architecture: Architecture, patterns: list[str], transform: TransformGraph, shard: Shard = ALL
) -> Augmentation | None:
    """The augmentation of the rows in some files, for an architecture with augment=true; `shard` as in `load`."""
    return Augmentation(load_raw(patterns, transform, shard), transform) if architecture.augment else None


def run_fn(fn_args) -> None:
    """Trains and exports; called by TFX's Trainer.

    Reads `custom_config`: `name`, shown with the progress, `architecture` and `rules`, fields of `Architecture` and
    `Rules`, or in place of `rules` `baseline_rules`, fields of `BaselineRules`, and `seed`; `hyperparameters`, where
    there are any, are a point in the space around architecture and rules. Writes the SavedModel to `serving_model_dir`,
    and TensorBoard logs and `history.json` to `model_run_dir`.

    With a TF_CONFIG that names several workers, each calls this with the same arguments in a process of its own; they
    train one network, and the first of them writes. On several GPUs one process does so by itself.
    """
    replicas = Replicas(choose_strategy())
    config = fn_args.custom_config
    architecture = Architecture.from_dict(config["architecture"])
    transform = TransformGraph(fn_args.transform_output, architecture.inputs)
    shard = (replicas.n_workers, replicas.worker)
    with replicas.host_device():
        train, val = (load(files, transform, shard) for files in (fn_args.train_files, fn_args.eval_files))
    rules = _rules(config, replicas.count(train[0].shape[0]))
    if fn_args.hyperparameters:
        architecture, rules = from_hyperparameters(values_of(fn_args.hyperparameters), architecture, rules)
    with replicas.host_device():
        augmentation = augmentation_for(architecture, fn_args.train_files, transform, shard)
    callbacks = []
    if replicas.is_chief:
        callbacks = [ProgressBar(config["name"], rules), TensorBoardLogger(fn_args.model_run_dir)]
    training = fit(architecture, rules, train, val, callbacks, augmentation, replicas, transform)
    if replicas.is_chief:
        _write(training, config["name"], transform, fn_args)
    replicas.wait()  # the Trainer looks for the model as soon as this returns


def _rules(config: dict, n_rows: int) -> Rules:
    """The rules that a `custom_config` gives for so many training rows."""
    if "baseline_rules" in config:
        return BaselineRules(**config["baseline_rules"]).rules(n_rows, config["seed"])
    return Rules(**config["rules"])


def _write(training: Training, name: str, transform: TransformGraph, fn_args) -> None:
    record = {"name": name, "summary": training.summary, "history": training.history}
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    with tf.io.gfile.GFile(os.path.join(fn_args.model_run_dir, "history.json"), "w") as file:
        json.dump(record, file)
    seal(fn_args.model_run_dir)
    export(training.network, transform, fn_args.serving_model_dir)
