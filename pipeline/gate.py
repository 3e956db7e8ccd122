"""The gate: what the Evaluator measures, and what a candidate must show to be blessed."""

import json

from google.protobuf import wrappers_pb2
from tensorflow_model_analysis.proto.config_pb2 import (
    EvalConfig,
    GenericChangeThreshold,
    GenericValueThreshold,
    MetricConfig,
    MetricDirection,
    MetricsSpec,
    MetricThreshold,
    ModelSpec,
    SlicingSpec,
)

from components.metrics import METRICS, PAIRED_METRICS, EventMetric, PairedMetric
from models.features import LABEL

BCE = "binary_crossentropy"
DIFFERENCE, LOWER, UPPER = f"{BCE}_diff", f"{BCE}_lower_diff", f"{BCE}_upper_diff"  # as TFMA names what it measured
NO_SKILL = "over_no_skill_upper"
# TFMA passes a difference that equals its bound, so a bound of 0 would bless a tie. Losses near 1 are stored to 1e-16.
SMALLEST_IMPROVEMENT = 1e-12
SHOWN_CONFIDENCE = 0.95  # of intervals, where the gate asks for none

SLICES = ("n_b_tags", "m_bb_band")  # computed by the model's `slices` signature


def eval_config(min_improvement: float, confidence: float = 0.0) -> EvalConfig:
    """Metrics, slices and thresholds.

    Args:
      min_improvement: nats of binary crossentropy by which the candidate must beat the baseline; 0 for any at all.
      confidence: of the interval of the difference, paired over events, that must lie below -min_improvement as a
        whole; the candidate must then also beat the best constant at that confidence, which a baseline that learned
        only noise would not ask of it. 0 to ask of the difference itself only.
    """
    bound = -max(min_improvement, SMALLEST_IMPROVEMENT)
    thresholds = {BCE: _change_at_most(bound)}
    if confidence:
        thresholds |= {f"{BCE}_upper": _change_at_most(bound), NO_SKILL: _value_at_most(-SMALLEST_IMPROVEMENT)}
    metrics = [
        MetricConfig(
            class_name=kind.__name__,
            module=kind.__module__,
            config=json.dumps({"name": name, "confidence": confidence or SHOWN_CONFIDENCE}),
            # For all rows together: TFMA would apply a plain threshold to each slice, down to slices of a few events.
            per_slice_thresholds=[
                {"slicing_specs": [SlicingSpec()], "threshold": threshold}
                for key, threshold in thresholds.items()
                if key == name
            ],
        )
        for kind, names in ((EventMetric, METRICS), (PairedMetric, PAIRED_METRICS))
        for name in names
    ]
    return EvalConfig(
        model_specs=[
            # Unnamed: with a baseline connected, TFX adds the baseline's own specification.
            ModelSpec(
                signature_name="serving_features",  # the examples are parsed once for both models and the slices
                label_key=LABEL,
                prediction_key="probability",
                preprocessing_function_names=["slices"],
            )
        ],
        slicing_specs=[SlicingSpec(), *(SlicingSpec(feature_keys=[key]) for key in SLICES)],
        metrics_specs=[MetricsSpec(metrics=metrics)],
    )


def asked_by(config: EvalConfig) -> tuple[float, float]:
    """The arguments with which `eval_config` gave this configuration."""
    [spec] = config.metrics_specs
    metrics = {json.loads(metric.config)["name"]: metric for metric in spec.metrics}
    [asked] = metrics[BCE].per_slice_thresholds
    improvement = -asked.threshold.change_threshold.absolute.value
    confidence = json.loads(metrics[NO_SKILL].config)["confidence"] if metrics[NO_SKILL].per_slice_thresholds else 0.0
    return (0.0 if improvement <= SMALLEST_IMPROVEMENT else improvement), confidence


def _change_at_most(bound: float) -> MetricThreshold:
    return MetricThreshold(
        change_threshold=GenericChangeThreshold(
            direction=MetricDirection.LOWER_IS_BETTER, absolute=wrappers_pb2.DoubleValue(value=bound)
        )
    )


def _value_at_most(bound: float) -> MetricThreshold:
    return MetricThreshold(value_threshold=GenericValueThreshold(upper_bound=wrappers_pb2.DoubleValue(value=bound)))
