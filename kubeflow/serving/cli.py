"""The commands for served models. Heavy imports happen inside them."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import click

from pipeline.exits import reported


@click.command()
@click.argument("events", metavar="EVENTS.csv")
@click.option("--url", metavar="URL", help="Ask TF Serving's REST interface, http://host:8501.")
@click.option("--grpc", metavar="ADDRESS", help="Ask TF Serving's gRPC interface, host:8500.")
@click.option("--model-dir", metavar="FOLDER", help="Use a SavedModel, or versions of one. [runs/serving/MODEL]")
@click.option("--to", metavar="FILE", help="Where the predictions go, .csv or .csv.gz. [EVENTS.predictions.csv]")
@click.option("--model", "name", default="higgs", show_default=True, metavar="NAME", help="The model's name.")
@click.option("--version", type=click.IntRange(min=1), metavar="NUMBER", help="Of the model. [the newest]")
@click.option("--label", metavar="NAME", help="Of the model's version instead: stable or canary.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1024, show_default=True, help="Rows per request.")
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Requests at a time.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds."
)
@click.option("--retries", type=click.IntRange(min=0), default=5, show_default=True, help="Of unavailable servers.")
def predict(events, url, grpc, model_dir, to, name, version, label, batch_size, concurrency, timeout, retries):
    """Scores the events of a HIGGS file, with or without labels, by a served model.

    Writes one line per row, in order: the probability of a signal and, where the file has labels, the label.
    """
    given = [option for option, value in (("--url", url), ("--grpc", grpc), ("--model-dir", model_dir)) if value]
    if len(given) > 1:
        raise click.UsageError(f"One model is asked. Received: {' and '.join(given)}. Drop all but one.")
    to = to or f"{os.path.basename(events).removesuffix('.gz').removesuffix('.csv')}.predictions.csv"
    with reported(), _quiet():
        from components.sums import describe
        from datasets.provenance import is_simulated
        from kubeflow.serving.predict import Events, predict
        from kubeflow.serving.request import Model

        rows = Events.open(events)
        scorer = _scorer(url, grpc, model_dir, Model(name, version or 0, label or ""), timeout, concurrency)
        try:
            n_rows, sums = predict(rows, scorer, to, batch_size, concurrency, retries)
        finally:
            scorer.close()
        click.echo(f"Model: {scorer.server}")
        if sums:
            click.echo(f"{describe(sums)} over {n_rows:,} {'simulated ' if is_simulated(rows.path) else ''}rows")
        click.echo(f"Predictions: {os.path.abspath(to)}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what TensorFlow and what it imports have to say of themselves."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _scorer(url, grpc, model_dir, model, timeout_s, concurrency):
    if url:
        from kubeflow.serving.rest import RestScorer

        return RestScorer(url, model, timeout_s, concurrency)
    if grpc:
        from kubeflow.serving.rpc import GrpcScorer

        return GrpcScorer(grpc, model, timeout_s)
    from kubeflow.serving.local import LocalScorer

    return LocalScorer(model_dir or os.path.join("runs", "serving", model.name), model)


@click.group()
def serving():
    """The served versions: which there are, which is stable, and the way back."""


def _options(command):
    command = click.option("--model", default="higgs", show_default=True, metavar="NAME", help="The model.")(command)
    return click.option("--output", default="runs", show_default=True, metavar="FOLDER", help="Of the runs.")(command)


@serving.command()
@_options
def status(output, model):
    """Lists the versions, newest first."""
    with reported(), _quiet():
        from kubeflow.serving.operations import describe

        click.echo("\n".join(describe(output, model)))


@serving.command()
@_options
def rollback(output, model):
    """Takes the newest version out of service; requests go to the one before. It is not pushed again by itself."""
    with reported(), _quiet():
        from kubeflow.serving.operations import roll_back

        withdrawn, stable = roll_back(output, model)
        click.echo(f"Rolled back: {withdrawn}. Stable: {stable}.")


@serving.command()
@_options
def promote(output, model):
    """Makes the newest version, the canary, the stable one."""
    with reported(), _quiet():
        from kubeflow.serving.operations import promote

        click.echo(f"Stable: {promote(output, model)}.")


@serving.command()
@_options
def restore(output, model):
    """Undoes the last rollback, as long as nothing was pushed since; the version is on offer again."""
    with reported(), _quiet():
        from kubeflow.serving.operations import restore

        click.echo(f"Restored: {restore(output, model)}.")
