"""The commands on runs that have ended. Heavy imports happen inside them, and only where something is changed."""

import contextlib
import os
import sys
from collections.abc import Iterator

import click

from pipeline.exits import NOT_BLESSED, RESUMED, reported


@click.group()
def runs():
    """Runs that have ended: their results, what they keep, and whether they can be repeated.

    RUN is a run's name as `list` shows it, or how that begins.
    """


_output = click.option("--output", default="runs", show_default=True, metavar="FOLDER", help="Of the runs.")
_metadata = click.option("--metadata", metavar="URL", help="Where the runs keep metadata, if that needs a password.")


@runs.command("list")
@_output
def list_runs(output):
    """Lists every run, the newest first."""
    with reported():
        from cli.runs_tables import describe_all

        click.echo(describe_all(output))


@runs.command()
@click.argument("run", required=False)
@_output
def show(run, output):
    """Shows the settings, data and results of RUN, or else of the newest."""
    with reported():
        from cli.runs_tables import describe
        from pipeline.run_records import find_run

        click.echo(describe(find_run(output, run)))


@runs.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="[RUN]", required=False)
@_output
def diff(first, second, output):
    """Shows what differs between two runs: settings, data, code, packages, figures. The second is the newest."""
    with reported():
        from cli.runs_tables import compare
        from pipeline.run_records import find_run

        click.echo(compare(find_run(output, first), find_run(output, second)))


@runs.command()
@click.option("--keep", type=click.IntRange(min=1), required=True, metavar="N", help="How many, the newest.")
@_output
@_metadata
def gc(keep, output, metadata):
    """Removes what all runs made but the newest N and those whose versions are served or on the disk.

    Records stay, for `list`, `show` and `diff`.
    """
    with _changing(output, metadata) as config:
        from pipeline.retention import collect

        _tell(collect(config, keep))


@runs.command()
@click.argument("run", nargs=-1, required=True)
@_output
@_metadata
def rm(run, output, metadata):
    """Removes each RUN with its record, and what it made as far as no other run needs it."""
    with _changing(output, metadata) as config:
        from pipeline.retention import remove
        from pipeline.run_records import SUMMARY, find_run, read_json

        _tell(remove(config, [read_json(find_run(output, name) / SUMMARY)["run"] for name in run]))


@runs.command()
@click.argument("run", required=False)
@_output
def reproduce(run, output):
    """Trains RUN, or else the newest, again from its record, and says whether the same comes out.

    Exit code 0 if every probability of the eval split is the same to 1e-6, and 3 if not: then the data file or code
    that differs first is named. Nothing is pushed.
    """
    with reported(RESUMED):
        from pipeline.reproduction import reproduce

        is_equal = reproduce(output, run)
    sys.exit(0 if is_equal else NOT_BLESSED)


@contextlib.contextmanager
def _changing(output: str, metadata: str | None) -> Iterator:
    """The configuration of the newest run, with the output folder locked."""
    with reported():
        from pipeline.run_records import find_run, read_config

        config = read_config(find_run(output), output, metadata)

        from pipeline.console import logged
        from pipeline.database import reach
        from pipeline.workspace import Workspace

        workspace = Workspace(config)
        log = os.path.join(workspace.logs, "gc.log")
        with workspace.locked(), logged(log, False, reach(config.metadata)):
            workspace.remove_unfinished()
            yield config


def _tell(freed) -> None:
    click.echo(
        f"Freed: {freed.n_bytes / 1e6:,.1f} MB of {len(freed.freed)} runs. Kept: {', '.join(freed.kept) or 'none'}."
    )
