"""Tuning: which network does best on `val`. `Tuner` for arrays, `tuner_fn` for TFX's Tuner.

KerasTuner's Bayesian optimisation proposes, this project's own training trains. Only `train` and `val` are read: with a
choice made on `eval`, the gate would no longer measure on rows that nothing was fitted to.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import time

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine import base_tuner

from events.errors import ModelError
from models.architectures import Architecture
from models.inputs import load
from models.rules import Rules, TuningRules
from models.space import describe, from_hyperparameters, space
from models.training import ProgressBar, augmentation_for, fit
from models.transform_graph import TransformGraph

LOGGER = logging.getLogger("higgs.tuning")

OBJECTIVE = "val_bce"
FIRST_POINTS = 7  # the base and six points by chance; from then on by what was learned from them
BOUNDS = ("trials", "max_s")  # a search with more of these goes on where one with less ended


class Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation that begins with the base, and can be told that there is no time left.

    Attributes:
      stopped: whether no further trial begins.
    """

    def __init__(self, hyperparameters, trials: int, seed: int):
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            max_trials=trials,
            num_initial_points=FIRST_POINTS,
            seed=seed + 1,  # 0 would mean any
            hyperparameters=hyperparameters,
            max_consecutive_failed_trials=trials + 1,
        )
        self.verbose = 0
        self.stopped = False

    def populate_space(self, trial_id: str) -> dict:
        """The next point; see KerasTuner."""
        if self.stopped:
            return {"status": "STOPPED"}
        if not self.trials:
            return {"status": "RUNNING", "values": dict(self.get_space().values)}
        # By trial, so that a search that was interrupted proposes what it would have proposed.
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        proposal = super().populate_space(trial_id)
        tried = (trial.hyperparameters.values for trial in self.trials.values())
        return self._random_populate_space() if proposal["values"] in tried else proposal

    def reload(self) -> None:
        """Takes over the trials of an earlier search, as far as there would be as many in this one."""
        super().reload()
        # In order, on which the last digits of a proposal depend.
        numbers = sorted((int(trial_id), trial_id) for trial_id in self.trials)
        kept = [trial_id for number, trial_id in numbers if number < self.max_trials]
        self.trials: dict = {trial_id: self.trials[trial_id] for trial_id in kept}
        for name in ("start_order", "end_order", "_retry_queue"):
            setattr(self, name, [trial_id for trial_id in getattr(self, name) if trial_id in self.trials])


class Tuner(base_tuner.BaseTuner):
    """Trains one network per trial; `search(train=..., val=...)` begins, or goes on with the trials in its folder."""

    def __init__(self, oracle: Oracle, architecture: Architecture, rules: Rules, max_s: float, folder: str, **settings):
        """Prepares a search.

        Args:
          oracle: what proposes points.
          architecture: the base.
          rules: of every trial but for the learning rate.
          max_s: seconds for all trials, those of interrupted searches included.
          folder: keeps the trials.
          **settings: KerasTuner's `overwrite`.
        """
        self._architecture, self._rules, self._max_s = architecture, rules, max_s
        self._spent_s = 0.0
        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner prints that it goes on; so do we
            directory, name = os.path.split(folder)
            super().__init__(oracle=oracle, directory=directory, project_name=name, **settings)

    def get_state(self) -> dict:
        """What a search that goes on needs to know beside the trials."""
        return {"spent_s": self._spent_s}

    def set_state(self, state: dict) -> None:
        """Takes over what `get_state` gave."""
        self._spent_s = state["spent_s"]

    def on_search_begin(self) -> None:
        """Says what is done already."""
        if self.oracle.end_order:
            LOGGER.info("Tuning goes on after %d finished trials.", len(self.oracle.end_order))

    def pre_create_trial(self) -> None:
        """Lets no trial but the first begin when the time is up."""
        self.oracle.stopped = bool(self.oracle.trials) and self._spent_s >= self._max_s

    def run_trial(self, trial, train, val, **inputs) -> dict[str, float]:
        """Trains a trial's network; its score is the binary crossentropy on `val` of its best epoch.

        Args:
          trial: KerasTuner's.
          train: features, float32 [n_rows, 28], normalised, and labels, float32 [n_rows, 1].
          val: the same.
          **inputs: what else `fit` takes.
        """
        architecture, rules = from_hyperparameters(trial.hyperparameters.values, self._architecture, self._rules)
        name = f"trial {int(trial.trial_id) + 1} of {self.oracle.max_trials}"
        LOGGER.info("%s: %s", name, describe(architecture, rules))
        started = time.monotonic()
        callbacks = [ProgressBar(name, rules), _Deadline(started + self._max_s - self._spent_s)]
        try:
            training = fit(architecture, rules, train, val, callbacks, **inputs)
        except ModelError as error:
            LOGGER.warning("%s failed. %s", name, error)
            raise keras_tuner.errors.FailedTrialError(str(error)) from None
        except Exception as error:  # KerasTuner would take a bug for a bad point, and go on
            raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            self._spent_s += time.monotonic() - started
        return {OBJECTIVE: training.summary["val"]["bce"]}

    def on_trial_end(self, trial) -> None:
        """Keeps the trial, and says how it stands."""
        super().on_trial_end(trial)
        best, score = self.oracle.get_best_trials(1)[0], self.oracle.trials[trial.trial_id].score
        if score is not None:
            LOGGER.info("val %.4f, best so far %.4f in trial %d.", score, best.score, int(best.trial_id) + 1)

    def on_search_end(self) -> None:
        """Says why there were fewer trials than `tuner.trials`.

        Raises:
          ModelError: no trial gave a network.
        """
        n_trials = len(self.oracle.end_order)
        if self.oracle.stopped and n_trials < self.oracle.max_trials:
            LOGGER.info(
                "Tuning ends after %d of %d trials: tuner.max_s = %g is over.",
                n_trials,
                self.oracle.max_trials,
                self._max_s,
            )
        if not any(trial.status == "COMPLETED" for trial in self.oracle.trials.values()):
            raise ModelError(
                f"Tuning needs a trial that trains. Received: {n_trials} that failed. Lower train.learning_rate."
            )

    def search_space_summary(self, extended: bool = False) -> None:
        """Nothing: TFX would have the space printed."""

    def results_summary(self, num_trials: int = 10) -> None:
        """Nothing: TFX would have the ten best trials printed; they are in its artifact."""


