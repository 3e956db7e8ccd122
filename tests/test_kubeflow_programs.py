"""The compiled pipeline under Kubeflow's own compiler, driver and launcher.

KFP_BIN names the folder with the three programs: `compiler`, `driver` and `launcher-v2`, as `go build` makes them of
`backend/src/v2/cmd` of kubeflow/pipelines (CGO_ENABLED=0, so that they run in any image). The compiler of 2.5.0 and
2.17.0 panics, since it never initializes the proxy that its templates mention: its `main` must first call
`proxy.InitializeConfigWithEnv()` of backend/src/apiserver/config/proxy. KFP_IMAGE names the image to run the tasks in
with Docker; without it they run on this machine. A release whose manifests tell Argo what to retry (2.17.0) has them
beside the programs, as `argo-settings.yaml`: see kubeflow_server.py.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow_model_analysis as tfma
from conftest import SHORT_RUN, Run, make_rows, to_csv
from kubeflow_argo import PodFailed, Workflow
from kubeflow_cluster import Cluster
from kubeflow_pods import refusal
from kubeflow_services import BUCKET, Services

from components.event_metrics import BCE
from kubeflow.parameters import TUNER
from kubeflow.releases import RELEASES
from kubeflow.resources import NEEDS

PROGRAMS = Path(os.environ.get("KFP_BIN", ""))
IMAGE = os.environ.get("KFP_IMAGE", "")
TASKS = set(NEEDS) - {TUNER}
LOGS = re.compile(r"executor-logs(-\d)?$")  # 2.17 adds the attempt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KFP_BIN" not in os.environ, reason="KFP_BIN names no folder with Kubeflow's programs"),
    pytest.mark.skipif(bool(refusal()), reason=f"no mount namespaces here: {refusal()}"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "volume").mkdir()
    (folder / "volume").chmod(0o777)  # the image's user is another than this machine's
    services = Services(folder)
    with services.running():
        yield Cluster(PROGRAMS, services, folder, IMAGE)


@pytest.fixture(scope="module")
def small(cluster) -> str:
    """The path, as pods see it, of a few rows."""
    (cluster.volume / "small.csv").write_text(to_csv(make_rows(400)))
    return "/higgs/small.csv"


VERSIONED = ("--data-version", "1")


@pytest.fixture(scope="module")
def local_run(request, tmp_path_factory) -> Run:
    """A blessed run of `higgs run`, where the tasks run as well: on this machine, or in the image."""
    if not IMAGE:
        return request.getfixturevalue("blessed_run")
    folder = tmp_path_factory.mktemp("local")
    folder.chmod(0o777)
    command = ["docker", "run", "--rm", "--volume", f"{folder}:/local", IMAGE]
    command += ["higgs", "run", *SHORT_RUN, "--output", "/local/runs"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Run(result.returncode, result.stdout, folder / "runs")


@pytest.fixture(scope="module")
def parameters(cluster, local_run: Run) -> dict:
    """Run-time parameters for the rows and settings of `local_run`."""
    [data] = (local_run.folder / "data").glob("*.csv")
    shutil.copy(data, cluster.volume / "rows.csv")
    return {"architecture": "medium", "epochs": 30.0}


@pytest.fixture(scope="module")
def run(cluster, parameters) -> Workflow:
    """The pipeline, run to its end."""
    workflow = cluster.workflow("first", parameters, *VERSIONED)
    workflow.run()
    return workflow


def executors(tasks) -> set[str]:
    return {f"root/{task}/executor" for task in tasks}


def properties(artifact) -> dict:
    return {name: getattr(value, value.WhichOneof("value")) for name, value in artifact.custom_properties.items()}


def test_every_task_succeeds_at_its_first_attempt(run):
    assert run.attempts == dict.fromkeys(executors(TASKS), 1)


def test_figures_are_those_of_a_local_run(cluster, run, local_run, tmp_path):
    verdict = local_run.first_summary["verdict"]
    outputs = cluster.outputs(run, "higgs-evaluator")
    assert properties(outputs["blessing"])["blessed"] == verdict["blessed"] == 1
    for name, content in cluster.objects(outputs["evaluation"].uri).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for model in ("candidate", "baseline"):
        result = tfma.load_eval_result(str(tmp_path), model_name=model)
        [overall] = [values for key, values in result.slicing_metrics if not key]
        assert overall[""][""][BCE]["doubleValue"] == pytest.approx(verdict[model], abs=1e-6)


def test_blessed_model_is_pushed_to_the_volume(cluster, run):
    [version] = (cluster.volume / "serving" / "higgs").iterdir()
    assert (version / "saved_model.pb").exists()
    pushed = properties(cluster.outputs(run, "higgs-pusher")["pushed_model"])
    assert pushed["pushed_destination"] == f"/higgs/serving/higgs/{version.name}"


def test_metadata_has_the_types_of_the_spec_and_no_folder_of_a_pod(cluster, run):
    store = cluster.services.metadata()
    types = {kind.id: kind.name for kind in store.get_artifact_types()}
    examples = cluster.outputs(run, "higgs-example-gen")["examples"]
    assert types[examples.type_id] == "tfx.Examples"
    assert properties(examples)["origin"] == "simulated"
    blessing = properties(cluster.outputs(run, "higgs-evaluator")["blessing"])
    model = cluster.outputs(run, "trainer-candidate")["model"]
    assert (blessing["current_model"], blessing["current_model_id"]) == (model.uri, str(model.id))
    for task in TASKS:
        for artifact in cluster.outputs(run, task).values():
            assert artifact.uri.startswith(f"minio://{BUCKET}/v2/artifacts/higgs/{run.uid}/{task}/")
            assert "/minio/" not in str(artifact)


def test_log_of_every_task_is_published(cluster, run):
    for task in TASKS:
        [log] = [artifact for name, artifact in cluster.outputs(run, task).items() if LOGS.fullmatch(name)]
        [content] = cluster.objects(log.uri).values()
        assert content


def test_nothing_is_asked_of_kubernetes_but_the_launcher_s_settings_and_keys(cluster, run):
    paths = {"configmaps/kfp-launcher", "secrets/mlpipeline-minio-artifact"}
    assert set(cluster.services.requests) == {f"GET /api/v1/namespaces/kubeflow/{path}" for path in paths}


def test_driver_gives_a_task_what_execute_imitates(cluster, run):
    log = run.log("root/higgs-evaluator-driver").read_text()
    real, _ = json.JSONDecoder().raw_decode(log.partition("output ExecutorInput:")[2])
    release = RELEASES["2.17" if real["outputs"]["outputFile"].startswith("/minio/") else "2.5"]
    spec = json.loads((cluster.folder / "first" / "job.json").read_text())["pipelineSpec"]

    definitions = spec["components"]["comp-higgs-evaluator"]["outputDefinitions"]["artifacts"]
    root = f"minio://{BUCKET}/v2/artifacts/higgs/{run.uid}"
    imitated = json.dumps(release.provision(root, "higgs-evaluator", definitions), sort_keys=True)
    # The launcher, not the driver, adds the attempt.
    assert without_ids(imitated).replace("executor-logs-0", "executor-logs") == without_ids(
        json.dumps(real["outputs"], sort_keys=True)
    )
    [model] = real["inputs"]["artifacts"]["model"]["artifacts"]
    said = {"metadata": {"tfx_version": model["metadata"]["tfx_version"]}}
    recorded = release.record(0, "model", {"uri": model["uri"], "type": {}}, said)
    imitated = release.hand_on(recorded) | {"name": model["name"]}
    imitated["metadata"]["store_session_info"] = model["metadata"]["store_session_info"]
    assert imitated == model
    assert model["name"].isdecimal()


def without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)


def test_cache_stands_in_for_all_but_what_depends_on_the_served_model(cluster, run, parameters):
    again = cluster.workflow("again", parameters, *VERSIONED)
    again.run()
    dependent = {"higgs-evaluator", "higgs-infra-validator", "higgs-pusher"}  # the second reads the first's blessing
    assert set(again.attempts) == executors(dependent)
    assert again.skipped == executors(TASKS - dependent)
    # The same network once more is no improvement on what is served.
    assert len(list((cluster.volume / "serving" / "higgs").iterdir())) == 1


def test_pipeline_that_tunes_trains_the_best_trial(cluster, small):
    options = ("--tune", "--set", "tuner.trials=2")
    tuned = cluster.workflow("tuned", {"data": small, "architecture": "small", "epochs": 2.0}, *options)
    tuned.run()
    assert set(tuned.attempts) | tuned.skipped == executors(NEEDS)
    assert tuned.skipped <= executors({"import-schema-gen"})  # the schema of an earlier run, if there was one
    assert set(tuned.attempts.values()) == {1}
    results = cluster.objects(cluster.outputs(tuned, "tuner")["tuner_results"].uri)
    history = cluster.objects(cluster.outputs(tuned, "trainer-candidate")["model_run"].uri)
    scores = [trial["score"] for trial in json.loads(results["tuner_results.json"])]
    assert len(scores) == 2
    assert json.loads(history["history.json"])["summary"]["val"]["bce"] == min(scores)


def test_failing_task_is_tried_again_as_argo_is_told_and_its_line_is_in_each_log(cluster):
    options = ("--need", "higgs-example-gen.retries=1", "--need", "import-schema-gen.retries=1")
    failing = cluster.workflow("failing", {"data": "/higgs/nowhere.csv"}, *options)
    with pytest.raises(PodFailed) as caught:
        failing.run()
    path, _ = caught.value.args
    attempts = {"OnFailure": 2, "OnError": 1}[failing.retry_policy]
    assert (path, failing.attempts[path]) == ("root/higgs-example-gen/executor", attempts)
    message = "Error: Data must exist. Received: /higgs/nowhere.csv."
    assert failing.log(path).read_text().count(message) == attempts
    published = cluster.outputs(failing, "higgs-example-gen")
    # 2.17 publishes the log of each attempt that failed; 2.5 publishes none.
    assert set(published) in ({f"executor-logs-{attempt}" for attempt in range(attempts)}, set())
    for log in published.values():
        assert message.encode() in cluster.objects(log.uri)[""]


def test_task_fails_if_kubeflow_s_own_output_is_taken_for_one_of_ours(cluster, small):
    """Shows what the entrypoint's `--outputs` is for: releases since 2.5 make a file where a folder would go."""

    def claim_logs(spec):
        arguments = spec["deploymentSpec"]["executors"]["exec-higgs-example-gen"]["container"]["args"]
        arguments[arguments.index("--outputs") + 1] += ",executor-logs"

    options = ("--need", "higgs-example-gen.retries=0")
    claimed = cluster.workflow("claimed", {"data": small}, *options, edit=claim_logs)
    with pytest.raises(PodFailed) as caught:
        claimed.run()
    path, log = caught.value.args
    assert path == "root/higgs-example-gen/executor"
    assert "FileExistsError" in Path(log).read_text()
