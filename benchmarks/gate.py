"""Whether the gate blesses what it should, and nothing else, at `gate.confidence=0.95`.

    python -m benchmarks.gate higgs-10k.csv.gz --seeds 20

Whole runs of the pipeline: with labels that were shuffled, so that there is nothing to learn and every blessing is a
mistake, once for each seed; and with the labels as they are, where the candidate is known to be better. Prints a line
for each run, and exits with 1 if the gate was wrong once.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).parent.parent


def shuffle_labels(lines: list[str], seed: int) -> list[str]:
    """The same rows, each with the label of another one."""
    parts = [line.split(",", 1) for line in lines]
    labels = np.random.default_rng(seed).permutation([label for label, _ in parts])
    return [f"{label},{features}" for label, (_, features) in zip(labels, parts, strict=True)]


def run(lines: list[str], architecture: str, seed: int, confidence: float) -> dict:
    """The verdict of a run of the pipeline on these rows."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.csv"
        data.write_text("".join(lines))
        command = [sys.executable, "-m", "cli.main", "run", "--data", str(data), "--output", f"{folder}/runs"]
        command += ["--architecture", architecture, "--seed", str(seed)]
        result = subprocess.run(
            [*command, "--set", f"gate.confidence={confidence}"], cwd=ROOT, capture_output=True, text=True
        )
        if result.returncode not in (0, 3):
            raise SystemExit(result.stdout + result.stderr)
        [summary] = Path(folder).glob("runs/results/*/summary.json")
        return json.loads(summary.read_text())["verdict"]


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--seeds", default=20, show_default=True, help="Runs on shuffled labels.")
@click.option("--null", default="medium", show_default=True, help="The candidate on shuffled labels.")
@click.option("--better", default="combined", show_default=True, help="The candidate on the labels as they are.")
@click.option("--confidence", default=0.95, show_default=True, help="gate.confidence.")
def main(path: Path, seeds: int, null: str, better: str, confidence: float):
    """Runs the pipeline on shuffled labels and on the true ones of the headerless .csv or .csv.gz at PATH."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
        lines = file.readlines()
    cases = [(f"shuffled, {null}", shuffle_labels(lines, seed), null, seed, False) for seed in range(seeds)]
    cases.append((f"as they are, {better}", lines, better, 0, True))
    n_wrong = 0
    for labels, rows, architecture, seed, expected in cases:
        verdict = run(rows, architecture, seed, confidence)
        n_wrong += verdict["blessed"] != expected
        low, high = verdict["interval"]
        print(
            f"labels {labels}, seed {seed}: {'blessed' if verdict['blessed'] else 'refused'}; candidate "
            f"{verdict['candidate']:.4f}, baseline {verdict['baseline']:.4f}, difference {verdict['difference']:+.4f} "
            f"({low:+.4f} to {high:+.4f}): {verdict['reason']}",
            flush=True,
        )
    print(f"{len(cases) - n_wrong} of {len(cases)} verdicts are right")
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
