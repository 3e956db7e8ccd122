"""The gate: what the Evaluator measures, and what a candidate must show to be blessed."""

import json

from google.protobuf import wrappers_pb2
from tensorflow_model_analysis.proto.config_pb2 import (
    EvalConfig,
    GenericChangeThreshold,
    MetricConfig,
    MetricDirection,
    MetricsSpec,
    MetricThreshold,
    ModelSpec,
    SlicingSpec,
)

from components.metrics import METRICS, EventMetric
from models.features import LABEL

BCE = "binary_crossentropy"
# TFMA passes a difference that equals its bound, so a bound of 0 would bless a tie. Losses near 1 are stored to 1e-16.
SMALLEST_IMPROVEMENT = 1e-12

SLICES = ("n_b_tags", "m_bb_band")  # computed by the model's `slices` signature


def eval_config(min_improvement: float) -> EvalConfig:
    """Metrics, slices and the one threshold.

    Args:
      min_improvement: nats of binary crossentropy by which the candidate must beat the baseline; 0 for any at all.
    """
    bound = wrappers_pb2.DoubleValue(value=-max(min_improvement, SMALLEST_IMPROVEMENT))
    improvement = MetricThreshold(
        change_threshold=GenericChangeThreshold(direction=MetricDirection.LOWER_IS_BETTER, absolute=bound)
    )
    # For all rows together: TFMA would apply a plain threshold to each slice as well, down to slices of a few events.
    on_all_rows = {"slicing_specs": [SlicingSpec()], "threshold": improvement}
    metrics = [
        MetricConfig(
            class_name=EventMetric.__name__,
            module=EventMetric.__module__,
            config=json.dumps({"name": name}),
            per_slice_thresholds=[on_all_rows] if name == BCE else [],
        )
        for name in METRICS
    ]
    return EvalConfig(
        model_specs=[
            # Unnamed: with a baseline connected, TFX adds the baseline's own specification.
            ModelSpec(
                signature_name="serving_default",
                label_key=LABEL,
                prediction_key="probability",
                preprocessing_function_names=["slices"],
            )
        ],
        slicing_specs=[SlicingSpec(), *(SlicingSpec(feature_keys=[key]) for key in SLICES)],
        metrics_specs=[MetricsSpec(metrics=metrics)],
    )
