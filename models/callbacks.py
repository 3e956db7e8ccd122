"""What a training shows while it goes on: a bar on the terminal, lines in the log, curves in TensorBoard."""

import logging
import os
import sys
import time

import keras
from tensorboard.summary import Writer
from tqdm import tqdm

from models.rules import Rules

LOGGER = logging.getLogger("higgs.training")


class ProgressBar(keras.callbacks.Callback):
    """Epochs so far and the time left, on standard output; every epoch goes to the log as well.

    Nobody knows when patience will end a training. What is told is the time until then if `val` does not improve any
    more, and until the limit on epochs.
    """

    FORMAT = "{desc}: {n_fmt} epochs in {elapsed}{postfix}"

    def __init__(self, name: str, rules: Rules):
        super().__init__()
        self._name, self._rules = name, rules
        self._bar = tqdm(
            desc=name,
            file=sys.stdout,
            mininterval=0.5 if sys.stdout.isatty() else 10.0,
            dynamic_ncols=True,
            bar_format=self.FORMAT,
        )
        self._best, self._best_epoch = float("inf"), 0

    def on_epoch_end(self, epoch, logs=None):
        """Counts an epoch."""
        if logs["val_bce"] < self._best:
            self._best, self._best_epoch = logs["val_bce"], epoch
        seconds = (time.time() - self._bar.start_t) / (epoch + 1)
        latest = self._rules.epochs - epoch - 1
        earliest = min(self._best_epoch + self._rules.patience - epoch, latest)
        left = " to ".join(tqdm.format_interval(n_epochs * seconds) for n_epochs in sorted({earliest, latest}))
        self._bar.set_postfix_str(f"val {logs['val_bce']:.4f}, best {self._best:.4f}, left {left}", refresh=False)
        self._bar.update()
        values = " ".join(f"{name} {value:.5f}" for name, value in logs.items())
        LOGGER.debug("%s epoch %d: %s", self._name, epoch + 1, values)

    def on_train_end(self, logs=None):
        """Leaves the line as it is, without a time left."""
        self._bar.set_postfix_str(f"best val {self._best:.4f} in epoch {self._best_epoch + 1}", refresh=False)
        self._bar.close()


class TensorBoardLogger(keras.callbacks.Callback):
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
