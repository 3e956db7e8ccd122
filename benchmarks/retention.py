"""Whether the disk stays flat: many whole runs with `--keep`, and what each folder holds after each.

    python -m benchmarks.retention --runs 50 --keep 5

Prints a line for each run: the megabytes of artifacts, results, logs, serving folder and metadata. Every run trains
another network for a few epochs, so that nothing but the data comes from the cache. The median of the last ten runs
against that of runs 11 to 20 is the growth.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.processes import ROOT

FOLDERS = ("artifacts", "results", "logs", "serving", "metadata.sqlite")


def megabytes(path: Path) -> float:
    """Of a file, or of all files below a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


@click.command()
@click.option("--runs", default=50, show_default=True)
@click.option("--keep", default=5, show_default=True)
@click.option("--rows", default=2_000, show_default=True, help="Simulated.")
def main(runs: int, keep: int, rows: int):
    """Runs the pipeline again and again and watches the disk."""
    totals = []
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "cli.main", "run", "--simulate", str(rows), "--output", name]
        command += ["--keep", str(keep), "--architecture", "medium", "--set", "train.baseline_steps=10"]
        for number in range(runs):
            options = ["--epochs", str(1 + number), "--set", f"train.seed={number}"]
            result = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
            if result.returncode not in (0, 3):
                raise SystemExit(result.stdout + result.stderr)
            sizes = {folder: megabytes(Path(name, folder)) for folder in FOLDERS}
            totals.append(sum(sizes.values()))
            n_kept = sum((folder / "report.html").exists() for folder in Path(name, "results").iterdir())
            shown = ", ".join(f"{folder} {size:.2f}" for folder, size in sizes.items())
            print(f"run {number + 1}: {totals[-1]:.2f} MB ({shown}); {n_kept} runs with artifacts", flush=True)
    if runs >= 30:
        early, late = statistics.median(totals[10:20]), statistics.median(totals[-10:])
        print(
            f"runs 11 to 20: {early:.2f} MB, the last ten: {late:.2f} MB, "
            f"{1000 * (late - early) / (runs - 20):.0f} kB a run"
        )


if __name__ == "__main__":
    main()
