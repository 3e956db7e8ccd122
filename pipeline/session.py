"""What the commands that work on rows have in common: their configuration, their lock and their log."""

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator

import click

# What Kubernetes' client, Beam and Keras import where it is installed, each for a feature that no stage uses:
# validated manifests, MongoDB, galleries of images. Google Cloud's clients are the same to a run that stays local.
UNUSED = ("kubernetes_validate", "bson", "matplotlib.pyplot")


def check_architectures(config) -> None:
    """Raises ModelError if the candidate's or the baseline's name is of no architecture."""
    from models.architectures import named

    for name in (config.train.architecture, config.train.baseline):
        named(name)


@contextlib.contextmanager
def session(
    config, data: str | None, simulate: int | None, verbose: bool, check: Callable = check_architectures
) -> Iterator:
    """Locks the output folder and turns the noise to a log file, for the time of a command.

    Args:
      config: the `Config`, before any rows are looked for.
      data: path of the rows; or else
      simulate: how many rows to simulate.
      verbose: whether the terminal shows the noise, too.
      check: is called with it before anything is made or takes time; raises what is wrong with it.

    Yields:
      The resolved `Config`.
    """
    from events.listing import absolute
    from pipeline.console import Stages, logged
    from pipeline.data import with_data, with_simulation
    from pipeline.database import reach
    from pipeline.hyperparameters import with_hyperparameters
    from pipeline.runners import beam_options, check_reachable
    from pipeline.workspace import Workspace

    if bool(data) == bool(simulate):
        received = "both" if data else "neither"
        raise click.UsageError(
            f"A run takes either real rows or simulated ones. Received: {received}. Use --data PATH or --simulate."
        )
    check(config)
    beam_options(config.runner, config.beam_args)  # what is missing is said at once
    password = reach(config.metadata)
    workspace = Workspace(config)
    check_reachable(config.runner, artifacts=workspace.artifacts, data=absolute(data) if data else workspace.data)
    with workspace.locked():
        workspace.remove_unfinished()
        if data:
            config = with_data(config, data)
        if simulate:
            config = with_simulation(config, simulate)
        log = os.path.join(workspace.logs, time.strftime("run-%Y%m%d-%H%M%S.log"))
        click.echo(f"Rows: {config.data.origin}, {config.data.path}\nLog: {log}")
        with logged(log, verbose, password), Stages().shown():
            config = with_hyperparameters(config)
            prepare(config)
            yield config


def prepare(config) -> None:
    """Imports the stages, checks that artifacts and metadata can be written, and removes what killed runs left."""
    _import_stages(config)
    _prepare_stores(config)


def _import_stages(config) -> None:
    """Imports the stages with the garbage collector off, hiding optional packages that no stage needs."""
    sys.meta_path.insert(0, _Absent(*UNUSED, *(() if _uses_cloud(config) else ("google.cloud",))))
    gc.disable()
    try:
        import pipeline.execution  # noqa: F401
    finally:
        gc.freeze()  # what has been imported stays to the end
        gc.enable()


def _prepare_stores(config) -> None:
    """Checks that artifacts and metadata can be written, and removes what killed runs left of them.

    Raises:
      ConfigError: they cannot.
    """
    from pipeline.leftovers import remove_dead
    from pipeline.lineage import open_store
    from pipeline.workspace import Workspace, check_writable

    artifacts = Workspace(config).artifacts
    check_writable(artifacts)
    with open_store(config) as store:
        if not config.metadata:  # other folders' runs share a database, and may be running
            remove_dead(store, artifacts)


def _uses_cloud(config) -> bool:
    uses = [config.data.path, config.artifacts, config.runner, *config.beam_args]
    return any("://" in use or "dataflow" in use.lower() for use in uses)


class _Absent:
    """An import finder for which packages are not installed."""

    def __init__(self, *packages: str):
        self._packages = packages

    def find_spec(self, name, path=None, target=None):
        if any(f"{name}.".startswith(f"{package}.") for package in self._packages):
            raise ModuleNotFoundError(f"{name} is left out of this run", name=name)
