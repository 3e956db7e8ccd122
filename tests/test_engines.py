"""A whole run on each of Beam's engines: records, statistics, z-scores, metrics and verdict are one process's."""

import glob
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, higgs, read_rows
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from benchmarks.engines.clusters import CLUSTERS, missing
from events.higgs.simulate import write_csv
from models.inputs import load
from models.transform_graph import TransformGraph

N_FILES, FILE_ROWS = 4, 1000
RULES = ("--epochs", "30", "--architecture", "medium")
SPLITS = ("train", "val", "eval")
ON_THIS_MACHINE = {
    "several processes": [
        "--beam-arg=--direct_running_mode=multi_processing",
        "--beam-arg=--direct_num_workers=2",
    ],
    "portable": ["--runner", "portable"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder of files, so that every worker of an engine has something to read."""
    folder = tmp_path_factory.mktemp("rows")
    for index in range(N_FILES):
        write_csv(str(folder / f"part-{index}.csv"), FILE_ROWS, seed=index)
    return folder


@pytest.fixture(scope="module")
def direct_run(data, tmp_path_factory) -> Run:
    """The run that all others are compared with."""
    folder = tmp_path_factory.mktemp("direct") / "runs"
    return Run(*higgs("run", "--data", data, *RULES, "--output", folder), folder)


@pytest.fixture(scope="module", params=[*ON_THIS_MACHINE, *CLUSTERS])
def engine_run(request, data, tmp_path_factory) -> Run:
    """The same run on another engine."""
    folder = tmp_path_factory.mktemp("engine")
    command = ["run", "--data", data, *RULES, "--output", folder / "runs"]
    if request.param in ON_THIS_MACHINE:
        return Run(*higgs(*command, *ON_THIS_MACHINE[request.param]), folder / "runs")
    if reason := missing(request.param):
        pytest.skip(reason)
    with CLUSTERS[request.param](folder / "cluster") as cluster:
        return Run(*higgs(*command, *cluster.arguments), folder / "runs")


def test_run_comes_to_the_same_verdict_by_the_same_metrics(engine_run, direct_run):
    assert engine_run.exit_code == direct_run.exit_code, engine_run.output
    found, expected = engine_run.summary, direct_run.summary
    assert found["rows"] == expected["rows"]
    assert_close(found["verdict"], expected["verdict"])
    assert found["models"].keys() == expected["models"].keys() == {"baseline", "candidate"}
    for name, model in expected["models"].items():
        assert_close(found["models"][name]["slices"], model["slices"])


def test_records_are_the_same_in_the_same_order(engine_run, direct_run):
    n_rows = 0
    for split in SPLITS:
        found, expected = (
            read_rows(f"{run.artifact('HiggsExampleGen', 'examples')}/Split-{split}")
            for run in (engine_run, direct_run)
        )
        assert np.array_equal(found, expected)
        n_rows += len(found)
    assert n_rows == N_FILES * FILE_ROWS


def test_statistics_are_the_same(engine_run, direct_run):
    for split in SPLITS:
        found, expected = (read_statistics(run, split) for run in (engine_run, direct_run))
        assert_close(found, expected)


def test_z_scores_are_the_same(engine_run, direct_run):
    files = sorted(glob.glob(f"{direct_run.artifact('HiggsExampleGen', 'examples')}/Split-eval/*"))
    graphs = [TransformGraph(run.artifact("Transform", "transform_graph")) for run in (engine_run, direct_run)]
    found, expected = (load(files, graph)[0] for graph in graphs)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def test_stages_ran_where_they_were_to(engine_run):
    """Workers of another process have said so in the log of the run, or in that of their pool."""
    logs = [*engine_run.folder.glob("logs/*.log"), *engine_run.folder.glob("../cluster/pool-*.log")]
    text = "".join(log.read_text(errors="replace") for log in logs)
    n_stages = len(["HiggsExampleGen", "StatisticsGen", "Transform", "HiggsEvaluator"])
    assert text.count("Python sdk harness start") + text.count("Starting worker with command") >= n_stages


def read_statistics(run: Run, split: str) -> dict:
    """What StatisticsGen wrote of a split."""
    [file] = glob.glob(f"{run.artifact('StatisticsGen', 'statistics')}/Split-{split}/*")
    return json_format.MessageToDict(statistics_pb2.DatasetFeatureStatisticsList.FromString(Path(file).read_bytes()))


def assert_close(found, expected, place: str = "") -> None:
    """Compares what JSON can hold; floats may be 1e-6 apart, by value or by ratio."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_close(found[key], value, f"{place}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_close(one, other, f"{place}/{index}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6), place
    else:
        assert json.dumps(found) == json.dumps(expected), place
