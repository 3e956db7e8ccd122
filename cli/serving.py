"""The commands for served models. Heavy imports happen inside them."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import click

from cli.options import options
from events.listing import absolute, stem
from pipeline.exits import reported


@click.command()
@click.argument("events", metavar="EVENTS.csv")
@click.option("--url", metavar="URL", help="Ask TF Serving's REST interface, http://host:8501.")
@click.option("--grpc", metavar="ADDRESS", help="Ask TF Serving's gRPC interface, host:8500.")
@click.option("--model-dir", metavar="FOLDER", help="Use a SavedModel, or versions of one. [runs/serving/MODEL]")
@click.option("--to", metavar="FILE", help="Where the predictions go, .csv or .csv.gz. [EVENTS.predictions.csv]")
@click.option("--model", "name", default="higgs", show_default=True, metavar="NAME", help="The model's name.")
@click.option("--version", type=click.IntRange(min=1), metavar="NUMBER", help="Of the model. [the stable one]")
@click.option("--canary", is_flag=True, help="Ask the canary, or the stable version where there is none.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1024, show_default=True, help="Rows per request.")
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Requests at a time.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds."
)
@click.option("--header", is_flag=True, help="Name the columns in the first line.")
@click.option("--row-numbers", is_flag=True, help="Begin each line with the row's number, from 1.")
@click.option("--retries", type=click.IntRange(min=0), default=5, show_default=True, help="Of unavailable servers.")
def predict(events, url, grpc, model_dir, to, name, version, canary, batch_size, concurrency, timeout, retries, **form):
    """Scores the events of a HIGGS file, with or without labels, by a served model.

    Writes one line per row, in order: the probability of a signal and, where the file has labels, the label. Warns of
    values outside the schema's ranges and, if the model is on this machine, of rows that it was trained on.
    """
    given = [option for option, value in (("--url", url), ("--grpc", grpc), ("--model-dir", model_dir)) if value]
    if len(given) > 1:
        raise click.UsageError(f"Predictions are of one model. Received: {' and '.join(given)}. Drop all but one.")
    if version and canary:
        raise click.UsageError(f"Predictions are of one version. Received: --version {version} and --canary. Drop one.")
    to = to or f"{stem(os.path.basename(events))}.predictions.csv"
    with reported(), _quiet():
        from events.provenance import is_simulated
        from metrics.sums import describe
        from serving.predict import Events, predict
        from serving.remarks import Remarks
        from serving.request import Model

        rows = Events.open(events)
        scorer = _scorer(url, grpc, model_dir, Model(name, version or 0, canary), timeout, concurrency)
        try:
            remarks = Remarks("" if url or grpc else scorer.server)
            n_rows, sums = predict(rows, scorer, to, batch_size, concurrency, retries, look=remarks.add, **form)
        finally:
            scorer.close()
        click.echo(f"Model: {scorer.server}")
        if sums:
            click.echo(f"{describe(sums)} over {n_rows:,} {'simulated ' if is_simulated(rows.path) else ''}rows")
        for line in remarks.lines():
            click.echo(f"Warning: {line}", err=True)
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
        from serving.rest import RestScorer

        return RestScorer(url, model, timeout_s, concurrency)
    if grpc:
        from serving.rpc import GrpcScorer

        return GrpcScorer(grpc, model, timeout_s)
    from serving.local import LocalScorer

    return LocalScorer(model_dir or os.path.join("runs", "serving", model.name), model)


@click.group()
def serving():
    """The served versions: which there are, which is stable, and the way back."""


_options = options(
    click.option("--output", default="runs", show_default=True, metavar="FOLDER", help="Of the runs."),
    click.option("--model", default="higgs", show_default=True, metavar="NAME", help="The model."),
)


def _base(output: str, model: str) -> str:
    return os.path.join(absolute(output), "serving", model)


@serving.command()
@_options
def status(output, model):
    """Lists every version that was pushed, newest first, and what it is: stable, canary, on offer, ..."""
    with reported():
        from cli.versions_table import describe

        click.echo(describe(_base(output, model)))


@serving.command()
@click.argument("version", type=click.IntRange(min=1), default=None, required=False)
@_options
def promote(version, output, model):
    """Makes the canary the stable version, or VERSION, which must be newer than the stable one."""
    with reported():
        from serving import versions

        click.echo(f"Stable: {versions.promote(_base(output, model), version or 0)}.")


@serving.command()
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="One that was stable. [the one before]")
@_options
def rollback(to, output, model):
    """Takes the canary out of service, or else the stable version, for the one that was stable before.

    What was rolled back is not pushed again by itself. Repeated, this does nothing more; --to leads further back.
    """
    with reported():
        from serving import versions

        click.echo(_changed("Rolled back", *versions.roll_back(_base(output, model), to or 0)))


@serving.command()
@_options
def restore(output, model):
    """Undoes a rollback, as long as it is the last change."""
    with reported():
        from serving import versions

        click.echo(_changed("Restored", *versions.restore(_base(output, model))))


def _changed(what: str, versions: tuple[int, ...], stable: int) -> str:
    return f"{what}: {', '.join(map(str, versions)) or 'none'}. Stable: {stable}."
