"""One frozen, validated configuration, resolved once and written beside every result.

    higgs run --data HIGGS.csv.gz --set train.batch_size=1024 --set gate.min_improvement=0.001

Presets are functions that return a `Config`; `override` applies `key=value` texts to one.
"""

import dataclasses
import difflib
import json
import math
import re
import typing
from collections.abc import Iterable

from events.errors import ConfigError
from events.splits import RowRange
from models.rules import BaselineRules, Rules, TuningRules
from pipeline.database import Database
from pipeline.names import check_name
from pipeline.runners import RUNNERS
from serving.versions import AUTOMATIC, MANUAL, N_KEPT

BAD_ROWS = ("stop", "quarantine")
ORIGINS = ("real", "simulated")
MAX_WEIGHT = 1_000_000  # of a split: far below the 32 bits of the hash that rows are divided by


def require(condition: bool, key: str, rule: str, received: object) -> None:
    """Raises ConfigError unless the condition holds."""
    if not condition:
        raise ConfigError(f"{key} {rule}. Received: {received!r}. Correct it with --set {key}=VALUE.")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the rows come from and how they are divided.

    Attributes:
      path: a file, a folder or a glob of .csv and .csv.gz files.
      origin: `real` or `simulated`; every output says which.
      bad_rows: `stop` at the first bad row, or `quarantine` bad rows and go on.
      train, val, eval: weights of the splits by row hash. `val` stops training early, `eval` is for the gate alone.
      val_rows, eval_rows: rows by position instead, as START:STOP; `:1000` the first thousand, `-500000:` the last.
    """

    path: str = ""
    origin: str = "real"
    bad_rows: str = "stop"
    train: int = 8
    val: int = 1
    eval: int = 1
    val_rows: str = ""
    eval_rows: str = ""

    def __post_init__(self):
        require(self.bad_rows in BAD_ROWS, "data.bad_rows", f"is one of {', '.join(BAD_ROWS)}", self.bad_rows)
        require(self.origin in ORIGINS, "data.origin", f"is one of {', '.join(ORIGINS)}", self.origin)
        for name in ("train", "val", "eval"):
            weight = getattr(self, name)
            require(weight >= 1, f"data.{name}", "is a weight of at least 1", weight)
            require(weight <= MAX_WEIGHT, f"data.{name}", f"is a weight of at most {MAX_WEIGHT:,}", weight)
        for text in self.row_ranges.values():
            RowRange.parse(text)

    @property
    def weights(self) -> dict[str, int]:
        """Split name to weight, in order."""
        return {"train": self.train, "val": self.val, "eval": self.eval}

    @property
    def row_ranges(self) -> dict[str, str]:
        """Split name to row range, for the splits that have one."""
        ranges = {"eval": self.eval_rows, "val": self.val_rows}
        return {name: text for name, text in ranges.items() if text}


@dataclasses.dataclass(frozen=True)
class TrainConfig(Rules):
    """What is trained, and by which rules; a run's baseline by rules of its own, a study's by those of all others.

    Attributes:
      architecture: the candidate's name in `models.architectures`.
      baseline: the name of the network that the candidate must beat.
      baseline_steps: of training in a run, at most.
      baseline_patience: steps without an improvement on `val` after which the baseline's training stops.
    """

    architecture: str = "combined"
    baseline: str = "tiny"
    baseline_steps: int = BaselineRules.steps
    baseline_patience: int = BaselineRules.patience

    def __post_init__(self):
        super().__post_init__()
        BaselineRules(**self.baseline_rules)

    @property
    def rules(self) -> dict:
        """The fields of `Rules`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Rules)}

    @property
    def baseline_rules(self) -> dict:
        """The fields of `BaselineRules`."""
        return {"steps": self.baseline_steps, "patience": self.baseline_patience}


