"""The gate, with TFMA's own verdict on models whose probabilities are known."""

import glob
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_model_analysis as tfma
from conftest import make_rows
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tfx.components.evaluator.executor import Executor as StockExecutor
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.standard_component_specs import EXAMPLE_SPLITS_KEY
from tfx.utils import json_utils

from components.champion import find_champion, from_json
from components.evaluator import Driver, Executor
from components.event_metrics import NO_SKILL
from components.verdict import DIFFERENCE, UPPER, VERDICT_PROPERTY, Verdict
from events.errors import ChampionError, MissingBaselineError, VersionsError
from events.higgs.columns import FEATURES, LABEL
from metrics.sums import crossentropies
from models.architectures import Architecture
from models.networks import build
from models.signatures import export
from models.transform_graph import TransformGraph
from pipeline.gate import eval_config
from pipeline.runners import beam_options
from serving import versions


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
    # For `known_rows`, whose label m_bb tells in part.
    kinds |= {"good": (0.0, 1.0), "as_good": (-0.01, 1.0), "weak": (0.0, 0.3), "weaker": (0.0, 0.29)}
    return {name: make_model(folder / name, graph, *kind) for name, kind in kinds.items()}


@pytest.fixture(scope="session")
def known_rows(tmp_path_factory) -> str:
    """The folder of examples of 600 events, in eval: m_bb is 1.25 for signal, 0.75 for background, give or take 0.3."""
    rows = make_rows(600, seed=3)
    rows[:, 26] = 1.0 + 0.25 * (2 * rows[:, 0] - 1) + np.random.default_rng(4).normal(0, 0.3, len(rows))
    folder = tmp_path_factory.mktemp("known")
    (folder / "Split-eval").mkdir()
    with tf.io.TFRecordWriter(str(folder / "Split-eval" / "rows")) as file:
        for label, *features in rows:
            fields = {name: {"floatList": {"value": [float(v)]}} for name, v in zip(FEATURES, features, strict=True)}
            fields[LABEL] = {"int64List": {"value": [int(label)]}}
            example = json_format.ParseDict({"features": {"feature": fields}}, tf.train.Example())
            file.write(example.SerializeToString())
    return str(folder)


def execute(run, candidate, baseline, folder, config, executor=Executor, rows="", **settings):
    """Runs the Evaluator's executor, or another, as TFX does; the blessing and the evaluation.

    The examples are the run's, or those in the folder `rows`; `settings` are further execution properties.
    """
    examples = standard_artifacts.Examples()
    examples.uri = rows or run.artifact("HiggsExampleGen", "examples")
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
        **settings,
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
    properties, expected = (dict(blessing.mlmd_artifact.custom_properties) for blessing, _ in (ours, theirs))
    assert Verdict.from_json(properties.pop(VERDICT_PROPERTY).string_value).blessed == (candidate == "lower")
    assert properties == expected
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
    """Labels and a model's probabilities on the run's eval split, as TensorFlow computes them."""
    return tf_probabilities(model, run.artifact("HiggsExampleGen", "examples"))


def tf_probabilities(model, examples: str) -> tuple[np.ndarray, np.ndarray]:
    """The same on the eval split in a folder of examples."""
    files = sorted(glob.glob(os.path.join(examples, "Split-eval", "*")))
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


def decide(run, known_rows, models, candidate, baseline, folder, gate=(0.0,), **settings) -> Verdict:
    """The verdict on the known rows, as it stands in the blessing."""
    pair = models[candidate], models[baseline]
    blessing, _ = execute(run, *pair, folder, eval_config(*gate), rows=known_rows, **settings)
    verdict = Verdict.from_json(blessing.get_string_custom_property(VERDICT_PROPERTY))
    assert verdict.blessed == (blessing.get_int_custom_property("blessed") == 1)
    return verdict


def test_confidence_looks_at_the_upper_end_of_the_interval(blessed_run, known_rows, models, tmp_path):
    # Far better than a constant, so that nothing but the interval to the baseline can refuse it.
    pair = known_rows, models, "as_good", "good"
    refused = decide(blessed_run, *pair, tmp_path / "a", (0.0, 0.95))
    assert refused.difference < 0 < refused.interval[1]
    assert not refused.blessed
    assert refused.reason.endswith("but within the noise.")
    blessed = decide(blessed_run, *pair, tmp_path / "b")
    assert blessed.blessed
    assert blessed.within_noise
    assert "within the noise: the 95% interval holds 0, and gate.confidence=0.95 would require more" in blessed.reason


def test_confidence_holds_the_interval_to_the_margin(blessed_run, known_rows, models, tmp_path):
    sure = decide(blessed_run, known_rows, models, "good", "weak", tmp_path / "a", (0.0, 0.95))
    assert sure.blessed
    assert not sure.within_noise
    margin = -(sure.difference + sure.interval[1]) / 2  # met by the difference, not by the whole interval
    pair = known_rows, models, "good", "weak"
    refused = decide(blessed_run, *pair, tmp_path / "b", (margin, 0.95))
    assert not refused.blessed
    assert f"but not surely by {margin:g}" in refused.reason
    assert decide(blessed_run, *pair, tmp_path / "c", (margin,)).blessed
    assert decide(blessed_run, *pair, tmp_path / "d", (-0.99 * sure.interval[1], 0.95)).blessed


