"""A machine of an engine is lost in the middle of a stage: the run ends right, and no row is lost or there twice."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, higgs, read_rows

from benchmarks.engines.clusters import CLUSTERS, Cluster, missing
from events.higgs.simulate import write_csv

N_FILES, FILE_ROWS = 8, 12_500
ROOT = Path(__file__).parent.parent
RULES = ("--epochs", "1", "--architecture", "medium", "--set", "train.baseline_steps=50")
WAIT_S = 300

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder of files that take a worker a while."""
    folder = tmp_path_factory.mktemp("rows")
    for index in range(N_FILES):
        write_csv(str(folder / f"part-{index}.csv"), FILE_ROWS, seed=index)
    return folder


@pytest.fixture(params=CLUSTERS)
def cluster(request, tmp_path) -> Cluster:
    """Two machines of an engine."""
    if reason := missing(request.param):
        pytest.skip(reason)
    with CLUSTERS[request.param](tmp_path / "cluster") as started:
        yield started


def test_run_goes_on_without_a_machine_that_is_lost_and_counts_every_row_once(cluster, data, tmp_path):
    command = ["run", "--data", data, *RULES, "--output", tmp_path / "runs", *cluster.arguments]
    output = tmp_path / "output.txt"
    with open(output, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *map(str, command)], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    examples = tmp_path / "runs/artifacts/HiggsExampleGen/examples"
    wait_until(lambda: any(examples.rglob("*.partial")), process, output)
    cluster.machines[0].kill()
    cluster.add()
    wait_until(lambda: "HiggsExampleValidator " in output.read_text(), process, output)
    n_started = count_started(tmp_path)
    wait_until(lambda: count_started(tmp_path) > n_started, process, output)
    cluster.machines[1].kill()
    cluster.add()
    code = process.wait()
    if code == 2:  # an engine may give the job up, in one line; then the same command is to end right
        assert output.read_text().splitlines()[-1].startswith("Error: An engine must finish the job of each stage.")
        code, text = higgs(*command)
        output.write_text(text)
    assert code in (0, 3), output.read_text()
    run = Run(code, output.read_text(), tmp_path / "runs")
    splits = [read_rows(f"{run.artifact('HiggsExampleGen', 'examples')}/Split-{s}") for s in ("train", "val", "eval")]
    rows = np.concatenate(splits)
    assert len(rows) == N_FILES * FILE_ROWS == sum(sum(classes.values()) for classes in run.summary["rows"].values())
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert not list(examples.rglob("*.partial"))


def count_started(folder: Path) -> int:
    """How many Python workers the pools of a cluster have started."""
    logs = folder.glob("cluster/pool-*.log")
    return sum(log.read_text(errors="replace").count("Starting worker with command") for log in logs)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen, output: Path) -> None:
    """Waits for something that a run does before it ends."""
    end = time.monotonic() + WAIT_S
    while not happened():
        assert process.poll() is None and time.monotonic() < end, output.read_text()
        time.sleep(0.01)
