"""What is served, after save and reload."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows
from test_inputs import serialize
from test_preprocessing import analyze

from models.architectures import ARCHITECTURES, Architecture, build
from models.features import FEATURES
from models.signatures import export

ROWS = make_rows(30)
NETWORKS = ARCHITECTURES | {"batch_norm": Architecture((16,), batch_norm=True, dropout=0.5)}

SCORE = """
import json, sys
import tensorflow as tf
folder, forms = sys.argv[1], json.load(sys.stdin)
examples = tf.constant([bytes.fromhex(example) for example in forms["examples"]])
features = {name: tf.constant(values) for name, values in forms["features"].items()}
scores = {}
for name in tf.io.gfile.listdir(folder):
    signatures = tf.saved_model.load(f"{folder}/{name}").signatures
    outputs = signatures["serving_default"](examples=examples), signatures["serving_features"](**features)
    scores[name] = [{key: value.numpy().tolist() for key, value in output.items()} for output in outputs]
print(json.dumps(scores))
"""


def make_network(name: str):
    """A network of that architecture whose state is that of no fresh one."""
    network = build(NETWORKS[name])
    rng = np.random.default_rng(0)
    network.set_weights([w + rng.uniform(0.0, 0.01, w.shape).astype(w.dtype) for w in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """The folder of a transform graph made of ROWS."""
    folder = tmp_path_factory.mktemp("graph")
    analyze(ROWS, folder)
    return str(folder)


@pytest.fixture(scope="module")
def tiny(graph, tmp_path_factory):
    """The reloaded signatures of a tiny network."""
    folder = str(tmp_path_factory.mktemp("tiny"))
    export(make_network("tiny"), graph, folder)
    return tf.saved_model.load(folder).signatures


@pytest.fixture(scope="module")
def scores(graph, tmp_path_factory):
    """By architecture, what a process without our code gets from both input forms; the events have no label."""
    folder = tmp_path_factory.mktemp("exported")
    for name in NETWORKS:
        export(make_network(name), graph, str(folder / name))
    examples = [serialize(row, label=False).hex() for row in ROWS]
    forms = {"examples": examples, "features": dict(zip(FEATURES, ROWS[:, 1:].T.tolist(), strict=True))}
    command = [sys.executable, "-c", SCORE, str(folder)]
    result = subprocess.run(command, input=json.dumps(forms), capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NETWORKS)
def test_reloaded_model_gives_what_the_network_predicts_in_both_forms(scores, name):
    raw = ROWS[:, 1:].astype(np.float64)
    features = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    logits = make_network(name).predict(features, verbose=0)[:, 0]
    from_examples, from_features = scores[name]
    assert from_examples["logit"] == pytest.approx(logits, abs=1e-5)
    assert from_examples["probability"] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)
    assert from_features == from_examples


def test_features_are_served_as_the_network_sees_them(tiny):
    raw = ROWS[:, 1:].astype(np.float64)
    outputs = tiny["transform_features"](examples=tf.constant([serialize(row, label=False) for row in ROWS]))
    assert np.abs(outputs["features"].numpy() - (raw - raw.mean(0)) / raw.std(0)).max() < 1e-5


def test_event_without_a_feature_is_an_error_that_names_it(tiny):
    example = tf.train.Example.FromString(serialize(ROWS[0]))
    del example.features.feature["jet_1_pt"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="jet_1_pt"):
        tiny["serving_default"](examples=tf.constant([example.SerializeToString()]))