def serve(model, folder) -> tuple[dict, Path]:
    """Serves a model as the stable version: the Evaluator's settings for it, and the version's folder."""
    base = folder / "serving" / "higgs"
    exported = os.path.join(model.uri, "Format-Serving")
    pushed = versions.push(str(base), lambda target: shutil.copytree(exported, target, dirs_exist_ok=True))
    return {"serving": str(base), "max_regression": 0.0, "may_know_eval": 0}, base / str(pushed.version)


def test_nothing_served_leaves_the_baseline_alone(blessed_run, known_rows, models, tmp_path):
    nowhere = {"serving": str(tmp_path / "serving" / "higgs"), "max_regression": 0.0}
    verdict = decide(blessed_run, known_rows, models, "good", "weak", tmp_path, **nowhere)
    assert verdict.blessed
    assert verdict.champion is None


def test_candidate_that_beats_the_baseline_but_not_the_served_model_is_refused(
    blessed_run, known_rows, models, tmp_path
):
    settings, served = serve(models["good"], tmp_path)
    verdict = decide(blessed_run, known_rows, models, "weak", "weaker", tmp_path / "a", **settings)
    assert verdict.difference < 0
    assert not verdict.blessed
    assert (verdict.champion.number, verdict.champion.folder) == (int(served.name), str(served))
    known = {name: tf_probabilities(models[name], known_rows) for name in ("good", "weak")}
    labels = known["good"][0]
    apart = np.subtract(*(crossentropies(labels, known[name][1]) for name in ("weak", "good")))
    interval = scipy.stats.ttest_1samp(apart, 0.0).confidence_interval(0.95)
    assert verdict.champion.bce == pytest.approx(crossentropies(*known["good"]).mean(), abs=1e-6)
    assert verdict.champion.difference == pytest.approx(apart.mean(), abs=1e-6)
    assert verdict.champion.interval == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert verdict.reason.startswith("better than the baseline by ")
    assert f"worse than version {served.name}, which is served, by {apart.mean():.4f} nats" in verdict.reason
    # Allowed as much, it is blessed; a little less, it is not; and without a champion, by the baseline alone.
    for n, (allowed, blessed) in enumerate(((1.001, True), (0.999, False))):
        settings["max_regression"] = allowed * apart.mean()
        again = decide(blessed_run, known_rows, models, "weak", "weaker", tmp_path / f"b{n}", **settings)
        assert again.blessed == blessed
    assert decide(blessed_run, known_rows, models, "weak", "weaker", tmp_path / "c", serving="").blessed


def test_candidate_as_good_as_the_served_model_is_blessed_and_must_still_beat_the_baseline(
    blessed_run, known_rows, models, tmp_path
):
    settings, served = serve(models["good"], tmp_path)
    same = decide(blessed_run, known_rows, models, "good", "weak", tmp_path / "a", **settings)
    assert same.blessed
    assert same.champion.difference == 0.0
    assert same.reason.endswith(f"; as good as version {served.name}, which is served.")
    tie = decide(blessed_run, known_rows, models, "good", "good", tmp_path / "b", **settings)
    assert not tie.blessed
    assert (
        tie.reason == f"a tie with the baseline is no improvement; as good as version {served.name}, which is served."
    )


def test_served_model_is_held_to_no_threshold_of_the_candidate(blessed_run, known_rows, models, tmp_path):
    # It is worse than the baseline and than a constant, which is its own fault, not the candidate's.
    settings, _ = serve(models["certain"], tmp_path)
    verdict = decide(blessed_run, known_rows, models, "good", "weak", tmp_path / "a", (0.0, 0.95), **settings)
    assert verdict.blessed
    assert verdict.champion.bce > verdict.baseline


def test_served_model_that_answers_nan_is_not_beaten(blessed_run, known_rows, models, tmp_path):
    settings, served = serve(models["nan"], tmp_path)
    verdict = decide(blessed_run, known_rows, models, "good", "weak", tmp_path / "a", **settings)
    assert not verdict.blessed
    assert verdict.reason.endswith(
        f"; not comparable with version {served.name}, which is served: a binary crossentropy is not a number."
    )


def test_driver_knows_the_champion_by_its_content(models, tmp_path):
    settings, served = serve(models["good"], tmp_path)

    def found() -> str:
        info = ExecutionInfo(exec_properties=dict(settings))
        return Driver(None).run(info).exec_properties["champion"].string_value

    first = found()
    assert from_json(first) == find_champion(settings["serving"])
    (served / "assets.extra").mkdir(exist_ok=True)
    (served / "assets.extra" / "note.txt").write_text("warm-up")
    assert found() == first
    [weights] = (served / "variables").glob("*.data*")
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert from_json(found()).digest != from_json(first).digest
    settings["serving"] = ""
    assert from_json(found()) is None


def test_served_version_that_cannot_be_compared_is_one_line_with_its_remedy(blessed_run, known_rows, models, tmp_path):
    settings, served = serve(models["good"], tmp_path)
    model = served / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(model.read_bytes())
    del saved.meta_graphs[0].signature_def["serving_features"].inputs["m_bb"]
    model.write_bytes(saved.SerializeToString())
    with pytest.raises(
        ChampionError, match=rf"version {served.name}, whose serving_features differs: m_bb\. Set gate.champion=off"
    ):
        decide(blessed_run, known_rows, models, "good", "weak", tmp_path / "a", **settings)
    model.unlink()
    with pytest.raises(
        ChampionError, match=rf"Received: version {served.name}, without a model in {served}\. Put it back"
    ):
        find_champion(settings["serving"])
    with pytest.raises(VersionsError, match=r"Received: gs://bucket/serving/higgs\. Mount it"):
        find_champion("gs://bucket/serving/higgs")
