"""`higgs kubeflow`: the pipeline on Kubeflow Pipelines 2."""

import datetime
import os
import re
import tempfile

import click

from cli.options import options, short_for
from kubeflow.releases import NEWEST, RELEASES
from pipeline.exits import reported
from pipeline.names import check_name

DAY_S = 86_400.0


@click.group()
def kubeflow():
    """The pipeline on Kubeflow Pipelines 2: compile, submit, schedule.

    Exit codes: 0 done, 2 bad input or a failure, told in one line.
    """


PIPELINE_OPTIONS = (
    click.option("--image", metavar="NAME", required=True, envvar="HIGGS_IMAGE", help="The image of every task."),
    click.option(
        "--data", metavar="PATH", required=True, help="The rows, as a pod sees them. Run-time parameter data."
    ),
    click.option("--simulated", is_flag=True, help="The rows are simulated. Run-time parameter origin."),
    click.option("--architecture", **short_for("train.architecture", "architecture")),
    click.option("--tune", is_flag=True, help="Look for better hyperparameters first: --set tuner.enabled=true."),
    click.option("--epochs", **short_for("train.epochs", "epochs")),
    click.option("--min-improvement", **short_for("gate.min_improvement", "min_improvement")),
    click.option("--confidence", **short_for("gate.confidence", "confidence")),
    click.option(
        "--output", metavar="FOLDER", default="/mnt/higgs", show_default=True, help="Where models are pushed."
    ),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting. Repeatable."),
    click.option(
        "--volume", "volumes", multiple=True, metavar="CLAIM:FOLDER", help="A volume for data and models. Repeatable."
    ),
    click.option("--pull-secret", "pull_secrets", multiple=True, metavar="NAME", help="For the image. Repeatable."),
    click.option(
        "--need", "needs", multiple=True, metavar="TASK.FIELD=VALUE", help="cpu, memory_gb, retries, ... Repeatable."
    ),
    click.option(
        "--data-version",
        metavar="TEXT",
        default="",
        help="Names the state of the data: equal names let the cache stand in for ingestion. [always ingest]",
    ),
)

SERVER_OPTIONS = (
    click.option(
        "--endpoint", metavar="URL", required=True, envvar="HIGGS_KFP_ENDPOINT", help="Of Kubeflow Pipelines."
    ),
    click.option("--token", default="", envvar="HIGGS_KFP_TOKEN", help="A bearer token. Better: HIGGS_KFP_TOKEN."),
    click.option(
        "--cookies", default="", envvar="HIGGS_KFP_COOKIES", help="A Cookie header. Better: HIGGS_KFP_COOKIES."
    ),
    click.option("--ca", metavar="FILE", default="", envvar="HIGGS_KFP_CA", help="Of a private authority, as PEM."),
    click.option("--namespace", default="", envvar="HIGGS_KFP_NAMESPACE", help="Where a server has several users."),
)

RUN_OPTIONS = (
    click.option("--service-account", default="", help="Who the tasks run as. [Kubeflow's own]"),
    click.option("--experiment", default="higgs", show_default=True, help="What the runs are listed under."),
    click.option(
        "--root",
        metavar="URI",
        default="",
        help="Artifacts go below, by pipeline and run: minio://, s3:// or gs://. [the cluster's own]",
    ),
)


@kubeflow.command(name="compile")
@click.option("--to", "path", metavar="FILE", default="pipeline.yaml", show_default=True)
@options(*PIPELINE_OPTIONS)
def compile_command(path, **given):
    """Writes the pipeline spec 2.1 to upload. The image is fixed in it; what is a run-time parameter says so."""
    with reported():
        _compile(path, given)
    click.echo(f"Pipeline spec: {os.path.abspath(path)}")


@kubeflow.command()
@options(*SERVER_OPTIONS, *RUN_OPTIONS, *PIPELINE_OPTIONS)
@click.option("--wait", is_flag=True, help="Follow the run to its end.")
@click.option("--timeout", type=float, default=DAY_S, show_default=True, help="How many seconds to follow it.")
def submit(experiment, root, wait, timeout, **given):
    """Starts a run."""
    with reported(), tempfile.TemporaryDirectory() as folder:
        from kubeflow.resources import NEEDS

        client = _connect(given)
        package = os.path.join(folder, "pipeline.yaml")
        parameters = _compile(package, given)
        name = _run_name(parameters, datetime.datetime.now(datetime.timezone.utc))
        run_id = client.submit(package, experiment, name, parameters, root)
        click.echo(f"Run: {name}\nPage: {client.link(run_id)}")
        if wait:
            for task, state in client.wait(run_id, NEEDS, timeout):
                click.echo(f"{datetime.datetime.now():%H:%M:%S} {task}: {state.lower()}")


