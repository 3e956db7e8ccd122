"""What a training shows while it goes on: a bar on the terminal, lines in the log, curves in TensorBoard."""

import logging
import os
import sys

import keras
from tensorboard.summary import Writer
from tqdm import tqdm

from models.rules import Rules

LOGGER = logging.getLogger("higgs.training")


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


class Board(keras.callbacks.Callback):
    """TensorBoard's logs: each epoch's metrics and learning rate, in the folders and under the names of Keras's.

    Keras's callback starts an operation of TensorFlow for each value, slower than an epoch of a small network is.
    """

    def __init__(self, folder: str):
        super().__init__()
        self._writers = {split: Writer(os.path.join(folder, split)) for split in ("train", "validation")}

    def on_epoch_end(self, epoch, logs=None):
        """Adds a point to every curve."""
        for name, value in (logs | {"learning_rate": float(self.model.optimizer.learning_rate)}).items():
            split = "validation" if name.startswith("val_") else "train"
            self._writers[split].add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)

    def on_train_end(self, logs=None):
        """Writes what has not been written yet."""
        for writer in self._writers.values():
            writer.close()
