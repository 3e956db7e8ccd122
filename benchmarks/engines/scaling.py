"""How the seconds of Beam's stages grow with files and machines: one run each on a cluster of this machine.

    python -m benchmarks.engines.scaling --engine flink --rows 1000000 --files 1 --files 8 --files 32

Each machine of the cluster is a task manager or worker with one slot and a Python worker. All share this machine's
cores: more machines than cores show what they cost, not what they bring. A run of 1,000 rows on one machine, in one
file, shows what a stage takes whatever it reads.
"""

import json
import tempfile
import threading
from pathlib import Path

import click
import psutil

from benchmarks.engines.clusters import CLUSTERS, Cluster, missing
from benchmarks.machine import commit, machine
from benchmarks.processes import watched
from events.higgs.simulate import write_csv

STAGES = ("HiggsExampleGen", "StatisticsGen", "Transform", "HiggsEvaluator")
FEW_ROWS = 1000
SAMPLED_S = 0.5


@click.command()
@click.option("--engine", type=click.Choice([*CLUSTERS]), default="flink")
@click.option("--rows", "n_rows", default=1_000_000)
@click.option("--files", "n_files", multiple=True, default=[1, 8, 32])
@click.option("--machines", "n_machines", multiple=True, default=[1, 2])
@click.option("--to", "path", default="runs/benchmarks/scaling.json", help="Where the figures go.")
def main(engine: str, n_rows: int, n_files: tuple[int, ...], n_machines: tuple[int, ...], path: str) -> None:
    """Measures, and writes the figures after each run."""
    if reason := missing(engine):
        raise click.UsageError(f"{engine} cannot be started: {reason}.")
    runs: list[dict] = []
    for machines, files, rows in [(1, 1, FEW_ROWS), *((m, f, n_rows) for m in n_machines for f in n_files)]:
        runs.append({"machines": machines, "files": files, "rows": rows} | measure(engine, machines, files, rows))
        click.echo(json.dumps(runs[-1]))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figures = {"engine": engine, "commit": commit(), "machine": machine(), "runs": runs}
        Path(path).write_text(json.dumps(figures, indent=1))


def measure(engine: str, n_machines: int, n_files: int, n_rows: int) -> dict:
    """Seconds by stage and as a whole, and peak memory, of one run of its own on a cluster of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows").mkdir()
        for index in range(n_files):
            write_csv(str(folder / "rows" / f"part-{index}.csv"), n_rows // n_files, seed=index)
        with CLUSTERS[engine](folder / "cluster", n_machines) as cluster, _Memory(cluster) as memory:
            rules = ["--epochs", "1", "--architecture", "tiny", "--set", "train.baseline_steps=1"]
            given = ["--data", str(folder / "rows"), "--output", str(folder / "runs"), *rules, *cluster.arguments]
            outcome = watched("-m", "cli.main", "run", *given, expected=(0, 3))
        [summary] = folder.glob("runs/results/*/summary.json")
        seconds = {stage["name"]: stage["seconds"] for stage in json.loads(summary.read_text())["stages"]}
    return {
        "seconds": {stage: round(seconds[stage], 1) for stage in STAGES},
        "whole_s": round(outcome.seconds, 1),
        "java_mb": memory.java_mb,
        "python_mb": memory.python_mb,
        "run_mb": outcome.peak_mb(),
    }


class _Memory(threading.Thread):
    """Watches the largest sums of the cluster's Java processes, and of its Python workers."""

    def __init__(self, cluster: Cluster):
        super().__init__(daemon=True)
        self._cluster = cluster
        self._stopped = threading.Event()
        self.java_mb = self.python_mb = 0

    def __enter__(self) -> "_Memory":
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()

    def run(self):
        """Samples."""
        while not self._stopped.wait(SAMPLED_S):
            machines = self._cluster.machines
            self.java_mb = max(self.java_mb, sum(_megabytes(each.worker.process.pid) for each in machines))
            self.python_mb = max(self.python_mb, sum(_megabytes(each.pool.process.pid) for each in machines))


def _megabytes(pid: int) -> int:
    """The memory of a process and its descendants; 0 if it has ended."""
    try:
        root = psutil.Process(pid)
        return sum(process.memory_info().rss for process in (root, *root.children(recursive=True))) >> 20
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main()
