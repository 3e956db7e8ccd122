"""The gate: what the Evaluator measures, and what a candidate must show to be blessed.

Here against the baseline; the Evaluator adds the served model, of which it alone knows, see `components.champion`.
"""

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

from components.event_metrics import BCE, METRICS, NO_SKILL, PAIRED_METRICS, PAIRED_UPPER, EventMetric, PairedMetric
from components.verdict import SHOWN_CONFIDENCE, SMALLEST_IMPROVEMENT
from events.higgs.columns import LABEL
from events.higgs.slices import SLICES


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
        thresholds |= {PAIRED_UPPER: _change_at_most(bound), NO_SKILL: _value_at_most(-SMALLEST_IMPROVEMENT)}
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
                preprocessing_function_names=["slices"],  # the model's signature
            )
        ],
        slicing_specs=[SlicingSpec(), *(SlicingSpec(feature_keys=[key]) for key in SLICES)],
        metrics_specs=[MetricsSpec(metrics=metrics)],
    )


def _change_at_most(bound: float) -> MetricThreshold:
    return MetricThreshold(
        change_threshold=GenericChangeThreshold(
            direction=MetricDirection.LOWER_IS_BETTER, absolute=wrappers_pb2.DoubleValue(value=bound)
        )
    )


def _value_at_most(bound: float) -> MetricThreshold:
    return MetricThreshold(value_threshold=GenericValueThreshold(upper_bound=wrappers_pb2.DoubleValue(value=bound)))
