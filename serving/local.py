"""The SavedModel itself, without a server."""

import os

import numpy as np
import tensorflow as tf

from events.errors import ServingError
from events.higgs.columns import FEATURES
from events.listing import absolute
from events.seals import IN_MODEL, find_fault
from serving import served
from serving.request import OUTPUT, SIGNATURE, Model


class LocalScorer:
    """Scores events with a SavedModel in this process; may be called from many threads."""

    def __init__(self, folder: str, model: Model):
        """Loads the model.

        Args:
          folder: of one SavedModel, or of versions of one, as `higgs run` pushes them.
          model: which version of the latter.

        Raises:
          ServingError: there is no such model, or it serves something else.
        """
        self.server = find(folder, model)
        if fault := find_fault(self.server, IN_MODEL):
            raise ServingError(f"A served model must be as it was pushed. Received: {fault}. Name another version.")
        try:
            loaded = tf.saved_model.load(self.server)
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ServingError(f"A SavedModel must load. Received: {self.server}: {reason}. Name another.") from None
        if SIGNATURE not in loaded.signatures:
            received = f"{', '.join(loaded.signatures) or 'none'} in {self.server}"
            raise ServingError(f"A model's signatures include {SIGNATURE}. Received: {received}. Name another.")
        self._loaded = loaded  # whose variables live only as long as it does
        self._score = loaded.signatures[SIGNATURE]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The probabilities of n events, from float32 [28, n]."""
        columns = zip(FEATURES, features, strict=True)
        try:
            return self._score(**{name: tf.constant(column) for name, column in columns})[OUTPUT].numpy()
        except (KeyError, TypeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ServingError(
                f"A model takes 28 features. Received: {reason} from {self.server}. Name another."
            ) from None

    def close(self) -> None:
        """Nothing to close."""


def find(folder: str, model: Model) -> str:
    """The folder of the SavedModel that is meant.

    Raises:
      ServingError: there is none.
    """
    is_model = tf.io.gfile.exists(os.path.join(folder, "saved_model.pb"))
    if is_model and not model.version and not model.canary:
        return folder
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.isdir(folder) else []
    there = sorted(int(name) for name in names if name.isdecimal())
    chosen = model.version or _named(folder, model.canary) or max(there, default=0)
    if is_model or chosen not in there:
        wanted = model.version or ("the canary" if model.canary else "any version")
        held = ", ".join(map(str, there)) or "none"
        raise ServingError(
            f"A model's folder holds the version that is wanted. Received: {wanted} in {folder}, which holds {held}. "
            "Push one with `higgs run`, or name another with --model-dir."
        )
    return os.path.join(folder, str(chosen))


def _named(folder: str, canary: bool) -> int:
    """The version that a server would ask; 0 where no history says what is stable."""
    state = served.read(absolute(folder))
    return (canary and state.canary) or state.stable
