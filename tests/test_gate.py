"""The gate, with TFMA's own verdict on models whose probabilities are known."""

import glob
import math
import os

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx.components.evaluator.executor import Executor as StockExecutor
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.standard_component_specs import EXAMPLE_SPLITS_KEY
from tfx.utils import json_utils

from components.errors import MissingBaselineError
from components.evaluator import Executor
from components.sums import crossentropies
from models.architectures import Architecture
from models.networks import build
from models.signatures import export
from models.transform_graph import TransformGraph
from pipeline.config import GateConfig
from pipeline.gate import BCE, DIFFERENCE, LOWER, NO_SKILL, UPPER, asked_by, eval_config
from pipeline.runners import beam_options
from pipeline.summary import judge


def make_model(folder, transform_graph: str, logit: float, slope: float = 0.0):
    """A model artifact whose logit is a constant plus a slope times m_bb, normalised."""
    network = build(Architecture((1,), activation="linear"))
    kernel = np.zeros((28, 1))
    kernel[25] = slope
    network.set_weights([kernel, np.zeros(1), np.ones((1, 1)), np.full(1, logit)])
    model = standard_artifacts.Model()
    model.uri = str(folder)
    export(network, TransformGraph(transform_graph), os.path.join(model.uri, "Format-Serving"))
    return model


@pytest.fixture(scope="session")
def models(blessed_run, tmp_path_factory):
    """Model artifacts by name."""
    folder = tmp_path_factory.mktemp("models")
    graph = blessed_run.artifact("Transform", "transform_graph")
    kinds = {"half": (0.0,), "lower": (0.05,), "nan": (math.nan,), "certain": (0.0, -200.0), "mass": (0.1, -0.4)}
    return {name: make_model(folder / name, graph, *kind) for name, kind in kinds.items()}


