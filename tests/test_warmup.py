"""What is asked of a model before it is pushed, and the warm-up requests that come of it."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import make_rows
from tensorflow_serving.apis import prediction_log_pb2
from tfx.types import standard_artifacts

from components.infra_validator import Executor, try_model
from components.pusher import Executor as Pusher
from events.errors import UnservableModelError
from events.higgs.columns import FEATURES
from models.architectures import Architecture
from models.rules import Rules
from models.signatures import export
from models.training import fit
from models.transform_graph import TransformGraph
from serving.warmup import BATCH_SIZES, ServedModel, check, make_requests, read_records

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def read_logs(path) -> list[prediction_log_pb2.PredictionLog]:
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


@pytest.fixture(scope="module")
def examples(blessed_run) -> list[str]:
    """The shards of the eval split."""
    folder = Path(blessed_run.artifact("HiggsExampleGen", "examples")) / "Split-eval"
    return [str(path) for path in folder.iterdir()]


def save(folder, probability=lambda x: tf.sigmoid(x), by_feature=None, logit=lambda x: x, signatures=2) -> str:
    """A model of m_bb alone, whose two forms may be made to differ."""
    module = tf.Module()
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}

    def answer(features, function):
        return {"probability": function(features["m_bb"]), "logit": logit(features["m_bb"])}

    module.by_example = tf.function(
        lambda examples: answer(tf.io.parse_example(examples, spec), probability),
        input_signature=[tf.TensorSpec([None], tf.string, name="examples")],
    )
    module.by_feature = tf.function(lambda features: answer(features, by_feature or probability)).get_concrete_function(
        {name: tf.TensorSpec([None], tf.float32, name=name) for name in FEATURES}
    )
    forms = {"serving_default": module.by_example, "serving_features": module.by_feature}
    tf.saved_model.save(module, str(folder), signatures=dict(list(forms.items())[:signatures]))
    return str(folder)


def test_pushed_model_holds_warmup_requests_of_real_rows_in_both_forms(blessed_run, examples):
    logs = read_logs(blessed_run.versions[0] / WARMUP_FILE)
    assert len(logs) == 2 * len(BATCH_SIZES) <= 1000
    rows = {record for record in tf.data.TFRecordDataset(examples).as_numpy_iterator()}
    for by_example, by_feature in zip(logs[::2], logs[1::2], strict=True):
        first, second = by_example.predict_log.request, by_feature.predict_log.request
        assert (first.model_spec.name, first.model_spec.signature_name) == ("higgs", "serving_default")
        assert (second.model_spec.name, second.model_spec.signature_name) == ("higgs", "serving_features")
        records = tf.make_ndarray(first.inputs["examples"])
        assert set(records) <= rows
        assert set(second.inputs) == set(FEATURES)
        m_bb = [tf.train.Example.FromString(record).features.feature["m_bb"].float_list.value[0] for record in records]
        np.testing.assert_array_equal(tf.make_ndarray(second.inputs["m_bb"]), np.float32(m_bb))


def test_sound_model_passes_in_a_fresh_process(examples, tmp_path):
    folder = save(tmp_path / "model")
    try_model(folder, examples, "other", str(tmp_path / "model" / WARMUP_FILE))
    assert {log.predict_log.request.model_spec.name for log in read_logs(tmp_path / "model" / WARMUP_FILE)} == {"other"}


def test_fresh_process_has_no_keras_as_tf_serving_has_none():
    command = [sys.executable, "-X", "importtime", "-m", "serving.warmup", "--help"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()
    assert "tensorflow" in imported and not {"keras", "keras.src"} & set(imported)


def test_model_that_does_not_load_is_one_line_from_a_fresh_process(examples, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"rubbish")
    with pytest.raises(UnservableModelError, match=r"A served model loads\. Received: .*\. Train it again\."):
        try_model(str(tmp_path / "model"), examples, "higgs", str(tmp_path / "model" / WARMUP_FILE))
    assert not (tmp_path / "model" / WARMUP_FILE).exists()


def test_process_that_dies_is_one_line(examples, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UnservableModelError, match="Received: exit code 1 of a process"):
        try_model(str(tmp_path), examples, "higgs", str(tmp_path / WARMUP_FILE))


UNFIT = {
    "NaN": ({"probability": lambda x: x * np.nan}, "Received: probability = nan from serving_default"),
    "infinite logit": ({"logit": lambda x: x / 0.0}, "Received: logit = inf from serving_default"),
    "forms that disagree": ({"by_feature": lambda x: tf.sigmoid(x) + 1e-5}, "Received: a difference of"),
    "one number for all rows": (
        {"probability": lambda x: tf.reduce_mean(x)[None]},
        r"of shape \(1,\) from serving_default",
    ),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_unfit_model_is_one_line(examples, tmp_path, fault):
    settings, expected = UNFIT[fault]
    model = ServedModel(save(tmp_path / "model", **settings))
    requests = list(make_requests(read_records(examples, max(BATCH_SIZES)), "higgs", list(FEATURES)))
    with pytest.raises(UnservableModelError, match=expected):
        check(model, requests)


def test_model_without_a_form_is_one_line(examples, tmp_path):
    model = ServedModel(save(tmp_path / "model", signatures=1))
    requests = list(make_requests(read_records(examples, max(BATCH_SIZES)), "higgs", list(FEATURES)))
    with pytest.raises(UnservableModelError, match="answers serving_features with probability and logit"):
        check(model, requests)


def test_network_that_only_pythons_loader_restores_is_one_line(examples, tmp_path):
    module, spec = tf.Module(), {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}
    module.network = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def answer(examples):
        logit = module.network(tf.io.parse_example(examples, spec)["m_bb"][:, None])[:, 0]
        return {"probability": tf.sigmoid(logit), "logit": logit}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": answer})
    by_python = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert np.isfinite(by_python(examples=tf.constant(read_records(examples, 1)))["logit"]).all()
    requests = list(make_requests(read_records(examples, max(BATCH_SIZES)), "higgs", list(FEATURES)))
    with pytest.raises(UnservableModelError, match=r"Received: Could not find variable .*dense"):
        check(ServedModel(str(tmp_path)), requests)


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_norm": True, "dropout": 0.5},
        {"members": 3},
        {"activation": "selu", "weight_decay": 0.1},
    ],
)
def test_trained_network_answers_in_a_session_as_in_python_and_brings_its_weights_alone(blessed_run, tmp_path, fields):
    features, labels = tf.constant(make_rows(500)[:, 1:]), tf.constant(make_rows(500)[:, :1])
    training = fit(Architecture((8, 8), **fields), Rules(epochs=2), (features, labels), (features, labels))
    export(training.network, TransformGraph(blessed_run.artifact("Transform", "transform_graph")), str(tmp_path))
    columns = dict(zip(FEATURES, make_rows(50, seed=2)[:, 1:].T, strict=True))
    by_python = tf.saved_model.load(str(tmp_path)).signatures["serving_features"](
        **{name: tf.constant(column) for name, column in columns.items()}
    )
    in_session = ServedModel(str(tmp_path))("serving_features", columns)
    for output, values in in_session.items():
        np.testing.assert_allclose(values, by_python[output], rtol=1e-6, atol=1e-6)
    kept = tf.train.list_variables(str(tmp_path / "variables" / "variables"))
    shapes = [shape for name, shape in kept if name.endswith("VARIABLE_VALUE")]
    assert sorted(shapes) == sorted(list(weight.shape) for weight in training.network.weights)


def test_few_rows_are_repeated_and_none_are_an_error(examples, tmp_path):
    records = read_records(examples, 64)
    few = str(tmp_path / "few")
    with tf.io.TFRecordWriter(few) as writer:
        writer.write(records[0])
    assert read_records([few], 3) == [records[0]] * 3
    tf.io.TFRecordWriter(str(tmp_path / "none")).close()
    with pytest.raises(UnservableModelError, match="no rows to try it on"):
        read_records([str(tmp_path / "none")], 3)


def run_validator(blessed_run, model_uri, blessed: bool, folder):
    """Runs the component's executor; the InfraBlessing."""
    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri, examples.uri = str(model_uri), blessed_run.artifact("HiggsExampleGen", "examples")
    examples.split_names = '["train", "val", "eval"]'
    model_blessing, blessing = standard_artifacts.ModelBlessing(), standard_artifacts.InfraBlessing()
    model_blessing.set_int_custom_property("blessed", int(blessed))
    blessing.uri = str(folder)
    Executor().Do(
        {"model": [model], "model_blessing": [model_blessing], "examples": [examples]},
        {"blessing": [blessing]},
        {"split": "eval", "model_name": "higgs", "code": ""},
    )
    return model, model_blessing, blessing


