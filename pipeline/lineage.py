"""What ML Metadata knows of a run: its executions, their times, their artifacts."""

import dataclasses
import json
from urllib.parse import urlparse

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.places import Places


@dataclasses.dataclass(frozen=True)
class Execution:
    """One stage of a run.

    Attributes:
      id: its number in ML Metadata.
      node: the stage's name.
      seconds: from its registration to its end; 0 for a cached one.
      cached: whether its outputs were taken from an earlier run.
      outputs: output key to the artifact.
      parameters: what the stage was told, name to text.
    """

    id: int
    node: str
    seconds: float
    cached: bool
    outputs: dict[str, mlmd.Artifact]
    parameters: dict[str, str]


def connection(config: Config) -> mlmd.ConnectionConfig:
    """Where the metadata is: SQLite below the output folder, or the MySQL database that the URL names.

    Raises:
      ConfigError: the URL is no MySQL URL.
    """
    if not config.metadata:
        return metadata.sqlite_metadata_connection_config(Places(config).metadata)
    url = urlparse(config.metadata)
    if url.scheme != "mysql" or not url.hostname or not url.path.strip("/"):
        raise ConfigError(
            f"Metadata is kept in SQLite or MySQL. Received: {url.scheme}://... . "
            "Write mysql://user:password@host:port/database."
        )
    return metadata.mysql_metadata_connection_config(
        url.hostname, url.port or 3306, url.path.strip("/"), url.username or "", url.password or ""
    )


def read_run(config: Config, name: str) -> list[Execution]:
    """The executions of the pipeline's run of that name, in the order in which they began.

    Raises:
      ConfigError: there is none.
    """
    with metadata.Metadata(connection(config)) as handle:
        store = handle.store
        pipelines = [context for context in store.get_contexts_by_type("pipeline") if context.name == config.name]
        contexts = [run for pipeline in pipelines for run in store.get_children_contexts_by_context(pipeline.id)]
        run = next((run for run in contexts if run.type == "pipeline_run" and run.name == name), None)
        if run is None:
            place = json.loads(config.to_json())["metadata"] or Places(config).metadata
            raise ConfigError(
                f"ML Metadata must know the run. Received: {place}, which does not. Name the right one with --metadata."
            )
        executions = sorted(store.get_executions_by_context(run.id), key=lambda execution: execution.id)
        return [_describe(store, execution) for execution in executions]


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