class _Deadline(keras.callbacks.Callback):
    """Ends training with the epoch in which its time is up."""

    def __init__(self, at_s: float):
        super().__init__()
        self._at_s = at_s

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() >= self._at_s:
            self.model.stop_training = True


def make_tuner(
    architecture: Architecture, rules: Rules, tuning: TuningRules, folder: str, name: str, origin: str
) -> Tuner:
    """A search around an architecture.

    Args:
      architecture: the base, trained in the first trial.
      rules: of training; `tuning` may shorten them for the trials.
      tuning: how long to look, and where to begin.
      folder: of this search; it goes on with the trials that are there.
      name: of the base's architecture.
      origin: of the rows, `real` or `simulated`.
    """

    def make(**settings) -> Tuner:
        oracle = Oracle(space(architecture, rules, name, origin), tuning.trials, tuning.seed)
        return Tuner(oracle, architecture, tuning.of_trials(rules), tuning.max_s, folder, **settings)

    try:
        return make()
    except (ValueError, KeyError, RuntimeError) as error:  # KerasTuner was killed while it wrote
        LOGGER.warning("Tuning begins anew: %s cannot be read (%s).", folder, error)
        return make(overwrite=True)


def tuner_fn(fn_args):
    """Prepares the search; called by TFX's Tuner.

    Reads `custom_config`: `name`, `architecture`, `rules` and `origin` of what is tuned, `tuning`, fields of
    `TuningRules`, and `folder`, which keeps searches that were interrupted.

    Returns:
      tfx.components.TunerFnResult.
    """
    from tfx.components.tuner.component import TunerFnResult

    config = fn_args.custom_config
    architecture = Architecture.from_dict(config["architecture"])
    transform = TransformGraph(fn_args.transform_graph_path, architecture.inputs)
    train, val = load(fn_args.train_files, transform), load(fn_args.eval_files, transform)
    augmentation = augmentation_for(architecture, fn_args.train_files, transform)
    tuner = make_tuner(
        architecture,
        Rules(**config["rules"]),
        TuningRules(**config["tuning"]),
        os.path.join(config["folder"], _key(fn_args, *train, *val)),
        config["name"],
        config["origin"],
    )
    return TunerFnResult(
        tuner=tuner, fit_kwargs={"train": train, "val": val, "augmentation": augmentation, "normalize": transform}
    )


def _key(fn_args, *arrays) -> str:
    """A digest of all that decides what a trial gives: settings, code and rows, but not how many trials there are."""
    config = dict(fn_args.custom_config)
    config["tuning"] = {name: value for name, value in config["tuning"].items() if name not in BOUNDS}
    # The files' places as well: rows that were made anew, as --no-cache makes them, are searched anew.
    digest = hashlib.blake2b(json.dumps([config, fn_args.train_files], sort_keys=True).encode(), digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
