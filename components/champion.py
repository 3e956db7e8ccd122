"""The champion: the model that is served as stable, which no candidate that is blessed may be worse than.

It is looked for where the Pusher pushes, not in the metadata: what is served is whatever a promotion or a rollback has
made stable, and Kubeflow has no Resolver.
"""

import dataclasses
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
from tfx.utils import io_utils

from components.event_metrics import CHAMPION, CHAMPION_METRICS, METRICS, OVER_CHAMPION, ChampionMetric, EventMetric
from events.errors import ChampionError
from serving.served import Version, digest_model, stable_version
from serving.versions import check_base


def find_champion(base: str) -> Version | None:
    """The version that is served as stable, with the digest of what its folder holds now.

    Args:
      base: the folder that the versions are pushed to; empty if no champion is wanted.

    Returns:
      The version; None if nothing is served.

    Raises:
      ChampionError, VersionsError: what is served cannot be read.
    """
    if not base:
        return None
    check_base(base)
    served = stable_version(base)
    if not served:
        return None
    if not os.path.isfile(os.path.join(served.folder, "saved_model.pb")):
        raise ChampionError(
            f"The version that is served must be there. Received: version {served.number}, without a model in "
            f"{served.folder}. Put it back, promote another version, or set gate.champion=off."
        )
    return dataclasses.replace(served, digest=digest_model(served.folder))


def to_json(champion: Version | None) -> str:
    """A version, or that there is none, as text that is the same as long as the version is."""
    return json.dumps(champion and dataclasses.asdict(champion), sort_keys=True)


def from_json(text: str) -> Version | None:
    """The version of `to_json`."""
    fields = json.loads(text)
    return fields and Version(**fields)


def check_answers(champion: Version, candidate_folder: str, signatures: Iterable[str]) -> None:
    """Checks that the champion takes what the candidate takes, as both get the same rows.

    Raises:
      ChampionError: it does not.
    """
    theirs, ours = (_signatures(folder) for folder in (champion.folder, candidate_folder))
    for name in signatures:
        apart = set(ours[name].inputs) ^ set(theirs[name].inputs)
        if apart:
            raise ChampionError(
                f"The served model is compared on the features of today's. Received: version {champion.number}, whose "
                f"{name} differs: {', '.join(sorted(apart)[:3])}. Set gate.champion=off for the first of a new kind."
            )


def _signatures(folder: str):
    content = io_utils.read_bytes_file(os.path.join(folder, "saved_model.pb"))  # the candidate's may be anywhere
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def


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
