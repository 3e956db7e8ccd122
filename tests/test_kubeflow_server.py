"""The command line against Kubeflow's own API server, whose runs Argo's controller takes through real pods.

KFP_SERVER names the folder with the programs (see kubeflow_server.py), KFP_IMAGE the image of the tasks. It takes root,
Docker, `etcd` and `mariadbd`.
"""

import os
import re
import time
from pathlib import Path

import pytest
from conftest import higgs, make_rows, to_csv
from kubeflow_server import Server
from kubeflow_services import Services

from kubeflow.parameters import TUNER
from kubeflow.resources import NEEDS

TASKS = set(NEEDS) - {TUNER}
IMAGE = os.environ.get("KFP_IMAGE", "")
EXAMPLE_GEN = "higgs-example-gen"
VERSIONED = ("--data-version", "1")
STATE = re.compile(r"^\d\d:\d\d:\d\d (\S+): (\w+)$", re.MULTILINE)
START_S = 180  # for a schedule's next run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KFP_SERVER" not in os.environ, reason="KFP_SERVER names no folder with Kubeflow's server"),
    pytest.mark.skipif(not IMAGE, reason="KFP_IMAGE names no image"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    services = Services(folder)
    with services.running(has_server=True):
        server = Server(Path(os.environ["KFP_SERVER"]), services, folder)
        with server.running():
            (server.volume / "small.csv").write_text(to_csv(make_rows(2000)))
            yield server


def kubeflow(server, *arguments) -> tuple[int, str]:
    """`higgs kubeflow` with this server."""
    return higgs("kubeflow", *arguments, "--endpoint", server.url)


def pipeline(data: str = "/higgs/small.csv", *options: str) -> tuple:
    """The options of a pipeline that takes little time."""
    small = ("--simulated", "--architecture", "small", "--epochs", 2)
    return ("--image", IMAGE, "--data", data, *small, "--output", "/higgs", "--volume", "higgs:/higgs", *options)


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
    newest = max(server.workflows(), key=lambda found: found["metadata"]["creationTimestamp"])
    ran = {node["displayName"] for node in newest["status"]["nodes"].values() if node["type"] == "Pod"}
    assert f"{EXAMPLE_GEN}-driver" in ran


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
    first = started(server, "often", more_than=0)
    assert kubeflow(server, "schedules", "pause", "often") == (0, "Paused: often\n")
    time.sleep(10)  # one may be under way
    paused = scheduled(server, "often")
    time.sleep(60)
    assert scheduled(server, "often") == paused >= first
    assert kubeflow(server, "schedules", "list") == (0, "often: disabled, */5 * * * * *\n")
    assert kubeflow(server, "schedules", "resume", "often")[0] == 0
    started(server, "often", more_than=paused)
    assert kubeflow(server, "schedules", "delete", "often")[0] == 0
    assert kubeflow(server, "schedules", "list") == (0, "")


def scheduled(server, name: str) -> int:
    """How many runs a schedule has started."""
    owned = [found["metadata"].get("ownerReferences", [{}])[0].get("name", "") for found in server.workflows()]
    return sum(owner.startswith(name) for owner in owned)


def started(server, name: str, more_than: int) -> int:
    """Waits until a schedule has started more runs than that; how many it has."""
    end = time.monotonic() + START_S
    while (found := scheduled(server, name)) <= more_than:
        assert time.monotonic() < end, server.log("scheduledworkflow")[-2000:]
        time.sleep(1)
    return found
