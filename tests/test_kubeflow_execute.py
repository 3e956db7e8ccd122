"""Every task of the compiled spec, run as Kubeflow would run it."""

import json
import os
from pathlib import Path

import pytest
import tensorflow_model_analysis as tfma
from conftest import Run, higgs, make_rows, to_csv

from kubeflow import entrypoint
from kubeflow.execute import execute
from kubeflow.parameters import apply
from pipeline.errors import ConfigError
from pipeline.gate import BCE


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A compiled file with other defaults than those of the run."""
    folder = tmp_path_factory.mktemp("kubeflow")
    path = folder / "pipeline.yaml"
    data = ("--data", "/nowhere/rows.csv", "--output", folder / "pushed")
    code, output = higgs("kubeflow", "compile", "--to", path, "--image", "higgs", *data, "--epochs", 1)
    assert code == 0, output
    assert [path] == list(folder.iterdir()), "compiling makes the file and nothing else"
    return path


@pytest.fixture(scope="module")
def outputs(compiled, blessed_run: Run) -> dict:
    """Task to its outputs, for the rows and settings of `blessed_run`."""
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


def test_blessed_model_is_pushed_and_says_where_its_rows_come_from(outputs, compiled):
    [version] = (compiled.parent / "pushed" / "serving" / "higgs").iterdir()
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
            assert artifact.uri.startswith("minio://mlpipeline/higgs/")
            assert "/pods/" not in json.dumps(artifact.metadata)
    blessing = outputs["higgs-evaluator"]["blessing"].metadata
    assert blessing["current_model"] == outputs["trainer-candidate"]["model"].uri
    assert blessing["current_model_id"] == outputs["trainer-candidate"]["model"].name


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
    [examples] = next(outputs for name, outputs in tasks if name == "higgs-example-gen").values()
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
    [prepared] = entrypoint.prepare(invocation, INPUTS_SPEC, "higgs-pusher")["inputs"]["artifacts"]["model"][
        "artifacts"
    ]
    assert prepared["type"] == INPUTS_SPEC["artifacts"]["model"]["artifactType"]
    assert prepared["metadata"] == {"kept": 1}
    assert prepared["uri"] == str(root / "s3" / "bucket" / "model")


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
    settings = {"schema_file": "package:models/schema.pbtxt#0123"}
    invocation = {"inputs": {"parameterValues": settings}, "outputs": {}}
    entrypoint.prepare(invocation, {}, "import-schema-gen")
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


def test_newest_span_is_left_to_the_driver():
    settings = {"input_config": json.dumps({"splits": [{"name": "all", "pattern": "x"}]}), "data": "/d/{SPAN}/*.csv"}
    apply("higgs-example-gen", settings)
    assert settings["input_base"] == "/d"
    assert json.loads(settings["input_config"])["splits"][0]["pattern"] == "{SPAN}/*.csv"
