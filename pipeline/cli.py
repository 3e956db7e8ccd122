"""The command line. Heavy imports happen inside the commands, so that help answers at once."""

import dataclasses
import os
import sys
import time
from urllib.parse import urlparse

import click

from kubeflow.cli import kubeflow
from pipeline.exits import BLESSED, NOT_BLESSED, reported

DEFAULT_ROWS = 10_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli():
    """Trains a network on HIGGS and serves it only if it beats a tiny one.

    Exit codes: 0 blessed, 2 bad input, 3 not blessed.
    """


def _setting(key: str):
    """An option that is short for `--set KEY=VALUE`."""
    return {"metavar": "VALUE", "help": f"Short for --set {key}=VALUE.", "default": None}


@cli.command()
@click.option("--data", metavar="PATH", help="A file, a folder or a glob of .csv and .csv.gz, with or without header.")
@click.option(
    "--simulate",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=DEFAULT_ROWS,
    metavar="[ROWS]",
    help=f"Use simulated rows instead, {DEFAULT_ROWS:,} unless told.",
)
@click.option("--architecture", metavar="NAME", help="The candidate: tiny, small, ..., combined. [combined]")
@click.option("--epochs", **_setting("train.epochs"))
@click.option("--patience", **_setting("train.patience"))
@click.option("--seed", **_setting("train.seed"))
@click.option("--eval-rows", metavar="START:STOP", help="Rows for the gate: :1000 the first, -9: the last. [by hash]")
@click.option("--val-rows", metavar="START:STOP", help="Rows that stop training, likewise. [by hash]")
@click.option("--bad-rows", type=click.Choice(["stop", "quarantine"]), help="What to do with bad rows. [stop]")
@click.option("--output", metavar="FOLDER", help="For artifacts, metadata, logs, results and served models. [runs]")
@click.option("--metadata", metavar="URL", help="mysql://user:password@host:port/database instead of SQLite.")
@click.option("--beam-arg", "beam_args", multiple=True, metavar="--NAME=VALUE", help="An option for Beam. Repeatable.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting. Repeatable.")
@click.option("--no-cache", is_flag=True, help="Run every stage, changed or not.")
@click.option("--verbose", is_flag=True, help="Show what TensorFlow, Beam and TFX log, too.")
def run(data, simulate, beam_args, settings, no_cache, verbose, **options):
    """Runs the pipeline on this machine: CSV in, a served model or a refusal out."""
    if bool(data) == bool(simulate):
        received = "both" if data else "neither"
        raise click.UsageError(
            f"A run takes either real rows or simulated ones. Received: {received}. Use --data PATH or --simulate."
        )
    with reported():
        config = _configure(options, beam_args, settings, no_cache)
        sys.exit(_run(config, data, simulate, verbose))


def _configure(options: dict, beam_args: tuple, settings: tuple, no_cache: bool):
    from pipeline.config import Config, override

    sections = {"architecture": "train", "epochs": "train", "patience": "train", "seed": "train"}
    sections |= {"eval_rows": "data", "val_rows": "data", "bad_rows": "data"}
    given = [
        f"{sections[name]}.{name}={value}" if name in sections else f"{name}={value}"
        for name, value in options.items()
        if value is not None
    ]
    config = override(Config(), [*given, *settings])
    return dataclasses.replace(config, beam_args=(*config.beam_args, *beam_args), cache=config.cache and not no_cache)


def _run(config, data: str | None, n_simulated: int | None, verbose: bool) -> int:
    from pipeline.console import Stages, logged
    from pipeline.data import with_data, with_simulation
    from pipeline.places import Places

    places = Places(config)
    with places.locked():
        config = with_data(config, data) if data else with_simulation(config, n_simulated)
        log = os.path.join(places.logs, time.strftime("run-%Y%m%d-%H%M%S.log"))
        click.echo(f"Rows: {config.data.origin}, {config.data.path}\nLog: {log}")
        with logged(log, verbose, urlparse(config.metadata).password or ""), Stages().shown():
            _leave_out_cloud_clients(config)
            from pipeline import local_runner, summary

            local_runner.run(config)
            outcome = summary.summarize(config)
    summary.show(outcome)
    return BLESSED if outcome["verdict"]["blessed"] else NOT_BLESSED


def _leave_out_cloud_clients(config) -> None:
    """Keeps Google Cloud's clients, which Beam imports where they are installed, out of a run that stays local."""
    uses = [config.data.path, config.output, *config.beam_args]
    if not any("://" in use or "Dataflow" in use for use in uses):
        sys.meta_path.insert(0, _Absent("google.cloud"))


class _Absent:
    """An import finder for which a package is not installed."""

    def __init__(self, package: str):
        self._package = package

    def find_spec(self, name, path=None, target=None):
        if name == self._package or name.startswith(self._package + "."):
            raise ModuleNotFoundError(f"{name} is left out of a local run", name=name)
        return None


@cli.group()
def data():
    """The HIGGS rows: download them, or simulate some."""


@data.command()
@click.argument("path", default="data/HIGGS.csv.gz")
def download(path):
    """Downloads HIGGS.csv.gz (2.8 GB) to PATH, going on where an earlier download broke off."""
    from datasets.download import download

    with reported():
        download(path)
    click.echo(f"Real rows: {os.path.abspath(path)}")


@data.command()
@click.option("--rows", type=int, default=DEFAULT_ROWS, show_default=True, help="How many collisions.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random numbers.")
@click.argument("path", default="data/simulated.csv.gz")
def simulate(path, rows, seed):
    """Writes simulated rows in the format of HIGGS to PATH, .csv or .csv.gz."""
    from datasets.simulate import write_csv

    with reported():
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_csv(path, rows, seed)
    click.echo(f"Simulated rows: {os.path.abspath(path)}")


cli.add_command(kubeflow)

main = cli

if __name__ == "__main__":
    main()
