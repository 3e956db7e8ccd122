"""What stages left behind that were killed or failed."""

import os

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.io import fileio
from tfx.utils import io_utils

ALIVE = (mlmd.Execution.NEW, mlmd.Execution.RUNNING)
# Where TFX keeps what a stage needs while it runs, below the stage's folder: by execution, and by a name of its own.
OWN, WORK = os.path.join(".system", "executor_execution"), os.path.join(".system", "stateful_working_dir")
DRIVER = os.path.join(".system", "driver_execution")


def remove_dead(store: MetadataStore, artifacts: str) -> None:
    """Removes what executions wrote that did not end, and marks them as failed, as TFX does where it can.

    Args:
      store: of a folder whose lock is held, so that no execution in it is running.
      artifacts: the folder that they wrote below.
    """
    dead = [execution for execution in store.get_executions() if execution.last_known_state in ALIVE]
    for execution in dead:
        [node] = [context.name for context in store.get_contexts_by_execution(execution.id) if context.type == "node"]
        folder = _folder(artifacts, node)
        keys = fileio.listdir(folder) if fileio.exists(folder) else []
        for key in (*keys, OWN):
            io_utils.delete_dir(os.path.join(folder, key, str(execution.id)))
        execution.last_known_state = mlmd.Execution.FAILED
    store.put_executions(dead)
    for context in store.get_contexts_by_type("node"):
        for name in (WORK, DRIVER):
            io_utils.delete_dir(os.path.join(_folder(artifacts, context.name), name))


def _folder(artifacts: str, node: str) -> str:
    """Where a node writes, which ML Metadata calls by its pipeline's name and its own."""
    return os.path.join(artifacts, node.split(".", 1)[1])
