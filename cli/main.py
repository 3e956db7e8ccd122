"""The command line. Heavy imports happen inside the commands, so that help answers at once."""

import os
import sys

import click

from cli.kubeflow import kubeflow
from cli.options import DEFAULT_ROWS, configure, session_options
from cli.report import report, report_run, tensorboard, warned_of
from cli.runs import runs
from cli.serving import predict, serving
from cli.study import study
from pipeline.exits import BLESSED, NOT_BLESSED, RESUMED, reported
from pipeline.session import session


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="higgs-pipeline", prog_name="higgs")
def cli():
    """Trains a network on HIGGS and serves it only if it beats a tiny one.

    Exit codes: 0 blessed, 2 bad input, 3 not blessed.
    """


for command in (study, report, tensorboard, runs, kubeflow, predict, serving):
    cli.add_command(command)


@cli.command()
@click.option("--architecture", metavar="NAME", help="The candidate: tiny, small, ..., combined. [combined]")
@click.option("--tune", "enabled", is_flag=True, default=None, help="Look for better hyperparameters first.")
@click.option("--tuned", "hyperparameters", metavar="FILE|latest", help="Train with what an earlier --tune has found.")
@click.option("--keep", metavar="RUNS", help="How many runs keep what their stages made, this one included. [all]")
@session_options
def run(data, simulate, verbose, **options):
    """Runs the pipeline on this machine: CSV in, a served model or a refusal out."""
    with reported(RESUMED):
        with session(configure(**options), data, simulate, verbose) as config:
            from pipeline import summary
            from pipeline.execution import execute

            name = execute(config)
            if not name:
                return
            outcome = summary.summarize(config, name)
            outcome["report"] = report_run(config, outcome)
            if config.keep:
                with warned_of("What older runs made could not be removed"):
                    from pipeline.retention import collect

                    collect(config, config.keep)
        summary.show(outcome)
    sys.exit(BLESSED if outcome["verdict"]["blessed"] else NOT_BLESSED)


@cli.group()
def data():
    """The HIGGS rows: download them, or simulate some."""


@data.command()
@click.argument("path", default="data/HIGGS.csv.gz")
def download(path):
    """Downloads HIGGS.csv.gz (2.8 GB) to PATH, going on where an earlier download broke off."""
    from events.higgs.download import download

    with reported(RESUMED):
        download(path)
    click.echo(f"Real rows: {os.path.abspath(path)}")


@data.command()
@click.option("--rows", type=int, default=DEFAULT_ROWS, show_default=True, help="How many collisions.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random numbers.")
@click.argument("path", default="data/simulated.csv.gz")
def simulate(path, rows, seed):
    """Writes simulated rows in the format of HIGGS to PATH, .csv or .csv.gz."""
    from events.higgs.simulate import write_csv

    with reported():
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_csv(path, rows, seed)
    click.echo(f"Simulated rows: {os.path.abspath(path)}")


main = cli

if __name__ == "__main__":
    main()
