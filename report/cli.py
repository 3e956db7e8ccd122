"""The commands that show results."""

import dataclasses

import click

from pipeline.exits import reported


@click.command()
@click.option("--output", default="runs", show_default=True, metavar="FOLDER", help="Where the run wrote to.")
@click.option("--run", "name", metavar="NAME", help="The run, as its results folder is called. [the newest]")
@click.option("--study", metavar="FOLDER", help="The folder of a study, for its page instead of a run's.")
@click.option("--to", "path", metavar="FILE.html", help="Where to write the page. [beside the results]")
@click.option("--metadata", metavar="URL", help="Where the run kept its metadata, if it is MySQL with a password.")
def report(output, name, study, path, metadata):
    """Writes what came of a run, or of a study, as one page that opens offline, and its figures as pictures."""
    if study and name:
        raise click.UsageError("A page is of a run or of a study. Received: both. Use --run or --study.")
    with reported():
        click.echo(f"Report: {_study(study, path) if study else _run(output, name, path, metadata)}")


def _study(folder: str, path: str | None) -> str:
    from report import study

    return study.write(folder, path)


def _run(output: str, name: str | None, path: str | None, metadata: str | None) -> str:
    from report.records import find_run, read_json

    results = find_run(output, name)
    summary = read_json(results / "summary.json") | {"results": str(results.absolute())}

    from pipeline.config import Config
    from report import run

    config = Config.from_json((results / "config.json").read_text())
    config = dataclasses.replace(config, output=output, metadata=metadata or config.metadata)
    return run.write(config, summary, path)
