"""Rows per second of HiggsExampleGen and of TFX's CsvExampleGen, on the same simulated rows, in the same run.

    python -m benchmarks.ingestion --rows 200000

Each executor runs in a process of its own, in turn; the ratio of the medians is the result. Peak memory is that of the
process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from datasets.simulate import write_csv
from models.features import COLUMNS

BEAM_ARGS = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--sdk_container_image=none"]
KINDS = {"CsvExampleGen": "rows.csv", "HiggsExampleGen .csv": "rows.csv", "HiggsExampleGen .csv.gz": "rows.csv.gz"}


def measure(kind: str, folder: str) -> dict:
    """Seconds of one executor's `Do`, imports aside, and the peak memory of this process."""
    from tfx.components import CsvExampleGen
    from tfx.components.example_gen.csv_example_gen.executor import Executor as CsvExecutor
    from tfx.types import standard_artifacts

    from components.example_gen import Executor, HiggsExampleGen

    name = KINDS[kind]
    if kind == "CsvExampleGen":  # which takes the first line for a header, so its file has one
        component, executor = CsvExampleGen(input_base=os.path.join(folder, "headed")), CsvExecutor
    else:
        component, executor = HiggsExampleGen(folder, name, COLUMNS, {"train": 8, "val": 1, "eval": 1}), Executor
    examples = standard_artifacts.Examples()
    properties = {key: value for key, value in component.exec_properties.items() if value is not None}
    with tempfile.TemporaryDirectory() as output:
        examples.uri = output
        context = executor.Context(beam_pipeline_args=list(BEAM_ARGS), tmp_dir=output, unique_id="1")
        started = time.monotonic()
        executor(context).Do({}, {"examples": [examples]}, properties)
        seconds = time.monotonic() - started
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def run_apart(kind: str, folder: str) -> dict:
    """`measure` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.ingestion", "--measure", kind, "--folder", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rows.csv", "rows.csv.gz"):
            write_csv(os.path.join(folder, name), arguments.rows, seed=0)
        os.mkdir(os.path.join(folder, "headed"))
        headed = os.path.join(folder, "headed", "rows.csv")
        with open(os.path.join(folder, "rows.csv")) as rows, open(headed, "w") as file:
            file.write(",".join(COLUMNS) + "\n")
            file.writelines(rows)
        runs = {kind: [] for kind in KINDS}
        for repeat in range(arguments.repeats):
            for kind, results in runs.items():
                results.append(run_apart(kind, folder))
                print(f"{repeat + 1}/{arguments.repeats} {kind}: {results[-1]['seconds']:.2f} s", flush=True)
    stock = statistics.median(result["seconds"] for result in runs["CsvExampleGen"])
    print(f"\n{arguments.rows:,} simulated rows, medians of {arguments.repeats}, {os.cpu_count()} cores\n")
    print("| component | seconds | rows/s | ratio | peak MB |\n|---|---|---|---|---|")
    for kind, results in runs.items():
        seconds = statistics.median(result["seconds"] for result in results)
        peak = max(result["peak_mb"] for result in results)
        print(f"| {kind} | {seconds:.2f} | {arguments.rows / seconds:,.0f} | {stock / seconds:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
