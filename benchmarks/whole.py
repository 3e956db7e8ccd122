"""Whole runs: `higgs run` from a .csv.gz, and a pipeline of stock components, each as a person starts it.

python -m benchmarks.whole FOLDER OUTPUT EPOCHS      # the stock pipeline, on the .csv below FOLDER
"""

import json
import re
import shutil
import sys
from collections.abc import Callable

from benchmarks.processes import Outcome, watched
from benchmarks.rows import Place

EPOCHS = 3
LARGE_BATCH = 10_000  # rows, where there are a million rows or more
STARTED = re.compile(r"Component (\S+) is running\.|^(\S+) \.\.\.$")  # as TFX's runner and as ours say it
ENDED = re.compile(r"Component (\S+) is finished\.|^(\S+) [\d.]+ s$")


def ours(place: Place) -> Callable[[], dict]:
    """`higgs run` with combined against tiny."""
    output = place.made("run", "ours")
    shutil.rmtree(output, ignore_errors=True)
    arguments = ["run", "--data", place.csv(".csv.gz"), "--output", str(output), "--epochs", str(EPOCHS)]
    if place.n_rows >= 1_000_000:
        arguments += ["--set", f"train.batch_size={LARGE_BATCH}"]

    def run() -> dict:
        outcome = watched("-m", "cli.main", *arguments, expected=(0, 3))
        [path] = output.glob("results/*/summary.json")
        summary = json.loads(path.read_text())
        models = summary["models"]
        return figures(outcome, sum(model["seconds"] for model in models.values())) | {
            "verdict": summary["verdict"],
            "auc": {name: model["eval"]["auc"] for name, model in models.items()},
        }

    return run


def stock(place: Place) -> Callable[[], dict]:
    """The pipeline of `benchmarks.stock`, with the same two networks."""
    rows, output = place.headed(), place.made("run", "stock")
    shutil.rmtree(output, ignore_errors=True)

    def run() -> dict:
        outcome = watched("-m", "benchmarks.whole", rows, str(output), str(EPOCHS))
        fits = output.glob("artifacts/Trainer.*/model_run/*/fit.json")
        return figures(outcome, sum(json.loads(fit.read_text())["seconds"] for fit in fits))

    return run


def figures(outcome: Outcome, training_s: float) -> dict:
    """A run's peak memory and seconds, the latter without training, as a whole, and of training; both by stage.

    `first_stage_s` is from the start to the first stage, `after_stages_s` from the last one to the end.
    """
    started = {_name(match): at for at, line in outcome.lines if (match := STARTED.search(line))}
    ended = {_name(match): at for at, line in outcome.lines if (match := ENDED.search(line))}
    return {
        "seconds": outcome.seconds - training_s,
        "peak_mb": outcome.peak_mb(),
        "whole_s": outcome.seconds,
        "training_s": training_s,
        "first_stage_s": min(started.values()),
        "after_stages_s": outcome.seconds - max(ended.values()),
        "stages": {
            name: {"seconds": round(ended[name] - at, 2), "peak_mb": outcome.peak_mb(at, ended[name])}
            for name, at in started.items()
            if name in ended
        },
    }


def _name(match: re.Match) -> str:
    return match[1] or match[2]


def main(rows: str, output: str, epochs: str) -> None:
    """Runs the stock pipeline."""
    import absl.logging

    from benchmarks.stock import create_pipeline, tfx

    absl.logging.set_verbosity(absl.logging.INFO)
    tfx.orchestration.LocalDagRunner().run(create_pipeline(rows, output, int(epochs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
