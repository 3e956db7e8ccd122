"""Whether a run can be repeated: its networks, trained again from its record, are compared on the same rows."""

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterator

import click

from events.errors import ConfigError
from events.fingerprint import digests
from pipeline.config import Config
from pipeline.digest import digest_files
from pipeline.run_records import MODELS, PREDICTIONS, SUMMARY, find_run, read_config, read_json, read_predictions
from pipeline.workspace import Workspace

TOLERANCE = 1e-6  # of a probability; of a binary crossentropy where probabilities are not kept
FOLDER = "reproduced"  # below the output folder, while the networks are trained


def reproduce(output: str, name: str | None) -> bool:
    """Trains a run's networks again, prints what is the same and what is not.

    Args:
      output: the run's output folder.
      name: its name; the newest run if None.

    Returns:
      Whether both networks say the same of each row of eval, to TOLERANCE.

    Raises:
      ConfigError: there is no such run, its predictions are damaged, or its data are gone.
    """
    results = find_run(output, name)
    summary, config = read_json(results / SUMMARY), read_config(results, output)
    kept = read_predictions(results) if (results / PREDICTIONS).exists() else {}
    click.echo(f"Run: {results.name}")
    apart = list(_data_apart(summary))
    if apart:
        click.echo("Not equal, and not trained again, for its data are others now.")
    else:
        is_equal, found = _train_again(config, summary, kept)
        apart = [*_code_apart(summary), *_packages_apart(summary)]
        click.echo(f"{'Equal' if is_equal else 'Not equal'}: {found}")
        if is_equal:
            if apart:
                click.echo(f"Though {apart[0]}.")
            return True
    cause = apart[0] if apart else "nothing that the record knows of; did the machine change?"
    click.echo(f"What differs first: {cause}.")
    return False


def _data_apart(summary: dict) -> Iterator[str]:
    """The files whose content is not that of the record."""
    recorded = summary.get("digests", {})
    gone = next((path for path in summary["files"] if not os.path.exists(path)), None)
    if gone:
        raise ConfigError(f"A run is repeated on its data. Received: no file {gone}. Bring it back.")
    for path, digest in zip(recorded, digests(recorded), strict=True):
        if digest != recorded[path]:
            yield f"the data file {path}, with SHA-256 {digest[:16]}... now and {recorded[path][:16]}... then"


def _code_apart(summary: dict) -> Iterator[str]:
    recorded, now = summary.get("code", {}), digest_files()
    for path in {**now, **recorded} if recorded else {}:  # in the order of stages
        if recorded.get(path) != now.get(path):
            was = "is new" if path not in recorded else "is gone" if path not in now else "has changed"
            yield f"the code {path} {was} since" + (f" commit {summary['commit']}" if summary.get("commit") else "")


def _packages_apart(summary: dict) -> Iterator[str]:
    from pipeline.summary import package_versions

    for package, version in package_versions().items():
        if summary["versions"].get(package) != version:
            yield f"{package} is {version} now and was {summary['versions'].get(package)}"


def _train_again(config: Config, summary: dict, kept: dict) -> tuple[bool, str]:
    """Whether both networks come out the same, and how far they are apart in a sentence."""
    from pipeline.console import Stages, logged
    from pipeline.session import prepare

    workspace = Workspace(config)
    folder = os.path.join(workspace.output, FOLDER)
    with workspace.locked():
        shutil.rmtree(folder, ignore_errors=True)
        again = dataclasses.replace(
            config, output=folder, artifacts="", metadata="", runner="direct", beam_args=(), cache=False
        )
        again = _with_hyperparameters(again, summary)
        try:
            with logged(os.path.join(workspace.logs, "reproduce.log"), False), Stages().shown():
                prepare(again)
                return _compare(again, summary, kept)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _with_hyperparameters(config: Config, summary: dict) -> Config:
    """The configuration with the hyperparameters that the run found or was given, in place of a search for them."""
    if not summary["tuning"]:
        return config
    from events.files import whole
    from pipeline.hyperparameters import FILE

    path = os.path.join(config.output, "tuned", FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with whole(path) as file:
        json.dump(summary["tuning"]["content"], file)
    return dataclasses.replace(config, tuner=dataclasses.replace(config.tuner, enabled=False, hyperparameters=path))


def _compare(config: Config, summary: dict, kept: dict) -> tuple[bool, str]:
    import numpy as np
    import tensorflow as tf

    from components.event_metrics import BCE
    from components.sealed import model_path
    from metrics.sums import crossentropies
    from pipeline.execution import execute
    from pipeline.graph import create_training_pipeline
    from pipeline.lineage import read_run
    from pipeline.scoring import score

    run = execute(config, create_training_pipeline)
    outputs = {execution.node: execution.outputs for execution in read_run(config, run)}
    models = {name: tf.saved_model.load(model_path(outputs[f"Trainer.{name}"]["model"])) for name in MODELS}
    scored = score(os.path.join(outputs["HiggsExampleGen"]["examples"].uri, "Split-eval"), models, 1)
    n_rows = len(scored.labels)
    if not kept:
        then = {name: summary["models"][name]["eval"][BCE] for name in MODELS}
        now = {name: crossentropies(scored.labels, scored.probabilities[name]).mean() for name in MODELS}
        apart = max(abs(now[name] - (math.nan if then[name] is None else then[name])) for name in MODELS)
        return bool(apart <= TOLERANCE), (
            f"the binary crossentropies on {n_rows:,} rows of eval differ by {apart:.1e} at most; its "
            "predictions are not kept"
        )
    if kept["digest"] != scored.digest:
        return False, "other rows are in eval"
    apart = {name: float(np.abs(kept[name] - scored.probabilities[name]).max()) for name in MODELS}
    worst = max(apart, key=apart.__getitem__)
    return apart[worst] <= TOLERANCE, (
        f"the probabilities of {n_rows:,} rows of eval differ by {apart[worst]:.1e} at most, those of the {worst}"
    )
