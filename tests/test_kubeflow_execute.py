"""Every task of the compiled spec, run as Kubeflow would run it."""

import contextlib
import json
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
import tensorflow_model_analysis as tfma
import yaml
from click.testing import CliRunner
from conftest import Run, higgs, make_rows, to_csv

from cli.kubeflow import kubeflow
from components.event_metrics import BCE
from components.verdict import Verdict
from events.errors import ConfigError, DatasetError, ModelError
from kubeflow import entrypoint
from kubeflow.compile import COMMAND
from kubeflow.execute import execute
from kubeflow.parameters import TUNER, apply
from kubeflow.releases import LOGS, RELEASES
from kubeflow.resources import NEEDS
from pipeline.exits import reported

TASKS = set(NEEDS) - {TUNER}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A compiled file with other defaults than those of the run."""
    folder = tmp_path_factory.mktemp("kubeflow")
    path = folder / "pipeline.yaml"
    data = ("--data", "/nowhere/rows.csv", "--output", folder / "pushed")
    code, output = higgs("kubeflow", "compile", "--to", path, "--image", "higgs:1", *data, "--epochs", 1)
    assert code == 0, output
    assert [path] == list(folder.iterdir()), "compiling makes the file and nothing else"
    return path


@pytest.fixture(scope="module")
def outputs(compiled, blessed_run: Run) -> dict:
    """Task to its outputs, for the rows and settings of `blessed_run`, whose model is served already."""
    shutil.copytree(blessed_run.folder / "serving", compiled.parent / "pushed" / "serving")
    [data] = (blessed_run.folder / "data").glob("*.csv")
    parameters = {"data": str(data), "origin": "simulated", "architecture": "medium", "epochs": 30.0}
    return dict(execute(str(compiled), parameters, str(compiled.parent)))


def metrics(evaluation: str, model: str) -> dict:
    result = tfma.load_eval_result(evaluation, model_name=model)
    [overall] = [values for key, values in result.slicing_metrics if not key]
    return {name: value["doubleValue"] for name, value in overall[""][""].items()}


def stored(folder, uri: str) -> str:
    return str(folder / "store" / uri.removeprefix("minio://"))


def test_pipeline_ends_with_the_verdict_of_a_local_run(outputs, compiled, blessed_run):
    verdict = blessed_run.first_summary["verdict"]
    assert outputs["higgs-evaluator"]["blessing"].metadata["blessed"] == verdict["blessed"] == 1
    evaluation = stored(compiled.parent, outputs["higgs-evaluator"]["evaluation"].uri)
    assert metrics(evaluation, "candidate")[BCE] == pytest.approx(verdict["candidate"], abs=1e-6)
    assert metrics(evaluation, "baseline")[BCE] == pytest.approx(verdict["baseline"], abs=1e-6)


def test_candidate_is_compared_with_the_model_that_is_served_where_the_pusher_pushes(outputs, compiled, blessed_run):
    verdict = Verdict.from_json(outputs["higgs-evaluator"]["blessing"].metadata["verdict"])
    [served] = blessed_run.versions
    assert verdict.champion.number == int(served.name)
    assert verdict.champion.folder == str(compiled.parent / "pushed" / "serving" / "higgs" / served.name)
    # The same rows and settings make the same network once more.
    assert verdict.champion.difference == pytest.approx(0.0, abs=1e-7)


def test_blessed_model_is_pushed_and_says_where_its_rows_come_from(outputs, compiled):
    version = max((compiled.parent / "pushed" / "serving" / "higgs").iterdir())
    assert (version / "saved_model.pb").exists()
    assert "Rows: simulated." in (version / "assets.extra" / "model_card.md").read_text()
    assert outputs["higgs-pusher"]["pushed_model"].metadata["pushed_destination"] == str(version)


def test_run_time_parameters_reach_the_tasks(outputs, compiled):
    history = stored(compiled.parent, outputs["trainer-candidate"]["model_run"].uri) + "/history.json"
    with open(history) as file:
        summary = json.load(file)["summary"]
    assert summary["architecture"]["hidden_units"] == [64, 64, 64]
    assert summary["rules"]["epochs"] == summary["epochs"] == 30


def test_data_is_known_by_its_fingerprint_and_origin(outputs):
    examples = outputs["higgs-example-gen"]["examples"]
    assert examples.metadata["origin"] == "simulated"
    assert "num_files:1" in examples.metadata["input_fingerprint"]


def test_nothing_that_kubeflow_keeps_names_a_pod_s_folder(outputs, compiled):
    for artifacts in outputs.values():
        for artifact in artifacts.values():
            assert artifact.uri.startswith("minio://mlpipeline/v2/artifacts/higgs/")
            assert "/pods/" not in json.dumps(artifact.metadata)
    blessing = outputs["higgs-evaluator"]["blessing"].metadata
    assert blessing["current_model"] == outputs["trainer-candidate"]["model"].uri
    assert blessing["current_model_id"] == outputs["trainer-candidate"]["model"].id


def in_this_process(command: list[str], environment: dict[str, str], log: str) -> int:
    """Runs a task's command line without a process of its own."""
    assert tuple(command[: len(COMMAND)]) == COMMAND
    with (
        mock.patch.dict(os.environ, environment),
        open(log, "w") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        try:
            with reported():
                print("task starts")
                entrypoint.main(command[len(COMMAND) :])
        except SystemExit as end:
            return end.code
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_every_task_runs_by_the_rules_of_each_release(compiled, csv_file, tmp_path, monkeypatch, release):
    monkeypatch.setattr("kubeflow.execute.start_process", in_this_process)
    parameters = {"data": str(csv_file), "architecture": "tiny", "epochs": 2.0}
    outputs = dict(execute(str(compiled), parameters, str(tmp_path), release=release))
    assert set(outputs) == TASKS
    models = [outputs[name]["model"].id for name in ("trainer-candidate", "trainer-baseline")]
    blessing = outputs["higgs-evaluator"]["blessing"].metadata
    assert [blessing["current_model_id"], blessing["baseline_model_id"]] == models
    assert models[0] != models[1]
    logs = {artifacts[LOGS].uri for artifacts in outputs.values() if LOGS in artifacts}
    assert len(logs) == (0 if release == "2.4" else len(TASKS))
    for uri in logs:
        assert uri.endswith("-0") == (release in ("2.17", "next"))
        assert Path(stored(tmp_path, uri)).read_text().startswith("task starts")
    assert (outputs["higgs-evaluator"]["evaluation"].metadata.get("display_name") is None) == (release == "next")


@pytest.mark.slow
def test_pipeline_that_tunes_trains_the_best_trial_and_keeps_all_on_the_volume(csv_file, tmp_path, monkeypatch):
    monkeypatch.setattr("kubeflow.execute.start_process", in_this_process)
    options = (
        "--image",
        "higgs:1",
        "--data",
        csv_file,
        "--output",
        tmp_path / "volume",
        "--volume",
        "higgs:/mnt/higgs",
    )
    options += ("--tune", "--set", "tuner.trials=2")
    result = CliRunner().invoke(kubeflow, ["compile", "--to", str(tmp_path / "p.yaml"), *map(str, options)])
    assert result.exit_code == 0, result.output
    [spec, platform] = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert set(spec["root"]["dag"]["tasks"]) == set(NEEDS)
    assert "exec-tuner" in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    parameters = {"architecture": "small", "epochs": 2.0}
    outputs = dict(execute(str(tmp_path / "p.yaml"), parameters, str(tmp_path / "run")))

    def read(task: str, key: str, file: str):
        return json.loads((Path(stored(tmp_path / "run", outputs[task][key].uri)) / file).read_text())

    trials = read("tuner", "tuner_results", "tuner_results.json")
    trained = read("trainer-candidate", "model_run", "history.json")["summary"]
    assert len(trials) == 2
    assert {trial["architecture"] for trial in trials} == {"small"}
    assert trained["rules"]["epochs"] == 2
    assert trained["val"]["bce"] == min(trial["score"] for trial in trials)
    assert list((tmp_path / "volume" / "tuning").rglob("trial_1"))


def test_failing_task_is_one_line_in_its_log_and_here(compiled, tmp_path):
    code, output = higgs("kubeflow", "execute", compiled, "--folder", tmp_path)
    assert code == 2
    assert "Received: exit code 2 from " in output
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert "Error: Data must exist. Received: /nowhere/rows.csv." in logs["higgs-example-gen.log"]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [("epoch=3", "Parameters are architecture, "), ("epochs=ten", "epochs is a number. Received: 'ten'.")],
)
def test_run_time_parameter_that_cannot_be_used_is_refused(compiled, parameter, expected):
    code, output = higgs("kubeflow", "execute", compiled, "--parameter", parameter)
    assert code == 2
    assert expected in output


