"""The command line against Kubeflow's own API server, whose runs Argo's controller takes through pods on this machine.

KFP_SERVER names the folder with the programs (see kubeflow_server.py). It takes root, `etcd` and `mariadbd`.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from conftest import higgs
from kubeflow_server import Server
from kubeflow_services import Services

from kubeflow.parameters import TUNER
from kubeflow.resources import NEEDS

TASKS = set(NEEDS) - {TUNER}
EXAMPLE_GEN = "higgs-example-gen"
VERSIONED = ("--data-version", "1")
STATE = re.compile(r"^\d\d:\d\d:\d\d (\S+): (\w+)$", re.MULTILINE)
EXECUTOR = re.compile(r"\.([-\w]+)(\(\d\))?\.executor(\(\d\))?$")  # ends the names of a task's own nodes
START_S = 600  # at most, for a schedule's next run, or for a pod
T = TypeVar("T")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KFP_SERVER" not in os.environ, reason="KFP_SERVER names no folder with Kubeflow's server"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    services = Services(folder)
    with services.running(has_server=True):
        server = Server(Path(os.environ["KFP_SERVER"]), services, folder)
        with server.running():
            code, output = higgs("data", "simulate", "--rows", 4000, server.volume / "rows.csv.gz")
            assert code == 0, output
            yield server


def kubeflow(server, *arguments) -> tuple[int, str]:
    """`higgs kubeflow` with this server."""
    return higgs("kubeflow", *arguments, "--endpoint", server.url)


def pipeline(data: str = "/higgs/rows.csv.gz", *options: str) -> tuple:
    """The options of a pipeline whose candidate beats tiny, as in `conftest.blessed_run`."""
    blessed = ("--simulated", "--architecture", "medium", "--epochs", 30)
    return ("--image", "higgs:1", "--data", data, *blessed, "--output", "/higgs", "--volume", "higgs:/higgs", *options)


def states(output: str) -> dict[str, str]:
    """The last state of each task, and of the run, that the command line showed."""
    return dict(STATE.findall(output))


@pytest.fixture(scope="module")
def submitted(server) -> str:
    """What the command line showed of a run that it followed."""
    code, output = kubeflow(server, "submit", "--wait", *pipeline(), *VERSIONED)
    assert code == 0, output
    return output


def test_submitted_run_succeeds_task_by_task(submitted):
    assert states(submitted) == dict.fromkeys([*TASKS, "run"], "succeeded")


def test_its_model_is_pushed_to_the_volume(server, submitted):
    [version] = (server.volume / "serving" / "higgs").iterdir()
    assert (version / "saved_model.pb").exists()


def test_cache_stands_in_where_the_data_have_a_version(server, submitted):
    code, output = kubeflow(server, "submit", "--wait", *pipeline(), *VERSIONED)
    assert code == 0, output
    assert states(output)["run"] == "succeeded"
    dependent = {"higgs-evaluator", "higgs-infra-validator", "higgs-pusher"}  # the second reads the first's blessing
    assert set(attempts(server)) == dependent


def test_task_whose_pod_is_deleted_is_tried_again(server):
    with ThreadPoolExecutor() as pool:
        before = {found["metadata"]["name"] for found in server.workflows()}
        run = pool.submit(kubeflow, server, "submit", "--wait", *pipeline(), "--need", f"{EXAMPLE_GEN}.backoff_s=1")
        pod = waited(lambda: running(server, EXAMPLE_GEN, before))
        server.kubernetes.delete(f"pods/{pod}")
        code, output = run.result()
    assert code == 0, output
    assert states(output)["run"] == "succeeded"
    first, second = attempts(server)[EXAMPLE_GEN]
    assert (first["phase"], first["message"]) == ("Error", "pod deleted")
    assert second["phase"] == "Succeeded"


def test_failed_task_is_named_with_the_run_s_page(server):
    code, output = kubeflow(server, "submit", "--wait", *pipeline("/higgs/nowhere.csv"))
    assert code == 2
    assert states(output)["run"] == "failed"
    [line] = [line for line in output.splitlines() if line.startswith("Error:")]
    assert line.startswith(f"Error: A run must succeed. Received: FAILED in {EXAMPLE_GEN}")
    assert f"{server.url}/#/runs/details/" in line


def test_schedule_starts_runs_until_it_is_paused_and_again_when_resumed(server):
    options = pipeline("/higgs/nowhere.csv", "--need", f"{EXAMPLE_GEN}.retries=0")
    code, output = kubeflow(server, "schedule", "--name", "often", "--cron", "*/5 * * * * *", *options)
    assert (code, output) == (0, "Schedule: often, */5 * * * * *\n")
    first = waited(lambda: scheduled(server, "often"))
    assert kubeflow(server, "schedules", "pause", "often") == (0, "Paused: often\n")
    time.sleep(10)  # one may be under way
    paused = scheduled(server, "often")
    time.sleep(60)
    assert scheduled(server, "often") == paused >= first
    assert kubeflow(server, "schedules", "list") == (0, "often: disabled, */5 * * * * *\n")
    assert kubeflow(server, "schedules", "resume", "often")[0] == 0
    waited(lambda: scheduled(server, "often") > paused)
    assert kubeflow(server, "schedules", "delete", "often")[0] == 0
    assert kubeflow(server, "schedules", "list") == (0, "")


def attempts(server) -> dict[str, list[dict]]:
    """Task to the nodes of its attempts, one after the other, in the newest workflow."""
    newest = max(server.workflows(), key=lambda found: found["metadata"]["creationTimestamp"])
    found = defaultdict(list)
    for node in sorted(newest["status"]["nodes"].values(), key=lambda node: node["startedAt"]):
        if node["type"] == "Pod" and (named := EXECUTOR.search(node["name"])):
            found[named[1]].append(node)
    return found


def running(server, task: str, passed_over: set[str]) -> str:
    """The name of the task's pod, once Argo knows that it runs, of a workflow that is none of the given ones.

    Of a pod that it has not seen running, Argo makes another without counting an attempt.
    """
    nodes = {
        node["id"]
        for workflow in server.workflows()
        if workflow["metadata"]["name"] not in passed_over
        for node in workflow.get("status", {}).get("nodes", {}).values()
        if node["type"] == "Pod" and node["phase"] == "Running"
    }
    for pod in server.kubernetes.get("pods")["items"]:
        annotations = pod["metadata"]["annotations"]
        named = EXECUTOR.search(annotations["workflows.argoproj.io/node-name"])
        if named and named[1] == task and annotations["workflows.argoproj.io/node-id"] in nodes:
            return pod["metadata"]["name"]
    return ""


def scheduled(server, name: str) -> int:
    """How many runs a schedule has started."""
    owned = [found["metadata"].get("ownerReferences", [{}])[0].get("name", "") for found in server.workflows()]
    return sum(owner.startswith(name) for owner in owned)


def waited(found: Callable[[], T]) -> T:
    """What a function returns, once that is true."""
    end = time.monotonic() + START_S
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(1)
    return result
