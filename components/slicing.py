"""Slices of whole batches for TFMA.

TFMA takes batches of predictions apart into events before it asks which slices an event belongs to; that is most of
the time of an evaluation. Here a batch is divided by slice instead: an element goes on as all events of a batch that
share a slice, which `components.event_metrics` take as they are.
"""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

UNBATCH, SLICE = "ExtractUnbatchedInputs", "ExtractSliceKeys"  # the stages replaced, by TFMA's names
KEPT = (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY)


def extractors(eval_shared_model, eval_config, tensor_adapter_config) -> list:
    """TFMA's extractors with the two that work event by event replaced.

    Raises:
      ValueError: a slice is neither all rows nor by one feature.
    """
    keys = [tuple(spec.feature_keys) for spec in eval_config.slicing_specs]
    if any(len(key) > 1 for key in keys) or any(spec.feature_values for spec in eval_config.slicing_specs):
        raise ValueError(f"Slices are all rows or by one feature. Received: {eval_config.slicing_specs}. Divide them.")
    default = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    kept = [extractor for extractor in default if extractor.stage_name not in (UNBATCH, SLICE)]
    if len(default) - len(kept) != 2:
        raise ValueError(f"TFMA's extractors are not the ones expected: {[e.stage_name for e in default]}.")
    slices = beam.FlatMap(slice_batch, feature_names=[key[0] for key in keys if key], overall=() in keys)
    return [*kept, tfma.extractors.Extractor(stage_name=SLICE, ptransform=slices)]


def slice_batch(extracts: dict, feature_names: list[str], overall: bool) -> Iterator[dict]:
    """Divides a batch of n events.

    Args:
      extracts: TFMA's, each array with n events first.
      feature_names: features that the model computes, to slice by.
      overall: whether all events together are a slice as well.

    Yields:
      Extracts with labels, predictions and the one slice key that all their events share.
    """
    kept = {key: extracts[key] for key in KEPT}
    if overall:
        yield {**kept, tfma.SLICE_KEY_TYPES_KEY: [()]}
    for name in feature_names:
        values = np.ravel(_find(extracts["transformed_features"], name))
        for value in np.unique(values):
            rows = values == value
            text = value.decode() if isinstance(value, bytes) else int(value)
            yield {**_select(kept, rows), tfma.SLICE_KEY_TYPES_KEY: [((name, text),)]}


def _find(features: dict, name: str) -> np.ndarray:
    """A feature, whether the features are those of one model or by model; every model computes the same slices."""
    if name in features:
        return features[name]
    return next(by_model[name] for by_model in features.values() if name in by_model)


def _select(tree, rows: np.ndarray):
    """The same nested dict of arrays, restricted to some rows."""
    if isinstance(tree, dict):
        return {key: _select(value, rows) for key, value in tree.items()}
    return tree[rows]
