"""What Transform makes of raw events, by tensorflow-transform's own analysis."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from models.features import COLUMNS, FEATURES, LABEL
from models.preprocessing import preprocessing_fn


def analyze(rows, folder) -> list[dict]:
    """Analyzes rows, label first, as Transform does; leaves the graph in a folder and returns the transformed rows."""
    spec = {LABEL: tf.io.FixedLenFeature([], tf.int64)}
    spec |= {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    events = [dict(zip(COLUMNS, map(float, row), strict=True)) for row in rows]
    data = [event | {LABEL: int(event[LABEL])} for event in events], metadata
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        (transformed, _), graph = data | tft_beam.AnalyzeAndTransformDataset(preprocessing_fn)
        graph | tft_beam.WriteTransformFn(str(folder))
    metadata_io.write_metadata(metadata, str(folder / "metadata"))
    return transformed


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    """Of feature i: i + 0, i + 2 and i + 4; but of the last one: 7, 7 and 7."""
    rows = [[label, *(np.arange(28) + step)] for label, step in ((1, 0), (0, 2), (1, 4))]
    for row in rows:
        row[-1] = 7
    return analyze(rows, tmp_path_factory.mktemp("graph"))


def test_features_are_stacked_and_normalised_one_by_one(transformed):
    # Mean i + 2, variance (4 + 0 + 4) / 3.
    z_scores = np.sqrt(1.5) * np.array([-1, 0, 1])
    for row, z_score in zip(transformed, z_scores, strict=True):
        assert set(row) == {"features", LABEL}
        assert row["features"].shape == (28,)
        assert row["features"][:27] == pytest.approx(np.full(27, z_score), abs=1e-6)


def test_feature_that_never_varies_becomes_0(transformed):
    assert [row["features"][27] for row in transformed] == [0, 0, 0]


def test_label_stays_as_it_is(transformed):
    assert [int(row[LABEL]) for row in transformed] == [1, 0, 1]