def test_pattern_with_a_span_reads_the_newest_data(compiled, tmp_path):
    for span, n_rows in ((1, 300), (2, 400)):
        folder = tmp_path / f"day-{span}"
        folder.mkdir()
        (folder / "rows.csv").write_text(to_csv(make_rows(n_rows, seed=span)))
    parameters = {"data": f"{tmp_path}/day-{{SPAN}}/*.csv"}
    tasks = execute(str(compiled), parameters, str(tmp_path / "run"))
    examples = next(outputs for name, outputs in tasks if name == "higgs-example-gen")["examples"]
    [summary] = Path(stored(tmp_path / "run", examples.uri)).glob("summary-*.json")
    assert json.loads(summary.read_text())["file"] == f"{tmp_path}/day-2/rows.csv"
    assert examples.metadata["custom:span"] == 2


INPUTS_SPEC = {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """What stands for the pod's root folder."""
    monkeypatch.setenv(entrypoint.ROOT_VARIABLE, str(tmp_path))
    for folder in ("minio", "s3", "gcs"):
        (tmp_path / folder / "bucket").mkdir(parents=True)
    return tmp_path


def test_artifacts_get_the_types_that_open_source_kubeflow_leaves_out(root):
    artifact = {"name": "7", "uri": "s3://bucket/model", "type": {"instanceSchema": ""}}
    artifact["metadata"] = {"store_session_info": "{}", "display_name": "model", "kept": 1}
    invocation = {"inputs": {"artifacts": {"model": {"artifacts": [artifact]}}}, "outputs": {}}
    prepared = entrypoint.prepare(invocation, INPUTS_SPEC, (), "higgs-pusher")
    [prepared] = prepared["inputs"]["artifacts"]["model"]["artifacts"]
    assert prepared["type"] == INPUTS_SPEC["artifacts"]["model"]["artifactType"]
    assert prepared["metadata"] == {"kept": 1}
    assert prepared["uri"] == str(root / "s3" / "bucket" / "model")


def test_outputs_that_the_component_does_not_define_are_left_to_the_launcher(root):
    file = root / "minio" / "bucket" / "anything"
    file.write_text("")
    outputs = {
        key: {"artifacts": [{"uri": f"minio://bucket/{key}", "type": {"schemaTitle": "system.Artifact"}}]}
        for key in ("model", "anything")
    }
    invocation = {"outputs": {"artifacts": outputs, "outputFile": "/o"}}
    prepared = entrypoint.prepare(invocation, {}, ["model", "model_run"], "trainer-candidate")
    assert set(prepared["outputs"]["artifacts"]) == {"model"}
    assert (root / "minio" / "bucket" / "model").is_dir()
    assert file.is_file()


def test_two_models_that_share_a_name_are_told_apart_by_their_ids(root):
    spec = {"artifacts": {key: INPUTS_SPEC["artifacts"]["model"] for key in ("model", "baseline_model")}}
    inputs = {
        key: {"artifacts": [{"name": "model", "artifactId": key[:4], "uri": f"s3://bucket/{key}", "type": {}}]}
        for key in spec["artifacts"]
    }
    prepared = entrypoint.prepare({"inputs": {"artifacts": inputs}, "outputs": {}}, spec, (), "higgs-evaluator")
    names = [artifacts["artifacts"][0]["name"] for artifacts in prepared["inputs"]["artifacts"].values()]
    assert names == ["mode", "base"]


@pytest.mark.parametrize(
    ("uri", "folder"), [("minio://bucket/a", "minio"), ("s3://bucket/a", "s3"), ("gs://bucket/a", "gcs")]
)
def test_uris_become_the_launcher_s_folders_and_back(root, uri, folder):
    assert entrypoint.to_local(uri) == str(root / folder / "bucket" / "a")
    assert entrypoint.to_uri(entrypoint.to_local(uri)) == uri


def test_uri_without_a_folder_stays_what_it_is(root):
    assert entrypoint.to_local("gs://elsewhere/a") == "gs://elsewhere/a"
    assert entrypoint.to_local("/mnt/higgs") == entrypoint.to_uri("/mnt/higgs") == "/mnt/higgs"


def test_output_has_uris_of_the_store_and_no_nulls(root):
    local = str(root / "minio" / "bucket" / "m")
    output = {"artifacts": {"m": {"artifacts": [{"uri": local, "metadata": {"from": local, "gone": None, "n": 1}}]}}}
    (root / "output.json").write_text(json.dumps(output))
    entrypoint.restore(str(root / "output.json"))
    [artifact] = json.loads((root / "output.json").read_text())["artifacts"]["m"]["artifacts"]
    assert artifact == {"uri": "minio://bucket/m", "metadata": {"from": "minio://bucket/m", "n": 1}}


def test_file_of_our_own_is_found_where_the_code_lies():
    settings = {"schema_file": "package:events/higgs/schema.pbtxt#0123"}
    invocation = {"inputs": {"parameterValues": settings}, "outputs": {}}
    entrypoint.prepare(invocation, {}, (), "import-schema-gen")
    assert os.path.isfile(settings["schema_file"])


def test_simulated_rows_are_not_passed_off_as_real(tmp_path):
    (tmp_path / "simulated.csv").write_text("1\n")
    settings = {
        "input_config": json.dumps({"splits": [{"name": "all", "pattern": "x"}]}),
        "custom_config": json.dumps({"custom_config": {"value": {"origin": "?"}}}),
        "data": str(tmp_path / "simulated.csv"),
    }
    with pytest.raises(ConfigError, match="Simulated rows are called so"):
        apply("higgs-example-gen", settings | {"origin": "real"})
    settings["origin"] = "simulated"
    apply("higgs-example-gen", settings)
    assert json.loads(settings["custom_config"])["custom_config"]["value"]["origin"] == "simulated"
    assert "data" not in settings
    assert "origin" not in settings


DATA_SETTINGS = {"input_config": json.dumps({"splits": [{"name": "all", "pattern": "x"}]}), "input_base": "/nowhere"}
TRAINER_SETTINGS = {"custom_config": json.dumps({"rules": {"epochs": 1}, "architecture": {}})}


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("higgs-example-gen", DATA_SETTINGS | {"data": ""}, "The data path is absolute, or a URI: it is a pod that"),
        ("higgs-example-gen", DATA_SETTINGS | {"data": "rows.csv"}, "Received: 'rows.csv'. Write it in full."),
        ("higgs-example-gen", DATA_SETTINGS | {"data": "/nowhere.csv"}, "Data must exist. Received: /nowhere.csv."),
        ("higgs-example-gen", DATA_SETTINGS | {"origin": "Real"}, "is one of real, simulated. Received: 'Real'."),
        ("higgs-pusher", {"origin": ""}, "Received: ''. Correct it with the run-time parameter origin."),
        ("trainer-candidate", TRAINER_SETTINGS | {"epochs": 2.7}, "is a whole number. Received: '2.7'."),
        ("trainer-candidate", TRAINER_SETTINGS | {"epochs": float("nan")}, "is a whole number. Received: 'nan'."),
        ("trainer-candidate", TRAINER_SETTINGS | {"epochs": 0.0}, "train.epochs is at least 1. Received: 0."),
        ("trainer-candidate", TRAINER_SETTINGS | {"architecture": "droput"}, "Did you mean dropout?"),
        ("trainer-candidate", TRAINER_SETTINGS | {"architecture": ""}, "Received: ''."),
        ("higgs-evaluator", {"min_improvement": float("nan")}, "is at least 0. Received: nan."),
        ("higgs-evaluator", {"confidence": 1.0}, "is at least 0 and below 1. Received: 1.0."),
    ],
)
def test_run_time_parameter_is_refused_in_one_line_as_a_setting_would_be(task, settings, message):
    with pytest.raises((ConfigError, DatasetError, ModelError)) as caught:
        apply(task, dict(settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_number_is_whole_though_kubeflow_sends_a_float():
    settings = TRAINER_SETTINGS | {"epochs": 30.0}
    apply("trainer-candidate", settings)
    assert settings == {"custom_config": json.dumps({"rules": {"epochs": 30}, "architecture": {}})}


def test_newest_span_is_left_to_the_driver(tmp_path):
    for span in ("1", "2"):
        (tmp_path / span).mkdir()
        (tmp_path / span / "rows.csv").write_text(to_csv(make_rows(1)))
    pattern = json.dumps({"splits": [{"name": "all", "pattern": "x"}]})
    settings = {"input_config": pattern, "data": f"{tmp_path}/{{SPAN}}/*.csv"}
    apply("higgs-example-gen", settings)
    assert settings["input_base"] == str(tmp_path)
    assert json.loads(settings["input_config"])["splits"][0]["pattern"] == "{SPAN}/*.csv"
