"""Seconds of Beam's stages by rows, files and machines: a whole run each, in one process or on a cluster here.

    python -m benchmarks.engines.scaling                            # Flink and one process: 18 runs
    python -m benchmarks.engines.scaling --machines 2 --files 8     # these runs again; the others' figures stay

Each machine of the cluster is a task manager or worker with one slot and a Python worker; 0 machines are one process
without a cluster. All share this machine's cores: more machines than cores show what they cost, not what they bring.
The smaller number of rows shows what a stage takes whatever it reads.
"""

import contextlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import click
import numpy as np
import psutil

from benchmarks.engines.clusters import CLUSTERS, Machine, missing
from benchmarks.machine import commit
from benchmarks.processes import watched
from benchmarks.results import FOLDER, add
from benchmarks.whole import ENDED
from events.higgs.simulate import write_csv

STAGES = ("HiggsExampleGen", "StatisticsGen", "Transform", "HiggsEvaluator")
WHOLE = "command"
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
    """Seconds and processor seconds, and peak memory, of a run on a cluster of its own, or in one process.

    `seconds` and `cpu_s` are by stage, and of the whole command; the latter are those of all processes, the cluster's
    too, and tell what a stage takes where other work keeps the cores busy.
    """
    command = ["-m", "cli.main", "run", "--data", str(data), "--output", str(folder / "runs"), *RULES]
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(CLUSTERS[engine](folder / "cluster", n_machines)) if n_machines else None
        sampled = stack.enter_context(_Sampled(cluster.machines if cluster else []))
        outcome = watched(*command, *(cluster.arguments if cluster else ()), expected=(0, 3))
    [summary] = folder.glob("runs/results/*/summary.json")
    seconds = {stage["name"]: stage["seconds"] for stage in json.loads(summary.read_text())["stages"]}
    ended = {match[2]: at for at, line in outcome.lines if (match := ENDED.search(line))}
    spans = {stage: (ended[stage] - seconds[stage], ended[stage]) for stage in STAGES} | {WHOLE: (0, outcome.seconds)}
    return {
        "seconds": {name: round(end - start, 1) for name, (start, end) in spans.items()},
        "cpu_s": {name: round(sampled.cpu_s(end) - sampled.cpu_s(start), 1) for name, (start, end) in spans.items()},
        "run_mb": outcome.peak_mb(),
        "java_mb": sampled.java_mb,
        "python_mb": sampled.python_mb,
    }


class _Sampled(threading.Thread):
    """Watches the memory of a cluster's machines, and the processor seconds of all that this process has started.

    Attributes:
      java_mb: the largest sum over the machines' task managers or workers of the engine.
      python_mb: the largest sum over their pools and Python workers.
    """

    def __init__(self, machines: list[Machine]):
        super().__init__(daemon=True)
        self._machines = machines
        self._stopped = threading.Event()
        self._since = time.monotonic()
        self._cpu: list[tuple[float, float]] = []
        self.java_mb = self.python_mb = 0

    def __enter__(self) -> "_Sampled":
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()

    def run(self):
        """Samples."""
        while not self._stopped.wait(SAMPLED_S):
            cpu_s = sum(sum(process.cpu_times()[:4]) for process in _tree(os.getpid())[1:])  # those that ended, too
            self._cpu.append((time.monotonic() - self._since, cpu_s))
            self.java_mb = max(self.java_mb, sum(_megabytes(each.worker.process.pid) for each in self._machines))
            self.python_mb = max(self.python_mb, sum(_megabytes(each.pool.process.pid) for each in self._machines))

    def cpu_s(self, at: float) -> float:
        """Processor seconds until then."""
        return np.interp(at, *zip(*self._cpu, strict=True))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        return [root := psutil.Process(pid), *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _megabytes(pid: int) -> int:
    """The memory of a process and its descendants."""
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total >> 20


def table(entries: list[dict]) -> str:
    """The runs as Markdown: seconds and processor seconds by stage and of the whole command, and peak memory."""
    columns = ("where", "rows", "files", *STAGES, WHOLE, "MB: `higgs run`", "task managers", "Python workers")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for entry in _ordered(entries):
        seconds = [f"{entry['seconds'][name]:.1f} / {entry['cpu_s'][name]:.1f}" for name in (*STAGES, WHOLE)]
        memory = [f"{entry[key]:,}" if entry[key] else "" for key in ("run_mb", "java_mb", "python_mb")]
        cells = [_where(entry), f"{entry['rows']:,}", f"{entry['files']}", *seconds, *memory]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(entries: list[dict], path: Path) -> None:
    """Writes processor seconds against files, a panel for each stage, as .svg and .png."""
    from report.figures import CYCLE, MARKERS, draw, ink, legend, plain_ticks

    groups = list(dict.fromkeys((entry["machines"], _where(entry)) for entry in _ordered(entries)))
    sizes = sorted({entry["rows"] for entry in entries})

    def paint(panels) -> None:
        for axes, stage in zip(panels, STAGES, strict=True):
            for (machines, where), colour, marker in zip(groups, CYCLE, MARKERS, strict=False):
                for rows in sizes:
                    of_group = [entry for entry in entries if (entry["machines"], entry["rows"]) == (machines, rows)]
                    points = sorted((entry["files"], entry["cpu_s"][stage]) for entry in of_group)
                    few = rows < sizes[-1]
                    style = {"color": ink(colour), "marker": marker, "linestyle": "dotted" if few else "solid"}
                    if points:
                        axes.plot(*zip(*points, strict=True), **style, label=None if few else where)
            axes.margins(y=0.15)
            axes.set(xscale="log", ylabel="processor s", ylim=(0, None))
            axes.set_title(stage, loc="right")
        plain_ticks(panels[-1].xaxis)
        panels[-1].set_xticks(sorted({entry["files"] for entry in entries}))
        panels[-1].set_xlabel("files")
        legend(panels[0], most=1)

    figure = draw(
        path.name,
        alt="Processor seconds against files by stage, in one process and on one and two machines.",
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
