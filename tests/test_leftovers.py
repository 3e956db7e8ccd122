"""What killed stages left behind."""

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.config import Config
from pipeline.leftovers import remove_dead
from pipeline.lineage import open_store

NODE = "Trainer.baseline"


@pytest.fixture
def store(tmp_path):
    with open_store(Config(output=str(tmp_path))) as store:
        yield store


def execute(store, state) -> int:
    """The number of an execution of NODE in this state."""
    kind = store.put_execution_type(mlmd.ExecutionType(name="trainer"), can_add_fields=True)
    node = store.put_context_type(mlmd.ContextType(name="node"), can_add_fields=True)
    execution = mlmd.Execution(type_id=kind, last_known_state=state)
    context = mlmd.Context(type_id=node, name=f"higgs.{NODE}")
    number, _, _ = store.put_execution(execution, [], [context], reuse_context_if_already_exist=True)
    return number


def test_outputs_of_executions_without_end_go_and_all_others_stay(store, tmp_path):
    complete, running, new, failed = (
        execute(store, state)
        for state in (mlmd.Execution.COMPLETE, mlmd.Execution.RUNNING, mlmd.Execution.NEW, mlmd.Execution.FAILED)
    )
    folder = tmp_path / "artifacts" / NODE
    for number in (complete, running, new):
        for key in ("model", "model_run", ".system/executor_execution"):
            (folder / key / str(number) / "deep").mkdir(parents=True)
    (folder / ".system" / "stateful_working_dir" / "a-name-of-its-own").mkdir(parents=True)
    remove_dead(store, str(tmp_path / "artifacts"))
    assert {path.name for path in folder.glob("*/*/") if path.parent.name != ".system"} == {str(complete)}
    assert [path.name for path in (folder / ".system" / "executor_execution").iterdir()] == [str(complete)]
    assert not (folder / ".system" / "stateful_working_dir").exists()
    states = {execution.id: execution.last_known_state for execution in store.get_executions()}
    assert states == {
        complete: mlmd.Execution.COMPLETE,
        running: mlmd.Execution.FAILED,
        new: mlmd.Execution.FAILED,
        failed: mlmd.Execution.FAILED,
    }


def test_folder_in_which_nothing_ran_is_not_made(store, tmp_path):
    remove_dead(store, str(tmp_path / "artifacts"))
    execute(store, mlmd.Execution.RUNNING)
    remove_dead(store, str(tmp_path / "artifacts"))
    assert not (tmp_path / "artifacts").exists()