@kubeflow.command()
@click.option(
    "--cron", required=True, metavar="EXPRESSION", help='Six fields, seconds first, "0 0 3 * * *", or @daily.'
)
@click.option("--name", default="higgs-retraining", show_default=True, help="Of the schedule.")
@options(*SERVER_OPTIONS, *RUN_OPTIONS, *PIPELINE_OPTIONS)
def schedule(cron, name, experiment, root, **given):
    """Starts runs by the clock, each on the data that is there by then: a folder, a glob or the newest {SPAN}.

    The time zone is that of the cluster's administrator, UTC unless he changed it. Runs missed in a pause: the last one
    is made up for.
    """
    with reported(), tempfile.TemporaryDirectory() as folder:
        from kubeflow.cron import check

        check_name(name, "--name NAME")  # a folder is called so
        cron = check(cron)
        client = _connect(given)
        package = os.path.join(folder, "pipeline.yaml")
        parameters = _compile(package, given)
        client.schedule(package, experiment, name, parameters, cron, root)
    click.echo(f"Schedule: {name}, {cron}")


@kubeflow.group()
def schedules():
    """The schedules that there are."""


@schedules.command(name="list")
@options(*SERVER_OPTIONS)
def list_command(**server):
    """Lists them: name, state and times."""
    with reported():
        for found in _connect(server).schedules():
            cron = found.trigger.cron_schedule.cron if found.trigger and found.trigger.cron_schedule else "no cron"
            click.echo(f"{found.display_name}: {(found.status or 'unknown').lower()}, {cron}")


def _change(action: str, done: str, description: str) -> None:
    @schedules.command(name=action, help=description)
    @click.argument("name")
    @options(*SERVER_OPTIONS)
    def command(name, **server):
        with reported():
            _connect(server).change(action, name)
        click.echo(f"{done}: {name}")


_change("pause", "Paused", "Lets the schedule NAME start no runs.")
_change("resume", "Resumed", "Lets the paused schedule NAME go on.")
_change("delete", "Deleted", "Deletes the schedule NAME; its runs stay.")


@kubeflow.command()
@click.argument("path", metavar="FILE")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A run-time parameter. Repeatable."
)
@click.option("--folder", default="runs/kubeflow", show_default=True, help="For artifacts, logs and the pods' folders.")
@click.option("--image", default="", help="Run the tasks in this image, with Docker. [plain processes]")
@click.option("--mount", "mounts", multiple=True, metavar="FOLDER", help="Containers see it, too. Repeatable.")
@click.option(
    "--release",
    type=click.Choice(tuple(RELEASES)),
    default=NEWEST,
    show_default=True,
    help="Of Kubeflow Pipelines, whose rules hold; next: its branch without ML Metadata.",
)
def execute(path, parameters, folder, image, mounts, release):
    """Runs every task of a compiled spec on this machine, as Kubeflow would."""
    with reported():
        from kubeflow.execute import execute, parse_parameters

        given = parse_parameters(path, parameters)
        for task, outputs in execute(path, given, folder, image, tuple(map(os.path.abspath, mounts)), release):
            click.echo(f"{task}: {', '.join(artifact.uri for artifact in outputs.values())}")
            for artifact in outputs.values():
                for key in ("blessed", "pushed_destination"):
                    if key in artifact.metadata:
                        click.echo(f"  {key}: {artifact.metadata[key]}")


def _connect(given: dict):
    """The client for the server that options describe; they are taken out of what was given."""
    from kubeflow.client import Client

    names = ("endpoint", "token", "namespace", "ca", "cookies", "service_account")
    return Client(**{name: given.pop(name) for name in names if name in given})


def _compile(path: str, given: dict) -> dict:
    """Compiles to `path`; the run-time parameters by name, as the options set them."""
    from kubeflow.compile import Target, compile_pipeline, defaults, mounts_of, write
    from kubeflow.resources import NEEDS, with_needs
    from pipeline.config import Config, override
    from pipeline.console import logged

    keys = {"architecture": "train", "epochs": "train", "min_improvement": "gate", "confidence": "gate"}
    texts = [f"data.path={given['data']}", f"data.origin={'simulated' if given['simulated'] else 'real'}"]
    texts += [f"output={given['output']}", f"tuner.enabled={given['tune']}", *given["settings"]]
    texts += [f"{section}.{key}={given[key]}" for key, section in keys.items() if given[key] is not None]
    config = override(Config(), texts)
    target = Target(
        image=given["image"],
        needs=with_needs(NEEDS, given["needs"]),
        volumes=mounts_of(given["volumes"]),
        pull_secrets=given["pull_secrets"],
        data_version=given["data_version"],
    )
    with logged(os.devnull, verbose=False):  # TFX and TensorFlow have much to say, none of it about the pipeline
        documents = compile_pipeline(config, target)
    write(documents, path)
    return {parameter.name: value for parameter, value in defaults(config, target)}


def _run_name(parameters: dict, now: datetime.datetime) -> str:
    """What ran, on what and when; fit for a folder.

    >>> _run_name({"architecture": "l2", "data": "gs://b/day-{SPAN}/*.csv"}, datetime.datetime(2026, 11, 21, 8, 0, 5))
    'higgs-l2-day-span-csv-20261121-080005'
    """
    data = "/".join(parameters["data"].rstrip("/").split("/")[-2:])
    words = re.sub(r"[^a-z0-9]+", "-", f"{parameters['architecture']}-{data}".lower()).strip("-")
    return f"higgs-{words[:80]}-{now:%Y%m%d-%H%M%S}"