def test_blessed_model_is_pushed_with_its_warmup_requests(blessed_run, tmp_path):
    uri = blessed_run.artifact("Trainer.candidate", "model")
    model, model_blessing, blessing = run_validator(blessed_run, uri, True, tmp_path)
    inputs = {"model": [model], "model_blessing": [model_blessing], "infra_blessing": [blessing]}
    assert Pusher().CheckBlessing(inputs)
    assert (Path(Pusher().GetModelPath(inputs)) / WARMUP_FILE).exists()
    assert not list(Path(uri).rglob("tf_serving_warmup_requests"))  # the Trainer's output is not touched


def test_model_that_is_not_blessed_is_passed_over(blessed_run, tmp_path):
    model, model_blessing, blessing = run_validator(blessed_run, tmp_path / "nothing", False, tmp_path)
    inputs = {"model": [model], "model_blessing": [model_blessing], "infra_blessing": [blessing]}
    assert not Pusher().CheckBlessing(inputs)


def test_model_that_cannot_be_served_is_not_pushed(blessed_run, tmp_path):
    save(tmp_path / "model" / "Format-Serving", probability=lambda x: x * np.nan)
    with pytest.raises(UnservableModelError, match="probability = nan"):
        run_validator(blessed_run, tmp_path / "model", True, tmp_path / "blessing")
