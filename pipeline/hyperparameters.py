"""Tuned hyperparameters: where a run finds those of an earlier one, and what it says of its own."""

import dataclasses
import glob
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

from events.errors import ConfigError, ModelError
from events.files import whole
from events.listing import absolute
from models.architectures import Architecture
from models.rules import Rules
from models.space import ARCHITECTURE, ORIGIN, describe, values_of
from pipeline.config import Config
from pipeline.workspace import Workspace

LATEST = "latest"
TUNER, IMPORTER = "Tuner", "ImportHyperparameters"  # the nodes, of which a run has one at most,
HYPERPARAMETERS, TRIALS = "best_hyperparameters", "tuner_results"  # and their outputs,
FILE, TRIALS_FILE = "best_hyperparameters.txt", "tuner_results.json"  # each a folder with this one file


def with_hyperparameters(config: Config) -> Config:
    """The configuration with the hyperparameters that it names found, checked, and where they stay.

    Raises:
      ConfigError: there are none, or they are of another architecture.
    """
    named = config.tuner.hyperparameters
    if not named:
        return config
    workspace = Workspace(config)
    path = _newest(workspace) if named == LATEST else absolute(named)
    text = _read(path)
    base = _check(path, text)[ARCHITECTURE]
    if base != config.train.architecture:
        raise ConfigError(
            f"Hyperparameters are for the architecture they were tuned from. Received: {path}, tuned from {base}, for "
            f"{config.train.architecture}. Add --architecture {base}."
        )
    if not path.startswith(workspace.artifacts + os.sep):
        path = _keep(workspace, text)
    return dataclasses.replace(config, tuner=dataclasses.replace(config.tuner, hyperparameters=path))


def _newest(workspace: Workspace) -> str:
    import tensorflow as tf

    folder = os.path.join(workspace.artifacts, TUNER, HYPERPARAMETERS)
    files = tf.io.gfile.glob(os.path.join(glob.escape(folder), "*", FILE))
    if not files:
        raise ConfigError(
            f"The latest hyperparameters are those of an earlier run with --tune. Received: none below {folder}. "
            "Run with --tune first, or name a file."
        )
    return max(files, key=lambda path: int(path.split(os.sep)[-2]))


def _read(path: str) -> str:
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path) as file:
            return file.read()
    except (tf.errors.OpError, UnicodeDecodeError):
        raise ConfigError(
            f"Tuned hyperparameters are a file of text. Received: {path}, which cannot be read. Check the path."
        ) from None


def _check(path: str, text: str) -> dict:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, thousands of brackets
        words = str(error).partition(";")[0]
        raise ConfigError(
            f"Tuned hyperparameters are JSON. Received: {path}: {words}. Take the file that a run with --tune wrote."
        ) from None
    try:
        return values_of(values)
    except ModelError as error:
        raise ConfigError(f"{path}: {error}") from None


def _keep(workspace: Workspace, text: str) -> str:
    """A copy below the output folder, by content: what is imported can neither change nor go without notice."""
    path = os.path.join(workspace.tuning, "imported", hashlib.sha256(text.encode()).hexdigest()[:16], FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with whole(path) as file:
        file.write(text)
    return path


def report(outputs: dict, trained: dict, read_json: Callable[[str], Any]) -> dict | None:
    """The result of a run's tuning; None if the candidate was not tuned.

    Args:
      outputs: node to output key to artifact.
      trained: the candidate's training summary.
      read_json: reads a file of an artifact, wherever the artifacts are.

    Returns:
      `base`, the architecture's name; `origin` of the rows; `best`, in words; `hyperparameters`, their file; `content`,
      what it holds; `trials`, how many were finished, and the `val` binary crossentropy of `base` and `best`: None
      where an earlier run tuned.
    """
    node = next((node for node in (TUNER, IMPORTER) if node in outputs), None)
    if node is None:
        return None
    path = os.path.join(outputs[node][HYPERPARAMETERS].uri, FILE)
    values = values_of(read_json(path))
    found: dict = {"trials": None, "val": None}
    if node == TUNER:
        trials = read_json(os.path.join(outputs[TUNER][TRIALS].uri, TRIALS_FILE))
        scores = {int(trial["trial_id"]): trial["score"] for trial in trials}
        found = {"trials": len(scores), "val": {"base": scores.get(0), "best": min(scores.values())}}
    return {
        "base": values[ARCHITECTURE],
        "origin": values[ORIGIN],
        "best": describe(Architecture.from_dict(trained["architecture"]), Rules(**trained["rules"])),
        "hyperparameters": path,
        "content": read_json(path),
        **found,
    }


def sentence(tuning: dict) -> str:
    """A report in one line."""
    if tuning["trials"] is None:
        how = "by an earlier run"
    else:
        base, best = tuning["val"]["base"], tuning["val"]["best"]
        compared = f"none better than {tuning['base']}" if best == base else f"{tuning['base']} {_bce(base)}"
        how = f"{tuning['trials']} trials, val {_bce(best)}, {compared}"
    return f"Tuned on {tuning['origin']} rows: {how}; {tuning['best']}"


def _bce(value: float | None) -> str:
    return "failed" if value is None else f"{value:.4f}"
