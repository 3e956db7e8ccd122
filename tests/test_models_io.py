"""From examples to arrays, and what preprocessing does to them."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows, read_rows
from shards import to_example, write_plain_shard, write_shard
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.pusher import Executor as Pusher
from components.sealed import model_path
from events.errors import ModelError
from events.higgs.columns import COLUMNS
from events.records import RecordCodec
from events.shards import DamageError
from models.inputs import BLOCK_ROWS, _decoded, _parsed, load, load_raw
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
    records = RecordCodec(COLUMNS).encode(np.ascontiguousarray(rows.T))
    with tf.io.TFRecordWriter(str(tmp_path / "a.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record[12:-4].tobytes())
    _, labels = load([str(tmp_path / "*")], transform_graph(blessed_run))
    assert np.array_equal(labels.numpy()[:, 0], rows[:, 0])


def rows_in_shards(folder, n_rows: int, n_shards: int) -> np.ndarray:
    rows = make_rows(n_rows, seed=5)
    for index, part in enumerate(np.array_split(rows, n_shards)):
        write_plain_shard(folder / f"shard-{index}", part)
    return rows


@pytest.mark.parametrize("shard", [(1, 0), (3, 0), (3, 2)])
def test_encoded_examples_are_read_as_any_others(blessed_run, tmp_path, shard):
    graph = transform_graph(blessed_run)
    rows_in_shards(tmp_path, 2 * BLOCK_ROWS + 17, 2)
    patterns, how = [str(tmp_path / "*")], (graph, graph.n_inputs, shard)
    decoded, parsed = _decoded(patterns, *how), _parsed(patterns, graph.spec, *how)
    for ours, theirs in zip(decoded, parsed, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy())


def test_a_parser_reads_what_was_encoded_otherwise(blessed_run, tmp_path):
    rows = rows_in_shards(tmp_path, 30, 1)
    write_shard(tmp_path / "shard-1", rows[::-1])
    with tf.io.TFRecordWriter(str(tmp_path / "shard-2")) as writer:
        writer.write(to_example(rows[0], another=1.0).SerializeToString())
    features = load_raw([str(tmp_path / "*")], transform_graph(blessed_run))
    assert np.array_equal(features.numpy(), np.concatenate([rows, rows[::-1], rows[:1]])[:, 1:])


def test_damaged_examples_are_never_trained_on(blessed_run, tmp_path):
    rows_in_shards(tmp_path, 30, 1)
    shard = tmp_path / "shard-0"
    flip_bit(shard)
    with pytest.raises(DamageError, match=f"Received: corrupted record at .* in {shard}. Delete the folder"):
        load([str(shard)], transform_graph(blessed_run))


def test_no_examples_are_one_line(blessed_run, tmp_path):
    with pytest.raises(ModelError, match="Received: none in"):
        load([str(tmp_path / "*")], transform_graph(blessed_run))


@pytest.mark.parametrize("damaged", ["saved_model.pb", "variables/variables.data-00000-of-00001", "fingerprint.pb"])
def test_damaged_model_is_one_line_for_whoever_reads_it(blessed_run, tmp_path, damaged):
    model, blessing = standard_artifacts.Model(), standard_artifacts.InfraBlessing()
    for artifact, node, key in ((model, "Trainer.candidate", "model"), (blessing, "HiggsInfraValidator", "blessing")):
        artifact.uri = str(shutil.copytree(blessed_run.artifact(node, key), tmp_path / key / "7"))
    blessing.set_int_custom_property("has_model", 1)
    push = Pusher().GetModelPath
    stamped = functools.partial(model_path, path_of=path_utils.stamped_model_path)
    for artifact, path, inputs in (
        (model, model_path, {"model": [model]}),
        (blessing, stamped, {"model": [model], "infra_blessing": [blessing]}),
    ):
        folder = Path(path(artifact))
        assert push(inputs) == str(folder)
        flip_bit(folder / damaged)
        expected = f"other content in {folder}/{damaged}. Delete the folder {artifact.uri} and run again"
        for read, given in ((path, artifact), (push, inputs)):
            with pytest.raises(DamageError, match=expected):
                read(given)


@pytest.mark.parametrize("damaged", ["transform_fn/saved_model.pb", "metadata/schema.pbtxt"])
def test_damaged_transform_graph_is_one_line(blessed_run, tmp_path, damaged):
    folder = shutil.copytree(blessed_run.artifact("Transform", "transform_graph"), tmp_path / "7")
    TransformGraph(str(folder))
    flip_bit(folder / damaged)
    with pytest.raises(DamageError, match=f"other content in {folder}/{damaged}. Delete the folder {folder} and run"):
        TransformGraph(str(folder))


def flip_bit(path: Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


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
