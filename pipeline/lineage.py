"""What ML Metadata knows of a run: its executions, their times, their artifacts."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator

from ml_metadata import MetadataStore
from ml_metadata.errors import StatusError
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata

from events.errors import ConfigError
from events.seals import check_seal
from pipeline.config import Config
from pipeline.database import Database
from pipeline.workspace import Workspace

# What SQLite says of a file that it cannot write to, often because the disk is full.
UNWRITABLE = (
    "unable to open database file",
    "disk I/O error",
    "no transaction is active",  # any more, since a write failed
    "database is locked",
    "attempt to write a readonly database",
)


@dataclasses.dataclass(frozen=True)
class Execution:
    """One stage of a run.

    Attributes:
      id: its number in ML Metadata.
      node: the stage's name.
      seconds: from its registration to its end; 0 for a cached one.
      cached: whether its outputs were taken from an earlier run.
      outputs: output key to the artifact.
      parameters: the stage's settings, name to text.
    """

    id: int
    node: str
    seconds: float
    cached: bool
    outputs: dict[str, mlmd.Artifact]
    parameters: dict[str, str]


def connection(config: Config) -> mlmd.ConnectionConfig:
    """Where the metadata is: SQLite below the output folder, or the MySQL database that the URL names."""
    if not config.metadata:
        return metadata.sqlite_metadata_connection_config(Workspace(config).metadata)
    database = Database.parse(config.metadata)
    return metadata.mysql_metadata_connection_config(
        database.host, database.port, database.name, database.user, database.password
    )


@contextlib.contextmanager
def open_store(config: Config) -> Iterator[MetadataStore]:
    """Opens ML Metadata.

    Raises:
      ConfigError: the file is damaged, or the server has no such database for this user.
    """
    try:
        with metadata.Metadata(connection(config)) as handle:
            yield handle.store
    except (RuntimeError, StatusError) as error:
        raise ConfigError(_fault(config, error)) from error


@contextlib.contextmanager
def metadata_faults(config: Config) -> Iterator[None]:
    """Turns what SQLite says of a file that cannot be written to any more into a ConfigError."""
    try:
        yield
    except StatusError as error:
        if config.metadata or not any(words in str(error) for words in UNWRITABLE):
            raise
        raise ConfigError(_fault(config, error)) from error


def _fault(config: Config, error: Exception) -> str:
    if not config.metadata:
        text = str(error).partition(" with error: ")[2] or str(error)
        reason = text.rpartition("Error when executing query: ")[2].partition(" query:")[0].rstrip(".")
        received = f"Received: {Workspace(config).metadata}: {reason}."
        if reason.endswith(UNWRITABLE):
            return (
                f"ML Metadata must be writable. {received} See whether the disk is full, or another program holds the "
                "file, and run again."
            )
        return f"ML Metadata must be readable. {received} Restore it, or move it away: the next run begins anew."
    database = Database.parse(config.metadata)
    return (
        "Metadata needs a MySQL database that is there and takes user and password. Received: no connection to "
        f"{database.name} at {database.place} as {database.user!r}. Correct --metadata, or make the database."
    )


def read_run(config: Config, name: str) -> list[Execution]:
    """The executions of the pipeline's run of that name, in the order in which they began.

    Raises:
      ConfigError: there is none.
    """
    with open_store(config) as store:
        pipelines = [context for context in store.get_contexts_by_type("pipeline") if context.name == config.name]
        contexts = [run for pipeline in pipelines for run in store.get_children_contexts_by_context(pipeline.id)]
        run = next((run for run in contexts if run.type == "pipeline_run" and run.name == name), None)
        if run is None:
            raise ConfigError(
                f"ML Metadata must know the run. Received: {_place(config)}, which does not. "
                "Name the right one with --metadata."
            )
        executions = sorted(store.get_executions_by_context(run.id), key=lambda execution: execution.id)
        return [_describe(store, execution) for execution in executions]


def _place(config: Config) -> str:
    return json.loads(config.to_json())["metadata"] or Workspace(config).metadata


def check_outputs(executions: Iterable[Execution]) -> None:
    """Raises if what the stages made is not there as it was.

    Raises:
      ConfigError: it was removed on purpose, see `pipeline.retention`.
      DamageError: something that a stage sealed is damaged or gone.
    """
    for execution in executions:
        for artifact in execution.outputs.values():
            if artifact.state == mlmd.Artifact.DELETED:
                raise ConfigError(
                    f"This needs what the run's stages made. Received: {artifact.uri}, which higgs runs gc removed. "
                    "Its figures are in higgs runs show; name a newer run, or repeat it with higgs runs reproduce."
                )
            check_seal(artifact.uri)


def _describe(store, execution: mlmd.Execution) -> Execution:
    [node] = [c.name for c in store.get_contexts_by_execution(execution.id) if c.type == "node"]
    events = store.get_events_by_execution_ids([execution.id])
    outputs = [event for event in events if event.type in (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT)]
    by_id = {artifact.id: artifact for artifact in store.get_artifacts_by_id([event.artifact_id for event in outputs])}
    cached = execution.last_known_state == mlmd.Execution.CACHED
    elapsed_ms = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return Execution(
        id=execution.id,
        node=node.split(".", 1)[1],
        seconds=0.0 if cached else elapsed_ms / 1000,
        cached=cached,
        outputs={_key(event): by_id[event.artifact_id] for event in outputs},
        parameters={name: value.string_value for name, value in execution.custom_properties.items()},
    )


def _key(event: mlmd.Event) -> str:
    return next(step.key for step in event.path.steps if step.HasField("key"))