@dataclasses.dataclass(frozen=True)
class TunerConfig(TuningRules):
    """Whether the candidate is tuned, or trained with what an earlier run has found.

    Attributes:
      enabled: whether to look for hyperparameters.
      hyperparameters: a file that an earlier run has written, or `latest` for the newest one below `output`.
    """

    enabled: bool = False
    hyperparameters: str = ""

    def __post_init__(self):
        super().__post_init__()
        if self.enabled and self.hyperparameters:
            raise ConfigError(
                "A run looks for hyperparameters or takes them from an earlier run. "
                f"Received: both, --tune and {self.hyperparameters}. Leave one out."
            )

    @property
    def rules(self) -> dict:
        """The fields of `TuningRules`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(TuningRules)}


@dataclasses.dataclass(frozen=True)
class GateConfig:
    """When a candidate is blessed.

    Attributes:
      min_improvement: nats by which its binary crossentropy on `eval` must lie below the baseline's. 0 for any
        improvement at all; a tie is none.
      confidence: of the two-sided interval of the difference to the baseline, paired over events, that must lie below
        -min_improvement as a whole, and of the candidate's gain over the best constant. 0 to go by the difference only.
      champion: whether the candidate must not be worse than the model that is served as stable, if there is one.
      max_regression: nats by which it may be worse on `eval`.
    """

    min_improvement: float = 0.0
    confidence: float = 0.0
    champion: bool = True
    max_regression: float = 0.0

    def __post_init__(self):
        require(self.min_improvement >= 0, "gate.min_improvement", "is at least 0", self.min_improvement)
        require(0 <= self.confidence < 1, "gate.confidence", "is at least 0 and below 1", self.confidence)
        require(self.max_regression >= 0, "gate.max_regression", "is at least 0", self.max_regression)


@dataclasses.dataclass(frozen=True)
class ServingConfig:
    """What becomes of a blessed model.

    Attributes:
      promote: `automatic`, and it is stable once pushed, or `manual`: a canary until `higgs serving promote`.
      keep: how many versions stay on the disk; the stable one and the one before always do.
      url: of TF Serving's REST interface, http://host:8501, which is queried after a push: a version that it cannot
        load is taken back. Empty for no query.
    """

    promote: str = AUTOMATIC
    keep: int = N_KEPT
    url: str = ""

    def __post_init__(self):
        ways = (AUTOMATIC, MANUAL)
        require(self.promote in ways, "serving.promote", f"is one of {', '.join(ways)}", self.promote)
        require(self.keep >= 2, "serving.keep", "is at least 2: the stable version and the one before", self.keep)
        address = re.fullmatch(r"(https?://[^/\s]+/?)?", self.url)
        require(bool(address), "serving.url", "is http://host:port, or empty", self.url)


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What the report of a run supposes of an experiment; the rows do not tell how rare signal is.

    Attributes:
      signal_events, background_events: expected at the luminosity, before any cut on the probability.
      background_uncertainty: one standard deviation of the expected background, as a fraction of it.
    """

    signal_events: float = 100.0
    background_events: float = 1000.0
    background_uncertainty: float = 0.1

    def __post_init__(self):
        for name in ("signal_events", "background_events"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"report.{name}", "is a number of events above 0", value)
        uncertainty = self.background_uncertainty
        require(0 <= uncertainty < math.inf, "report.background_uncertainty", "is a fraction, at least 0", uncertainty)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run.

    Attributes:
      output: the folder for artifacts, metadata, logs, results and served models, on this machine.
      artifacts: the folder for what stages hand on to each other, wherever Beam's workers reach it; empty for one below
        `output`.
      name: of the pipeline, and of the model below `output/serving`.
      metadata: empty for SQLite below `output`, or mysql://user:password@host:port/database.
      runner: Beam's, a name in `pipeline.runners`.
      beam_args: further options for Beam, `--name=value` each.
      cache: whether unchanged stages are taken from earlier runs.
      keep: how many runs, the newest, keep what their stages made, see `pipeline.retention`; 0 for all.
    """

    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    tuner: TunerConfig = TunerConfig()
    gate: GateConfig = GateConfig()
    serving: ServingConfig = ServingConfig()
    report: ReportConfig = ReportConfig()
    output: str = "runs"
    artifacts: str = ""
    name: str = "higgs"
    metadata: str = ""
    runner: str = "direct"
    beam_args: tuple[str, ...] = ()
    cache: bool = True
    keep: int = 0

    def __post_init__(self):
        check_name(self.name, "--set name=NAME")
        require(bool(self.output), "output", "is the path of a folder", self.output)
        if self.metadata:
            Database.parse(self.metadata)
        require(self.keep >= 0, "keep", "is a number of runs, or 0 for all", self.keep)
        require(self.runner.lower() in RUNNERS, "runner", f"is one of {', '.join(RUNNERS)}", self.runner)

    def to_json(self) -> str:
        """The configuration as text, without the password of a metadata URL."""
        fields = dataclasses.asdict(self)
        scheme, separator, rest = self.metadata.rpartition("@")
        if separator:
            user = scheme.split("//")[-1].split(":")[0]
            fields["metadata"] = f"mysql://{user}@{rest}"
        return json.dumps(fields, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """The configuration of `to_json`, likewise without a password."""
        fields, kinds = json.loads(text), typing.get_type_hints(cls)
        fields |= {name: kinds[name](**fields.get(name, {})) for name in kinds if dataclasses.is_dataclass(kinds[name])}
        return cls(**{**fields, "beam_args": tuple(fields["beam_args"])})


def override(config: Config, settings: Iterable[str]) -> Config:
    """Applies `section.key=value` texts in order.

    Raises:
      ConfigError: no such key, or a value of another type.
    """
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise ConfigError(f"A setting is KEY=VALUE. Received: {setting!r}. Write for example train.epochs=50.")
        config = _replace(config, key.strip().split("."), text.strip(), key.strip())
    return config


def keys(section: object = Config, prefix: str = "") -> list[str]:
    """Every key that `override` knows."""
    names = []
    for name, kind in typing.get_type_hints(section).items():
        names += keys(kind, f"{prefix}{name}.") if dataclasses.is_dataclass(kind) else [prefix + name]
    return names


def _closest(key: str) -> str | None:
    """The key that was meant: the most like it, with or without its section, and the first of several."""

    def likeness(known: str) -> float:
        texts = known, known.rpartition(".")[2]
        return max(difflib.SequenceMatcher(None, key, text).ratio() for text in texts)

    closest = max(keys(), key=likeness)
    return closest if likeness(closest) >= 0.5 else None


def _replace(section, path: list[str], text: str, key: str):
    name, *rest = path
    kind = typing.get_type_hints(type(section)).get(name)
    nested = dataclasses.is_dataclass(kind)
    if kind is None or nested != bool(rest):
        close = _closest(key)
        remedy = f"Did you mean {close}?" if close else f"Use one of {', '.join(keys())}."
        raise ConfigError(f"There is no setting of this name. Received: {key!r}. {remedy}")
    new = _replace(getattr(section, name), rest, text, key) if nested else _convert(text, kind, key)
    return dataclasses.replace(section, **{name: new})


def _convert(text: str, kind: type, key: str):
    if kind is bool:
        words = {"true": True, "on": True, "false": False, "off": False}
        require(text.lower() in words, key, "is true or false", text)
        return words[text.lower()]
    if typing.get_origin(kind) is tuple:
        return tuple(text.split())
    try:
        return kind(text)
    except ValueError:
        name = {int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"{key} is {name}. Received: {text!r}. Correct it with --set {key}=VALUE.") from None
