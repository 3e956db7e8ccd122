"""The verdict: whether a candidate is blessed, and why, in numbers and in one sentence.

TFMA's thresholds decide, once. Here the decision is put into words; it is kept with the blessing, where table, report
and model card read it.
"""

import dataclasses
import json
import math

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from components.event_metrics import (
    BCE,
    CHAMPION,
    NO_SKILL,
    OVER_CHAMPION,
    OVER_CHAMPION_LOWER,
    OVER_CHAMPION_UPPER,
    PAIRED_LOWER,
    PAIRED_UPPER,
)
from serving.served import Version

DIFFERENCE, LOWER, UPPER = (f"{name}_diff" for name in (BCE, PAIRED_LOWER, PAIRED_UPPER))  # as TFMA names them
# TFMA passes a difference that equals its bound, so a bound of 0 would bless a tie. Losses near 1 are stored to 1e-16.
SMALLEST_IMPROVEMENT = 1e-12
SHOWN_CONFIDENCE = 0.95  # of intervals, where the gate has no confidence of its own
VERDICT_PROPERTY = "verdict"  # of the blessing artifact


@dataclasses.dataclass(frozen=True)
class AgainstChampion(Version):
    """How the candidate compares with the served version.

    Attributes:
      bce: the served version's binary crossentropy on the eval split, in nats.
      difference: candidate minus served version.
      interval: of the difference, paired over events.
      may_know_eval: whether it may have been trained on rows that are in eval today, as splits are not by hash.
    """

    bce: float = math.nan
    difference: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    may_know_eval: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The gate's decision.

    Attributes:
      blessed: whether every threshold was met.
      reason: why, in one sentence.
      candidate, baseline: binary crossentropies on the eval split, in nats.
      difference: candidate minus baseline.
      interval: of the difference, paired over events, at `confidence`.
      confidence: the gate's, or SHOWN_CONFIDENCE where it has none.
      within_noise: whether the interval holds 0.
      champion: the comparison with the served version; None if there was none, or none was wanted.
    """

    blessed: bool
    reason: str
    candidate: float
    baseline: float
    difference: float
    interval: tuple[float, float]
    confidence: float
    within_noise: bool
    champion: AgainstChampion | None = None

    def to_json(self) -> str:
        """The verdict as text, in which NaN, and a champion that there is not, are null."""
        return json.dumps(without_nan(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """The verdict of `to_json`."""
        fields = json.loads(text)
        champion = fields.pop("champion")
        fields, champion = (_replace(tree, lambda value: value is None, math.nan) for tree in (fields, champion or {}))
        for tree in filter(None, (fields, champion)):
            tree["interval"] = tuple(tree["interval"])
        return cls(**fields, champion=AgainstChampion(**champion) if champion else None)


def without_nan(tree):
    """The same nested dicts and lists with None for each NaN, for which JSON has no word."""
    return _replace(tree, lambda value: value != value, None)


def _replace(tree, holds, value):
    """The same nested dicts and lists with a value in place of each leaf for which the condition holds."""
    if isinstance(tree, dict):
        return {key: _replace(branch, holds, value) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_replace(branch, holds, value) for branch in tree]
    return value if holds(tree) else tree


@dataclasses.dataclass(frozen=True)
class Limits:
    """The gate's settings, see `pipeline.config.GateConfig`.

    Attributes:
      min_improvement, confidence: as there.
      max_regression: as there; 0 without a champion.
    """

    min_improvement: float
    confidence: float
    max_regression: float = 0.0

    @classmethod
    def of(cls, config: EvalConfig) -> "Limits":
        """Reads the thresholds of an evaluation."""
        thresholds, settings = {}, {}
        for metric in (metric for spec in config.metrics_specs for metric in spec.metrics):
            fields = json.loads(metric.config)
            settings[fields["name"]] = fields
            for limit in metric.per_slice_thresholds:
                thresholds[fields["name"]] = limit.threshold
        improvement = -thresholds[BCE].change_threshold.absolute.value
        return cls(
            0.0 if improvement <= SMALLEST_IMPROVEMENT else improvement,
            settings[NO_SKILL]["confidence"] if NO_SKILL in thresholds else 0.0,
            thresholds[OVER_CHAMPION].value_threshold.upper_bound.value if OVER_CHAMPION in thresholds else 0.0,
        )


def read_verdict(uri: str, config: EvalConfig, champion: Version | None, may_know_eval: bool) -> Verdict:
    """Puts what TFMA measured and decided into a verdict.

    Args:
      uri: the folder of TFMA's files.
      config: of the evaluation, names filled in.
      champion: the served version, if it was evaluated.
      may_know_eval: see `AgainstChampion`.
    """
    names = {spec.is_baseline: spec.name for spec in config.model_specs if spec.name != CHAMPION}
    models = {"candidate": names[False], "baseline": names[True]} | ({CHAMPION: CHAMPION} if champion else {})
    measured = {model: _overall(uri, name) for model, name in models.items()}
    result = tfma.load_validation_result(uri)
    failed = {failure.metric_key.name for part in result.metric_validations_per_slice for failure in part.failures}
    return explain(result.validation_ok, failed, measured, Limits.of(config), champion, may_know_eval)


def _overall(uri: str, model: str) -> dict[str, float]:
    """Metric to its value over all rows."""
    metrics = dict(tfma.load_eval_result(uri, model_name=model).slicing_metrics)[()][""][""]
    return {name: float(value["doubleValue"]) for name, value in metrics.items() if "doubleValue" in value}


def explain(
    blessed: bool,
    failed: set[str],
    measured: dict[str, dict[str, float]],
    limits: Limits,
    champion: Version | None = None,
    may_know_eval: bool = False,
) -> Verdict:
    """Puts a decision into words.

    Args:
      blessed: whether every threshold was met.
      failed: the metrics whose thresholds were not.
      measured: `candidate`, `baseline` and, if there is one, `champion` to metric to value, over all rows.
      limits: the gate's settings.
      champion, may_know_eval: see `read_verdict`.
    """
    candidate, baseline = measured["candidate"], measured["baseline"]
    interval = candidate[LOWER], candidate[UPPER]
    within_noise = not (interval[1] < 0 or interval[0] > 0)
    confidence = limits.confidence or SHOWN_CONFIDENCE
    against = None
    reasons = [_about_baseline(failed, candidate, candidate[BCE] - baseline[BCE], within_noise, limits)]
    if champion:
        against = AgainstChampion(
            **dataclasses.asdict(champion),
            bce=measured[CHAMPION][BCE],
            difference=candidate[OVER_CHAMPION],
            interval=(candidate[OVER_CHAMPION_LOWER], candidate[OVER_CHAMPION_UPPER]),
            may_know_eval=may_know_eval,
        )
        reasons.append(_about_champion(against, limits.max_regression))
    return Verdict(
        blessed=blessed,
        reason="; ".join(reasons) + ".",
        candidate=candidate[BCE],
        baseline=baseline[BCE],
        difference=candidate[BCE] - baseline[BCE],
        interval=interval,
        confidence=confidence,
        within_noise=within_noise,
        champion=against,
    )


def _about_baseline(
    failed: set[str], candidate: dict[str, float], difference: float, within_noise: bool, limits: Limits
) -> str:
    required = f"at least {limits.min_improvement:g}" if limits.min_improvement else "any improvement"
    better = f"better than the baseline by {_nats(difference)}"
    if math.isnan(difference):
        return "a binary crossentropy is not a number, so nothing shows an improvement"
    if BCE in failed:
        if abs(difference) < SMALLEST_IMPROVEMENT:
            return "a tie with the baseline is no improvement"
        if difference > 0:
            return f"worse than the baseline by {_nats(difference)}"
        return f"{better} only, where {required} is required"
    if PAIRED_UPPER in failed:
        noise = "within the noise" if within_noise else f"not surely by {limits.min_improvement:g}"
        return f"{better}, but {noise}"
    if NO_SKILL in failed:
        return f"not better than a constant beyond the noise: {candidate[NO_SKILL]:+.4f} nats at most"
    if within_noise:
        return (
            f"{better}, which is within the noise: the {SHOWN_CONFIDENCE:.0%} interval holds 0, and "
            f"gate.confidence={SHOWN_CONFIDENCE:g} would require more"
        )
    return f"{better}, where {required} is required"


def _about_champion(against: AgainstChampion, max_regression: float) -> str:
    served = f"version {against.number}, which is served"
    if math.isnan(against.difference):
        return f"not comparable with {served}: a binary crossentropy is not a number"
    if abs(against.difference) < SMALLEST_IMPROVEMENT:
        return f"as good as {served}"
    if against.difference < 0:
        return f"better than {served}, by {_nats(against.difference)}"
    allowed = f"at most {max_regression:g} is allowed" if max_regression else "no regression is allowed"
    return f"worse than {served}, by {_nats(against.difference)}, where {allowed}"


def _nats(difference: float) -> str:
    size = abs(difference)
    return f"{size:.4f} nats" if size >= 1e-4 else f"{size:.1e} nats"
