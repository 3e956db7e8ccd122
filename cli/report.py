"""The commands that show results."""

import contextlib
import os
from collections.abc import Iterator

import click

from pipeline.exits import reported


@click.command()
@click.option("--output", default="runs", show_default=True, metavar="FOLDER", help="Where the run wrote to.")
@click.option("--run", "name", metavar="NAME", help="The run, as its results folder is called. [the newest]")
@click.option("--study", metavar="FOLDER", help="The folder of a study, for its page instead of a run's.")
@click.option("--to", "path", metavar="FILE.html", help="Where to write the page. [beside the results]")
@click.option("--metadata", metavar="URL", help="Where the run kept its metadata, if it is MySQL with a password.")
def report(output, name, study, path, metadata):
    """Writes the results of a run, or of a study, as one page that opens offline, and its figures as pictures."""
    if study and name:
        raise click.UsageError("A page is of a run or of a study. Received: both. Use --run or --study.")
    with reported():
        click.echo(f"Report: {_study(study, path) if study else _run(output, name, path, metadata)}")


@click.command()
@click.argument("outputs", nargs=-1, metavar="[FOLDER]...")
@click.option("--port", type=click.IntRange(0, 65535), help="To listen on. [6006, or the next that is free]")
@click.option("--host", help="To listen on. [localhost]")
def tensorboard(outputs, port, host):
    """Opens TensorBoard on all runs and studies below FOLDER, runs unless told, by group, architecture and date."""
    with reported():
        from report.tensorboard import check_found, find_histories, find_logs, serve

        outputs = outputs or ["runs"]
        logs, histories = find_logs(outputs), find_histories(outputs)
        check_found(outputs, logs, histories)
        for name, folder in logs.items():
            click.echo(f"{name}: {folder}")
        for name in histories:
            click.echo(name)
        with contextlib.suppress(KeyboardInterrupt):
            serve(logs, histories, port, host, lambda url: click.echo(f"TensorBoard: {url} (Ctrl-C ends it)"))


def report_run(config, summary: dict) -> str:
    """The path of the page of a run that has just ended; a page that cannot be made costs a warning, not the run."""

    with warned_of("The report could not be made"):
        from report import run_page

        return run_page.write(config, summary)
    return "not made"


def report_study(folder: str) -> str:
    """The path of the page of a study that has just ended, likewise."""
    with warned_of("The report could not be made"):
        return _study(folder, None)
    return "not made"


@contextlib.contextmanager
def warned_of(what: str) -> Iterator[None]:
    """Makes an error a warning, for what comes after a run and must not change how that ends."""
    from pipeline.console import LOGGER

    try:
        yield
    except Exception as error:
        LOGGER.warning("%s: %s", what, error, exc_info=True)


def _study(folder: str, path: str | None) -> str:
    from report import study_page

    return study_page.write(folder, path)


def _run(output: str, name: str | None, path: str | None, metadata: str | None) -> str:
    from pipeline.run_records import SUMMARY, find_run, read_config, read_json

    results = find_run(output, name)
    summary = read_json(results / SUMMARY) | {"results": str(results.absolute())}
    config = read_config(results, output, metadata)

    from pipeline.console import logged
    from pipeline.database import reach
    from pipeline.workspace import Workspace

    with logged(os.path.join(Workspace(config).logs, "report.log"), False, reach(config.metadata)):
        from report import run_page

        return run_page.write(config, summary, path)
