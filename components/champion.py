"""The champion: the model that is served as stable, which no candidate that is blessed may be worse than.

It is looked for where the Pusher pushes, not in the metadata: what is served is whatever a promotion or a rollback has
made stable, and Kubeflow has no Resolver.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable

from google.protobuf import wrappers_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_model_analysis.proto.config_pb2 import (
    EvalConfig,
    GenericValueThreshold,
    MetricConfig,
    MetricsSpec,
    MetricThreshold,
    SlicingSpec,
)
from tfx.dsl.io import fileio

from components.errors import ChampionError
from components.metrics import CHAMPION, CHAMPION_METRICS, METRICS, OVER_CHAMPION, ChampionMetric, EventMetric
from components.served import stable_version

BESIDE_THE_MODEL = "assets.extra"  # in a SavedModel's folder, what does not decide its answers
BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Champion:
    """A served version.

    Attributes:
      version: its number.
      folder: of its SavedModel.
      digest: SHA-256 of what decides its answers.
    """

    version: int
    folder: str
    digest: str

    def to_json(self) -> str:
        """The fields as text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Champion":
        """The champion of `to_json`."""
        return cls(**json.loads(text))


def find_champion(base: str) -> Champion | None:
    """The version that is served as stable.

    Args:
      base: the folder that the versions are pushed to; empty if no champion is wanted.

    Returns:
      The version; None if nothing is served.

    Raises:
      ChampionError: what is served cannot be read.
    """
    if "://" in base:
        raise ChampionError(
            f"The served model is read from a folder. Received: {base}. Mount it, or set gate.champion=off."
        )
    served = stable_version(base) if base else None
    if not served:
        return None
    if not os.path.isfile(os.path.join(served.folder, "saved_model.pb")):
        raise ChampionError(
            f"The version that is served must be there. Received: version {served.number}, without a model in "
            f"{served.folder}. Put it back, promote another version, or set gate.champion=off."
        )
    return Champion(served.number, served.folder, content_digest(served.folder))


def content_digest(folder: str) -> str:
    """SHA-256 of a SavedModel's files, their names included, but for warm-up requests and notes."""
    paths = sorted(
        os.path.relpath(os.path.join(parent, name), folder) for parent, _, names in os.walk(folder) for name in names
    )
    digest = hashlib.sha256()
    for path in paths:
        if path.split(os.sep)[0] == BESIDE_THE_MODEL:
            continue
        digest.update(f"{path}\0{os.path.getsize(os.path.join(folder, path))}\0".encode())
        with open(os.path.join(folder, path), "rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def check_answers(champion: Champion, candidate_folder: str, signatures: Iterable[str]) -> None:
    """Checks that the champion takes what the candidate takes, as both get the same rows.

    Raises:
      ChampionError: it does not.
    """
    theirs, ours = (_signatures(folder) for folder in (champion.folder, candidate_folder))
    for name in signatures:
        apart = set(ours[name].inputs) ^ set(theirs[name].inputs)
        if apart:
            raise ChampionError(
                f"The served model is compared on the features of today's. Received: version {champion.version}, whose "
                f"{name} differs: {', '.join(sorted(apart)[:3])}. Set gate.champion=off for the first of a new kind."
            )


def _signatures(folder: str):
    model = saved_model_pb2.SavedModel()
    with fileio.open(os.path.join(folder, "saved_model.pb"), "rb") as file:  # the candidate's may be anywhere
        model.ParseFromString(file.read())
    return model.meta_graphs[0].signature_def


def with_champion(config: EvalConfig, max_regression: float) -> EvalConfig:
    """An evaluation of candidate and baseline with the champion as a third model.

    Args:
      config: with the names of candidate and baseline filled in.
      max_regression: nats of binary crossentropy by which the candidate may be worse than the champion.
    """
    [theirs] = [spec for spec in config.model_specs if not spec.is_baseline]
    settings = json.loads(config.metrics_specs[0].metrics[0].config)
    config = EvalConfig.FromString(config.SerializeToString())
    served = config.model_specs.add()
    served.CopyFrom(theirs)
    served.name = CHAMPION
    at_most = GenericValueThreshold(upper_bound=wrappers_pb2.DoubleValue(value=max_regression))
    for kind, names, model in ((EventMetric, METRICS, CHAMPION), (ChampionMetric, CHAMPION_METRICS, theirs.name)):
        metrics = [
            MetricConfig(
                class_name=kind.__name__, module=kind.__module__, config=json.dumps({**settings, "name": name})
            )
            for name in names
        ]
        for metric, name in zip(metrics, names, strict=True):
            if name == OVER_CHAMPION:
                limit = metric.per_slice_thresholds.add(slicing_specs=[SlicingSpec()])
                limit.threshold.CopyFrom(MetricThreshold(value_threshold=at_most))
        config.metrics_specs.append(MetricsSpec(metrics=metrics, model_names=[model]))
    return config
