"""From examples to arrays, and what preprocessing does to them."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows, read_rows

from components.records import RecordEncoder
from models.errors import ModelError
from models.features import COLUMNS
from models.inputs import load
from models.transform_graph import TransformGraph


def transform_graph(run) -> TransformGraph:
    return TransformGraph(run.artifact("Transform", "transform_graph"))


def test_features_are_normalised_by_mean_and_deviation_of_the_training_split(blessed_run):
    graph = transform_graph(blessed_run)
    examples = blessed_run.artifact("HiggsExampleGen", "examples")
    train = read_rows(f"{examples}/Split-train").astype(np.float64)
    mean, deviation = train[:, 1:].mean(0), train[:, 1:].std(0)
    for split in ("train", "eval"):
        rows = read_rows(f"{examples}/Split-{split}").astype(np.float64)
        features, labels = load([f"{examples}/Split-{split}/*"], graph)
        assert np.abs(features.numpy() - (rows[:, 1:] - mean) / deviation).max() < 1e-5
        assert np.array_equal(labels.numpy()[:, 0], rows[:, 0])


def test_gzipped_shards_are_read_too(blessed_run, tmp_path):
    rows = make_rows(20)
    records = RecordEncoder(COLUMNS).encode(np.ascontiguousarray(rows.T))
    with tf.io.TFRecordWriter(str(tmp_path / "a.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record[12:-4].tobytes())
    _, labels = load([str(tmp_path / "*")], transform_graph(blessed_run))
    assert np.array_equal(labels.numpy()[:, 0], rows[:, 0])


def test_no_examples_are_one_line(blessed_run, tmp_path):
    with pytest.raises(ModelError, match="Received: none in"):
        load([str(tmp_path / "*")], transform_graph(blessed_run))


def test_slices_are_counted_from_raw_features(blessed_run):
    [version] = blessed_run.versions
    model = tf.saved_model.load(str(version))
    rows = make_rows(4)
    places = [COLUMNS.index(f"jet_{jet}_b_tag") for jet in (1, 2, 3, 4)]
    rows[:, places] = [[0, 0, 0, 0], [2.17, 0, 0, 0], [1.08, 0, 2.5, 0], [1, 1, 1, 1]]
    rows[:, COLUMNS.index("m_bb")] = [0.5, 0.99, 1.0, 3.0]
    slices = model.signatures["slices"]
    names = slices.structured_input_signature[1]
    outputs = slices(**{name: tf.constant(rows[:, COLUMNS.index(name)], tf.float32) for name in names})
    assert outputs["n_b_tags"].numpy().tolist() == [[0], [1], [2], [4]]
    assert outputs["m_bb_band"].numpy().tolist() == [[b"low"], [b"low"], [b"high"], [b"high"]]
