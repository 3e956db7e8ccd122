"""The rules of training, one set for every network that is to be compared with another, and those of tuning.

The baseline of a run has rules of its own: what a candidate must beat is not made easier by a training cut short.
"""

import dataclasses
import math

from events.errors import ModelError

LARGEST = 2**31 - 1  # whole number that TensorFlow and numpy take everywhere


@dataclasses.dataclass(frozen=True)
class Rules:
    """How a network is trained.

    Attributes:
      epochs: at most this many passes over the training rows.
      patience: training stops when the validation binary crossentropy has not improved for this many epochs.
      batch_size: rows per step.
      learning_rate: Adam's, at the first step.
      decay_epochs: the learning rate is halved after this many epochs: learning_rate / (1 + epoch / decay_epochs).
      seed: of initial weights, dropout and shuffling.
    """

    epochs: int = 2000
    patience: int = 50
    batch_size: int = 500
    learning_rate: float = 1e-3
    decay_epochs: float = 1000.0
    seed: int = 0

    def __post_init__(self):
        _check(
            self,
            "train",
            ("epochs", "at least 1", self.epochs >= 1),
            ("patience", "at least 1", self.patience >= 1),
            ("batch_size", "at least 1", self.batch_size >= 1),
            ("learning_rate", "above 0 and finite", 0 < self.learning_rate < math.inf),
            ("decay_epochs", "above 0", self.decay_epochs > 0),
            ("seed", "at least 0", self.seed >= 0),
        )


MAX_EPOCHS = 6_250  # of a baseline


@dataclasses.dataclass(frozen=True)
class BaselineRules:
    """How long a run's baseline is trained; all else is as `Rules` has it.

    In steps, since what a network learns goes by steps: a few rows are passed over often, and millions of them a few
    times, in the same time. Of very few rows, an epoch of one step costs more than the step: MAX_EPOCHS ends that.

    Attributes:
      steps: at most about this many, by whole epochs.
      patience: training stops when the validation binary crossentropy has not improved for this many steps.
    """

    steps: int = 100_000
    patience: int = 3_200

    def __post_init__(self):
        for name in ("steps", "patience"):
            if getattr(self, name) < 1:
                raise ModelError(
                    f"train.baseline_{name} is at least 1. Received: {getattr(self, name)}. Correct the setting."
                )

    def rules(self, n_rows: int, seed: int) -> Rules:
        """The rules for so many training rows."""
        n_steps = -(-n_rows // Rules.batch_size)  # of an epoch
        return Rules(
            epochs=min(-(-self.steps // n_steps), MAX_EPOCHS), patience=-(-self.patience // n_steps), seed=seed
        )


@dataclasses.dataclass(frozen=True)
class TuningRules:
    """How hyperparameters are looked for.

    Attributes:
      trials: at most this many networks are trained; the first is the architecture as it is configured.
      max_s: seconds after which no trial begins, and one in progress ends with its epoch.
      epochs: of a trial, at most; 0 for as many as training has.
      patience: of a trial; 0 for that of training.
      seed: of the points that are tried. The networks have the seed of training.
    """

    trials: int = 20
    max_s: float = 3600.0
    epochs: int = 0
    patience: int = 0
    seed: int = 0

    def __post_init__(self):
        _check(
            self,
            "tuner",
            ("trials", "at least 1", self.trials >= 1),
            ("max_s", "above 0", self.max_s > 0),
            ("epochs", "at least 1, or 0 for train.epochs", self.epochs >= 0),
            ("patience", "at least 1, or 0 for train.patience", self.patience >= 0),
            ("seed", "at least 0", self.seed >= 0),
        )

    def of_trials(self, rules: Rules) -> Rules:
        """The rules by which a trial is trained, where training itself has `rules`."""
        return dataclasses.replace(rules, epochs=self.epochs or rules.epochs, patience=self.patience or rules.patience)


def _check(rules: Rules | TuningRules, section: str, *checks: tuple[str, str, bool]) -> None:
    """Raises ModelError for the first field whose rule does not hold, or whose whole number is too large."""
    values = dataclasses.asdict(rules)
    sizes = [(name, f"at most {LARGEST:,}", value <= LARGEST) for name, value in values.items() if type(value) is int]
    for name, rule, holds in (*checks, *sizes):
        if not holds:
            raise ModelError(f"{section}.{name} is {rule}. Received: {values[name]}. Correct the setting.")
