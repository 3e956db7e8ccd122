"""Which runs keep what their stages made, and how the rest goes.

A run's record stays, summary.json and config.json, until it is removed by name. What goes are its artifacts, report,
predictions and log. An artifact goes only if every execution that made it or took it, be it from the cache, belongs to
a run that keeps nothing. ML Metadata is told first: TFX's cache passes over artifacts that are not live, so a command
that was killed leaves nothing that anybody would take, and the next one removes it.
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator, Sequence

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.io import fileio

from events.errors import ConfigError
from events.files import remove_unfinished
from pipeline.config import Config
from pipeline.hyperparameters import TUNER
from pipeline.leftovers import OWN
from pipeline.lineage import open_store
from pipeline.run_records import CONFIG, SUMMARY, find_runs, read_json
from pipeline.workspace import Workspace
from serving import served
from serving.history import RETIRED

RECORD = (SUMMARY, CONFIG)


@dataclasses.dataclass(frozen=True)
class Freed:
    """The outcome of a collection.

    Attributes:
      kept: runs that keep what they made.
      freed: runs of which something was removed.
      n_bytes: of files of this machine that were removed.
    """

    kept: tuple[str, ...]
    freed: tuple[str, ...]
    n_bytes: int


def collect(config: Config, n_kept: int) -> Freed:
    """Removes what all runs made but the newest, those that made a version that is there, and those not known here.

    Args:
      config: of the newest run; the lock of its output folder is held.
      n_kept: how many runs, the newest, keep what they made; those without a record that came later do so as well.
    """
    workspace = Workspace(config)
    recorded = {_run_name(folder): folder for folder in find_runs(workspace.output)}
    with open_store(config) as store:
        runs = _executions(store, config.name)
        needed = set(_served(workspace))
        if config.metadata:  # other folders' runs are in the database as well, without a record here
            needed |= set(runs) - set(recorded)
        return _free(store, runs, recorded, runs_kept(sorted({*runs, *recorded}), recorded, n_kept, needed))


def remove(config: Config, names: Collection[str]) -> Freed:
    """Removes runs, with their records.

    Raises:
      ConfigError: a version that is there was made by one of them.
    """
    workspace = Workspace(config)
    needed = _served(workspace)
    for name in names:
        if name in needed:
            raise ConfigError(
                f"A run stays as long as a version that it made. Received: {name}, which made version {needed[name]}. "
                "See higgs serving status."
            )
    recorded = {_run_name(folder): folder for folder in find_runs(workspace.output)}
    with open_store(config) as store:
        runs = _executions(store, config.name)
        freed = _free(store, runs, recorded, {*runs, *recorded} - set(names))
    for name in names:
        for file in RECORD:  # without a summary it is no run any more
            os.unlink(os.path.join(recorded[name], file))
        os.rmdir(recorded[name])
    return dataclasses.replace(freed, freed=tuple(names))


def runs_kept(runs: Sequence[str], recorded: Collection[str], n_kept: int, needed: Collection[str]) -> set[str]:
    """The runs that keep what they made.

    Args:
      runs: all of them, oldest first.
      recorded: those that ended.
      n_kept: how many of these, the newest, at least 1, keep theirs, as do later ones that did not end, which may be
        resumed.
      needed: further ones that keep theirs.
    """
    newest = [run for run in runs if run in recorded][-n_kept:]
    since = newest[0] if newest else ""
    return {run for run in runs if run >= since or run in needed}


def _run_name(folder) -> str:
    return read_json(folder / SUMMARY)["run"]


def _served(workspace: Workspace) -> dict[str, int]:
    """Run to the version that it made, for versions that are there."""
    state = served.read(workspace.serving)
    there = {version: push for version, push in state.pushed.items() if state.state(version) != RETIRED}
    return {push.about["run"]: version for version, push in there.items() if "run" in push.about}


def _executions(store: MetadataStore, pipeline: str) -> dict[str, list[mlmd.Execution]]:
    """Run of a pipeline to its executions."""
    parents = [context for context in store.get_contexts_by_type("pipeline") if context.name == pipeline]
    children = [run for parent in parents for run in store.get_children_contexts_by_context(parent.id)]
    return {run.name: store.get_executions_by_context(run.id) for run in children if run.type == "pipeline_run"}


def _free(store: MetadataStore, runs: dict, recorded: dict, kept: Collection[str]) -> Freed:
    gone = {name for name in {*runs, *recorded} if name not in kept}
    executions = {execution.id for name in gone for execution in runs.get(name, [])}
    artifacts = unneeded(store, executions)
    for artifact in artifacts:
        artifact.state = mlmd.Artifact.DELETED
    store.put_artifacts(artifacts)
    n_bytes, freed = 0, set()
    for name in sorted(gone):
        paths = [*_outputs(store, runs.get(name, [])), *_beside(recorded.get(name))]
        there = [path for path in dict.fromkeys(paths) if fileio.exists(path)]
        freed |= {name} if there else set()
        n_bytes += sum(map(_size, there))
        for path in there:
            fileio.rmtree(path) if fileio.isdir(path) else fileio.remove(path)
    return Freed(tuple(sorted(set(recorded) & set(kept))), tuple(sorted(freed)), n_bytes)


def unneeded(store: MetadataStore, executions: Collection[int]) -> list[mlmd.Artifact]:
    """The live artifacts that these executions made in folders of their own, and that no others made or took."""
    everybody = [execution.id for execution in store.get_executions()]
    events = store.get_events_by_execution_ids(everybody) if everybody else []
    needed = {event.artifact_id for event in events if event.execution_id not in executions}
    candidates = {event.artifact_id for event in events if event.execution_id in executions} - needed
    by_id = {artifact.id: artifact for artifact in store.get_artifacts()}
    folders = {by_id[number].uri for number in needed if number in by_id}
    return [
        by_id[number]
        for number in sorted(candidates)
        if by_id[number].state == mlmd.Artifact.LIVE
        and by_id[number].uri not in folders  # as of hyperparameters that were imported
        and _maker(by_id[number].uri, executions)
    ]


def _maker(uri: str, executions: Collection[int]) -> int:
    """The execution that wrote to stage/output/number, if it is one of these; 0 if not. What a tuning found stays."""
    stage, _, number = uri.rstrip("/").split("/")[-3:] if uri.count("/") > 2 else ("", "", "")
    return int(number) if number.isdecimal() and int(number) in executions and stage != TUNER else 0


def _outputs(store: MetadataStore, executions: Iterable[mlmd.Execution]) -> Iterator[str]:
    """The folders of executions' artifacts that are marked as deleted."""
    numbers = {execution.id for execution in executions}
    if not numbers:
        return
    ids = [event.artifact_id for event in store.get_events_by_execution_ids(list(numbers))]
    for artifact in store.get_artifacts_by_id(list(dict.fromkeys(ids))):
        if artifact.state == mlmd.Artifact.DELETED:
            yield artifact.uri
            stage, number = os.path.dirname(os.path.dirname(artifact.uri)), os.path.basename(artifact.uri)
            yield os.path.join(stage, OWN, number)


def _beside(results) -> list[str]:
    """What is in a run's results folder but its record, and its log."""
    if results is None:
        return []
    remove_unfinished(results)
    log = read_json(results / SUMMARY).get("log", "")
    return [str(path) for path in sorted(results.iterdir()) if path.name not in RECORD] + ([log] if log else [])


def _size(path: str) -> int:
    """The bytes of a file or a folder's files; 0 on another machine."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)
