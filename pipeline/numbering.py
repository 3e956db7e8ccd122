"""Numbers of executions, none of which stands for two in one artifacts folder.

TFX names the folder that a stage writes to by its execution's number in ML Metadata. Where the metadata was lost,
restored or replaced, it counts anew, and a stage would write to a folder with files in it: the next ones would read old
shards beside new ones. So numbers that an artifacts folder has already are passed over, and earlier files stay apart.
"""

import os
from collections.abc import Iterator

from ml_metadata import ListOptions, OrderByField
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.io import fileio

from pipeline.config import Config
from pipeline.lineage import open_store
from pipeline.workspace import Workspace

PASSED_OVER = "higgs.PassedOver"  # the type of executions that stand for a number only
SYSTEM, EXECUTIONS = ".system", "executor_execution"  # TFX's own folders of each stage: the only one with such numbers


def pass_over_used(config: Config) -> None:
    """Makes ML Metadata number its next execution higher than all that have written to the artifacts folder."""
    last_used = max(_numbers(Workspace(config).artifacts), default=0)
    with open_store(config) as store:
        newest = store.get_executions(ListOptions(limit=1, order_by=OrderByField.ID, is_asc=False))
        n_missing = last_used - max((execution.id for execution in newest), default=0)
        if n_missing > 0:
            type_id = store.put_execution_type(mlmd.ExecutionType(name=PASSED_OVER))
            store.put_executions([mlmd.Execution(type_id=type_id)] * n_missing)


def _numbers(artifacts: str) -> Iterator[int]:
    """The numbers of the executions that wrote to stage/output/number, or were about to."""
    for stage in _folders(artifacts):
        for output in _folders(stage):
            inner = os.path.join(output, EXECUTIONS) if os.path.basename(output) == SYSTEM else output
            names = (os.path.basename(folder) for folder in _folders(inner))
            yield from (int(name) for name in names if name.isdecimal())


def _folders(path: str) -> list[str]:
    """What is in a folder, if it is one."""
    names = fileio.listdir(path) if fileio.isdir(path) else []
    return [os.path.join(path, name.rstrip("/")) for name in names]
