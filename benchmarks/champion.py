"""Whether what is served ever gets worse: whole runs of the pipeline, one after another, into one serving folder.

    python -m benchmarks.champion --runs 20

Each run trains another candidate, some good, some cut short, on the same simulated rows. Prints a line for each: the
verdict, and what is served afterwards, by its binary crossentropy on the rows of `eval` and on 200,000 fresh ones, that
no run has seen. Ends after so many runs with a champion, and exits with 1 if what is served got worse on `eval` once.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.processes import ROOT
from events.higgs.columns import FEATURES
from events.higgs.simulate import write_csv
from metrics.sums import crossentropies
from serving.served import stable_version

ARCHITECTURES = ("medium", *(f"dropout,dropout=0.3,hidden_units={width}x2" for width in (64, 32, 256, 128)))
EPOCHS = (40, 150, 5, 80, 15)
FRESH_ROWS, FRESH_SEED = 200_000, 4308


def run(folder: Path, n_rows: int, number: int) -> dict:
    """The summary of one run; its candidate is trained for a time that differs from run to run."""
    architecture = ARCHITECTURES[number % len(ARCHITECTURES)]
    epochs = EPOCHS[(number + number // len(EPOCHS)) % len(EPOCHS)]
    command = [sys.executable, "-m", "cli.main", "run", "--simulate", str(n_rows), "--output", str(folder / "runs")]
    command += ["--architecture", architecture, "--epochs", str(epochs), "--set", f"train.seed={number}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode not in (0, 3):
        raise SystemExit(result.stdout + result.stderr)
    return json.loads(max(folder.glob("runs/results/*/summary.json")).read_text())


def bce(model: str, labels: np.ndarray, features: np.ndarray) -> tuple[float, float]:
    """The binary crossentropy of a SavedModel in nats, and its standard error."""
    import tensorflow as tf

    serve = tf.saved_model.load(model).signatures["serving_features"]
    columns = {name: tf.constant(features[:, index]) for index, name in enumerate(FEATURES)}
    losses = crossentropies(labels, serve(**columns)["probability"].numpy())
    return float(losses.mean()), float(losses.std() / np.sqrt(len(losses)))


@click.command()
@click.option("--runs", default=20, show_default=True, help="With a champion, one after another.")
@click.option("--rows", default=10_000, show_default=True, help="Simulated, the same for all runs.")
def main(runs: int, rows: int):
    """Runs the pipeline again and again and watches what is served."""
    n_worse, n_blessed, n_runs, number, served_bce = 0, 0, 0, 0, None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(str(folder / "fresh.csv"), FRESH_ROWS, FRESH_SEED)
        fresh = np.loadtxt(folder / "fresh.csv", delimiter=",", dtype=np.float32)
        while n_runs < runs:
            summary = run(folder, rows, number)
            verdict = summary["verdict"]
            n_runs += verdict["champion"] is not None
            n_blessed += verdict["blessed"] and verdict["champion"] is not None
            before, served_bce = served_bce, verdict["candidate"] if verdict["blessed"] else served_bce
            n_worse += before is not None and served_bce > before
            served = stable_version(str(folder / "runs" / "serving" / "higgs"))
            anew, error = bce(served.folder, fresh[:, 0], fresh[:, 1:]) if served else (float("nan"),) * 2
            candidate = summary["models"]["candidate"]
            print(
                f"{number}: {candidate['name']}, {candidate['epochs']} epochs: "
                f"{'blessed' if verdict['blessed'] else 'refused'}, {verdict['reason']} Served: eval "
                f"{served_bce or float('nan'):.4f}, fresh rows {anew:.4f} (standard error {error:.4f})",
                flush=True,
            )
            number += 1
    print(f"{n_blessed} of {runs} with a champion blessed; what is served got worse on eval {n_worse} times")
    sys.exit(n_worse > 0)


if __name__ == "__main__":
    main()