def execute(run, candidate, baseline, folder, config, executor=Executor):
    """Runs the Evaluator's executor, or another, as TFX does; the blessing and the evaluation."""
    examples = standard_artifacts.Examples()
    examples.uri = run.artifact("HiggsExampleGen", "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "val", "eval"])
    schema = standard_artifacts.Schema()
    schema.uri = run.artifact("ImportSchemaGen", "schema")
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    inputs = {"examples": [examples], "model": [candidate], "schema": [schema]}
    inputs |= {"baseline_model": [baseline]} if baseline else {}
    properties = {
        "eval_config": json_format.MessageToJson(config),
        EXAMPLE_SPLITS_KEY: json_utils.dumps(["eval"]),
        "fairness_indicator_thresholds": "null",
    }
    context = executor.Context(beam_pipeline_args=list(beam_options("direct", ())), tmp_dir=str(folder), unique_id="1")
    executor(context).Do(inputs, {"evaluation": [evaluation], "blessing": [blessing]}, properties)
    return blessing, evaluation


def evaluate(run, candidate, baseline, folder, gate=(0.0,)):
    """Runs the Evaluator's executor; whether it blesses and where TFMA wrote what it measured."""
    blessing, evaluation = execute(run, candidate, baseline, folder, eval_config(*gate))
    return blessing.get_int_custom_property("blessed") == 1, evaluation.uri


def measured(uri: str, model: str, metric: str = "binary_crossentropy") -> float:
    metrics = dict(tfma.load_eval_result(uri, model_name=model).slicing_metrics)
    return metrics[()][""][""][metric]["doubleValue"]


def test_constant_probability_of_one_half_has_a_crossentropy_of_ln_2(blessed_run, models, tmp_path):
    blessed, uri = evaluate(blessed_run, models["half"], models["half"], tmp_path)
    assert measured(uri, "candidate") == pytest.approx(math.log(2), abs=1e-6)
    assert measured(uri, "candidate", "auc") == pytest.approx(0.5, abs=1e-6)
    assert not blessed  # a tie


@pytest.mark.parametrize(("candidate", "baseline"), [("nan", "half"), ("half", "nan"), ("certain", "half")])
def test_what_is_no_number_or_worse_is_not_blessed(blessed_run, models, tmp_path, candidate, baseline):
    blessed, _ = evaluate(blessed_run, models[candidate], models[baseline], tmp_path)
    assert not blessed


def test_smallest_improvement_is_blessed_and_a_margin_refuses_it(blessed_run, models, tmp_path):
    # 53 % signal: a logit of 0.05 lies nearer to the truth than 0 does, by about 0.001 nats.
    blessed, uri = evaluate(blessed_run, models["lower"], models["half"], tmp_path / "a")
    improvement = measured(uri, "baseline") - measured(uri, "candidate")
    assert 1e-4 < improvement < 3e-3
    assert blessed
    blessed, _ = evaluate(blessed_run, models["lower"], models["half"], tmp_path / "b", (improvement * 1.01,))
    assert not blessed


# TFMA's classes, in the order of ours.
STOCK = ("BinaryCrossentropy", "AUC", "BinaryAccuracy", "Calibration", "MeanLabel", "MeanPrediction", "ExampleCount")


def test_metrics_and_slices_are_those_of_tfma_itself(blessed_run, models, tmp_path):
    ours = eval_config(0.0)
    theirs = type(ours)()
    theirs.CopyFrom(ours)
    del theirs.metrics_specs[0].metrics[len(STOCK) :]  # those that TFMA does not have
    for metric, stock in zip(theirs.metrics_specs[0].metrics, STOCK, strict=True):
        metric.class_name, metric.module, metric.config = stock, "", ""
    theirs.model_specs[0].signature_name = "serving_default"
    pair = models["mass"], models["half"]
    _, evaluation = execute(blessed_run, *pair, tmp_path / "ours", ours)
    _, stock = execute(blessed_run, *pair, tmp_path / "stock", theirs, StockExecutor)
    for model in ("candidate", "baseline"):
        results = [dict(tfma.load_eval_result(e.uri, model_name=model).slicing_metrics) for e in (evaluation, stock)]
        assert set(results[0]) == set(results[1])
        assert len(results[0]) >= 5
        for key, outputs in results[1].items():
            for name, value in outputs[""][""].items():
                if name.endswith("_diff"):
                    continue
                other = float(results[0][key][""][""][name]["doubleValue"])
                if name == "auc" and outputs[""][""]["mean_label"]["doubleValue"] in (0.0, 1.0):
                    assert math.isnan(other)  # one class has no ROC curve; TFMA says 0
                else:
                    assert other == pytest.approx(value["doubleValue"], abs=1e-6), (key, name)


@pytest.mark.parametrize(("candidate", "baseline"), [("lower", "half"), ("half", "lower")])
def test_what_is_written_is_what_tfx_itself_writes(blessed_run, models, tmp_path, candidate, baseline):
    args = blessed_run, models[candidate], models[baseline]
    ours = execute(*args, tmp_path / "ours", eval_config(0.0))
    theirs = execute(*args, tmp_path / "theirs", eval_config(0.0), StockExecutor)
    assert ours[0].mlmd_artifact.custom_properties == theirs[0].mlmd_artifact.custom_properties
    assert os.listdir(ours[0].uri) == os.listdir(theirs[0].uri)
    assert os.listdir(ours[0].uri) == ["BLESSED" if candidate == "lower" else "NOT_BLESSED"]
    assert verdict(ours[1].uri) == verdict(theirs[1].uri)
    for model in ("candidate", "baseline"):
        mine, stock = (tfma.load_eval_result(evaluation.uri, model_name=model) for _, evaluation in (ours, theirs))
        assert (mine.config, mine.model_location) == (stock.config, stock.model_location)
        assert not any(value for _, value in [*mine.plots, *mine.attributions, *stock.plots, *stock.attributions])
        measured, expected = numbers(mine), numbers(stock)
        assert len(expected) > 40
        assert measured == pytest.approx(expected, abs=1e-6, nan_ok=True)


def numbers(result) -> dict[tuple, float]:
    """Slice and name of a metric to its value."""
    return {
        (key, name): float(value["doubleValue"])
        for key, metrics in result.slicing_metrics
        for name, value in metrics[""][""].items()
    }


def verdict(uri: str) -> tuple:
    """What a validation result says, but the numbers."""
    result = tfma.load_validation_result(uri)
    failures = [
        (failure.metric_key.name, failure.metric_key.model_name)
        for of_slice in result.metric_validations_per_slice
        for failure in of_slice.failures
    ]
    return result.validation_ok, result.rubber_stamp, failures, result.validation_details.slicing_details


def test_missing_baseline_fails_the_run_and_blesses_nothing(blessed_run, models, tmp_path):
    with pytest.raises(MissingBaselineError, match="Received: none"):
        evaluate(blessed_run, models["half"], None, tmp_path)


def probabilities(run, model) -> tuple[np.ndarray, np.ndarray]:
    """Labels and a model's probabilities on the eval split, as TensorFlow computes them."""
    files = sorted(glob.glob(os.path.join(run.artifact("HiggsExampleGen", "examples"), "Split-eval", "*")))
    records = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    labels = tf.io.parse_example(records, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"].numpy()
    served = tf.saved_model.load(os.path.join(model.uri, "Format-Serving")).signatures["serving_default"]
    return labels, served(examples=tf.constant(records))["probability"].numpy()


def test_interval_is_that_of_paired_differences(blessed_run, models, tmp_path):
    _, uri = evaluate(blessed_run, models["mass"], models["half"], tmp_path, (0.0, 0.9))
    differences = np.subtract(*(crossentropies(*probabilities(blessed_run, models[m])) for m in ("mass", "half")))
    interval = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.9)
    assert measured(uri, "candidate", "binary_crossentropy_lower_diff") == pytest.approx(interval.low, abs=1e-6)
    assert measured(uri, "candidate", "binary_crossentropy_upper_diff") == pytest.approx(interval.high, abs=1e-6)


def test_confidence_refuses_what_is_within_the_noise_and_blesses_what_is_not(blessed_run, models, tmp_path):
    # A logit of 0.05 is better than 0 by about 0.001 nats, with a standard error of the same size over 400 events.
    blessed, uri = evaluate(blessed_run, models["lower"], models["half"], tmp_path / "a", (0.0, 0.95))
    assert measured(uri, "candidate", DIFFERENCE) < 0 < measured(uri, "candidate", UPPER)
    assert not blessed
    blessed, uri = evaluate(blessed_run, models["mass"], models["certain"], tmp_path / "b", (0.0, 0.95))
    assert measured(uri, "candidate", UPPER) < 0
    assert blessed == (measured(uri, "candidate", NO_SKILL) < 0)


def test_confidence_refuses_what_beats_only_a_baseline_that_is_worse_than_a_constant(blessed_run, models, tmp_path):
    pair = models["half"], models["certain"]
    blessed, uri = evaluate(blessed_run, *pair, tmp_path / "a", (0.0, 0.95))
    assert measured(uri, "candidate", UPPER) < 0 < measured(uri, "candidate", NO_SKILL)
    assert not blessed
    assert evaluate(blessed_run, *pair, tmp_path / "b")[0]


@pytest.mark.parametrize("gate", [(0.0, 0.0), (0.01, 0.0), (0.0, 0.9), (0.002, 0.99)])
def test_evaluation_says_what_the_gate_asked(gate):
    assert asked_by(eval_config(*gate)) == gate


def metrics(bce: float, upper: float = -0.001, no_skill: float = -0.1) -> dict[str, float]:
    return {BCE: bce, LOWER: -0.2, UPPER: upper, NO_SKILL: no_skill}


@pytest.mark.parametrize(
    ("blessed", "candidate", "baseline", "gate", "words"),
    [
        (True, metrics(0.5), 0.6, GateConfig(), "better than the baseline by 0.1000 nats, where any improvement"),
        (False, metrics(0.5), 0.5, GateConfig(), "a tie"),
        (False, metrics(0.6), 0.5, GateConfig(), "worse than the baseline by 0.1000 nats"),
        (False, metrics(0.5), 0.501, GateConfig(0.01), "by 0.0010 nats only, where at least 0.01 is asked"),
        (False, metrics(math.nan), 0.5, GateConfig(), "not a number"),
        (False, metrics(0.5, 0.001), 0.501, GateConfig(0.0, 0.95), "0.0010 nats, but within the noise"),
        (False, metrics(0.5, -0.001, 0.02), 0.6, GateConfig(0.0, 0.95), "not better than a constant"),
    ],
)
def test_verdict_gives_the_reason(blessed, candidate, baseline, gate, words):
    assert words in judge(blessed, candidate, {BCE: baseline}, gate).reason
