"""Seconds of Beam's stages by rows, files and machines: a whole run each, in one process or on a cluster here.

    python -m benchmarks.engines.scaling                            # Flink and one process: 18 runs
    python -m benchmarks.engines.scaling --machines 2 --files 8     # these runs again; the others' figures stay

Each machine of the cluster is a task manager or worker with one slot and a Python worker; 0 machines are one process
without a cluster. All share this machine's cores: more machines than cores show what they cost, not what they bring.
The smaller number of rows shows what a stage takes whatever it reads.
"""

import json
import tempfile
import threading
from pathlib import Path

import click
import psutil

from benchmarks.engines.clusters import CLUSTERS, Cluster, missing
from benchmarks.machine import commit
from benchmarks.processes import watched
from benchmarks.results import FOLDER, add
from datasets.simulate import write_csv

STAGES = ("HiggsExampleGen", "StatisticsGen", "Transform", "HiggsEvaluator")
KEYS = ("engine", "rows", "files", "machines")
# Training is to take no time: it is the same whatever the engine.
RULES = ("--epochs", "1", "--architecture", "tiny", "--set", "train.baseline_steps=1")
SAMPLED_S = 0.5


@click.command(help=__doc__)
@click.option("--engine", type=click.Choice([*CLUSTERS]), default="flink", show_default=True)
@click.option("--rows", "n_rows", multiple=True, default=[1_000, 1_000_000], show_default=True)
@click.option("--files", "n_files", multiple=True, default=[1, 8, 32], show_default=True)
@click.option("--machines", "n_machines", multiple=True, default=[0, 1, 2], show_default=True)
@click.option("--to", type=click.Path(path_type=Path), default=FOLDER, help="For scaling.json, .svg and .png.")
def main(engine: str, n_rows: tuple[int, ...], n_files: tuple[int, ...], n_machines: tuple[int, ...], to: Path) -> None:
    if any(n_machines) and (reason := missing(engine)):
        raise click.UsageError(f"{engine} cannot be started: {reason}.")
    for rows, files in ((rows, files) for rows in n_rows for files in n_files):
        with tempfile.TemporaryDirectory() as name:
            data = Path(name) / "rows"
            data.mkdir()
            for index in range(files):
                write_csv(str(data / f"part-{index}.csv"), rows // files, seed=index)
            for machines in n_machines:
                where = dict(zip(KEYS, (engine if machines else "direct", rows, files, machines), strict=True))
                entry = where | measure(engine, machines, data, Path(name) / f"on-{machines}")
                click.echo(json.dumps(entry))
                results = add(to / "scaling.json", [entry | {"commit": commit()}], KEYS)
    plot(results["measurements"], to / "scaling")
    click.echo(f"\n{table(results['measurements'])}\n\nResults: {to}")


def measure(engine: str, n_machines: int, data: Path, folder: Path) -> dict:
    """Seconds by stage and as a whole, and peak memory, of a run on a cluster of its own, or in one process."""
    command = ["-m", "pipeline.cli", "run", "--data", str(data), "--output", str(folder / "runs"), *RULES]
    if not n_machines:
        outcome, memory = watched(*command, expected=(0, 3)), {}
    else:
        with CLUSTERS[engine](folder / "cluster", n_machines) as cluster, _Memory(cluster) as sampled:
            outcome = watched(*command, *cluster.arguments, expected=(0, 3))
        memory = {"java_mb": sampled.java_mb, "python_mb": sampled.python_mb}
    [summary] = folder.glob("runs/results/*/summary.json")
    seconds = {stage["name"]: stage["seconds"] for stage in json.loads(summary.read_text())["stages"]}
    return {
        "seconds": {stage: round(seconds[stage], 1) for stage in STAGES},
        "whole_s": round(outcome.seconds, 1),
        "run_mb": outcome.peak_mb(),
        **memory,
    }


class _Memory(threading.Thread):
    """Watches the largest sums of the cluster's Java processes that compute, and of its Python workers."""

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
    """The memory of a process and its descendants; 0 if one of them has just ended."""
    try:
        root = psutil.Process(pid)
        return sum(process.memory_info().rss for process in (root, *root.children(recursive=True))) >> 20
    except psutil.NoSuchProcess:
        return 0


def table(entries: list[dict]) -> str:
    """The runs as Markdown: seconds by stage and of the whole command, and peak memory."""
    columns = ("where", "rows", "files", *STAGES, "command", "MB: `higgs run`", "task managers", "Python workers")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for entry in _ordered(entries):
        seconds = [*(entry["seconds"][stage] for stage in STAGES), entry["whole_s"]]
        memory = [f"{entry[key]:,}" if key in entry else "" for key in ("run_mb", "java_mb", "python_mb")]
        cells = [_where(entry), f"{entry['rows']:,}", f"{entry['files']}", *(f"{each:.1f}" for each in seconds)]
        lines.append(f"| {' | '.join(cells + memory)} |")
    return "\n".join(lines)


def plot(entries: list[dict], path: Path) -> None:
    """Writes seconds against files, a panel for each stage, as .svg and .png."""
    from report.figures import CYCLE, MARKERS, draw, ink, legend, plain_ticks

    groups = list(dict.fromkeys((entry["machines"], _where(entry)) for entry in _ordered(entries)))
    sizes = sorted({entry["rows"] for entry in entries})

    def paint(panels) -> None:
        for axes, stage in zip(panels, STAGES, strict=True):
            for (machines, where), colour, marker in zip(groups, CYCLE, MARKERS, strict=False):
                for rows in sizes:
                    of_group = [entry for entry in entries if (entry["machines"], entry["rows"]) == (machines, rows)]
                    points = sorted((entry["files"], entry["seconds"][stage]) for entry in of_group)
                    few = rows < sizes[-1]
                    style = {"color": ink(colour), "marker": marker, "linestyle": "dotted" if few else "solid"}
                    axes.plot(*zip(*points, strict=True), **style, label=None if few else where)
            axes.set(xscale="log", ylabel="seconds", ylim=(0, None))
            axes.set_title(stage, loc="right")  # the legend is on the left
        plain_ticks(panels[-1].xaxis)
        panels[-1].set_xticks(sorted({entry["files"] for entry in entries}))
        panels[-1].set_xlabel("files")
        panels[0].set_title("")
        legend(panels[0], n_columns=len(groups), title=STAGES[0])

    figure = draw(
        path.name,
        alt="Seconds against files by stage, in one process and on one and two machines.",
        caption="Solid: all rows. Dotted: few rows, which is what a stage takes whatever it reads.",
        paint=paint,
        height=7.5,
        n_panels=len(STAGES),
    )
    path.with_suffix(".svg").write_text(figure.svg)
    path.with_suffix(".png").write_bytes(figure.png)


def _ordered(entries: list[dict]) -> list[dict]:
    return sorted(entries, key=lambda entry: (entry["rows"], entry["machines"], entry["files"]))


def _where(entry: dict) -> str:
    n = entry["machines"]
    return f"{entry['engine']}, {n} machine{'s' * (n > 1)}" if n else "one process"


if __name__ == "__main__":
    main()
