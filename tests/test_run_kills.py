"""`higgs run` killed at any operation on a file, from ingestion to push: nothing is half, and again is enough.

The run is recorded once, by strace, with all that it does to files. What a kill leaves behind is what the folder held
at that moment; the same command is run there.
"""

import dataclasses
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import file_history
import pytest
from file_history import Files, History, Operation

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace: apt-get install strace")

FORKS = Path(__file__).with_name("run_forks.py")
SHORT = ("--simulate", "400", "--epochs", "1", "--architecture", "medium", "--set", "train.baseline_steps=1")
RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d\.\d+")  # a run's name
BETWEEN = re.compile(r"(^|/)(incoming-|\.[^/]*\.unfinished$|\.lock$)|\.partial$")  # names of what is not there yet
JOURNAL, DATABASE = "metadata.sqlite-journal", "metadata.sqlite"
N_SOME, N_MANY = 8, 240  # kills


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run that went well, and the same one again.

    Attributes:
      output: the folder that all was done in.
      command: the arguments of `higgs`.
      operations: of the first run.
      first, second: what the folder held then.
    """

    output: Path
    command: tuple[str, ...]
    operations: list[Operation]
    first: Files
    second: Files

    def states(self) -> Iterator[tuple[str, Files]]:
        """What the folder held after each operation of which something can come; and the operation.

        Within a transaction of the database, its first write stands for all.
        """
        history, before, told = History(self.output), {}, ""
        for n, operation in enumerate(filter(history.covers, self.operations)):
            history.do(operation)
            name = os.path.relpath(operation.path, self.output)
            files = {path: content for path, content in history.files.items() if not path.startswith("logs/")}
            if files != before and (name != DATABASE or told != DATABASE) and (name != JOURNAL or name not in files):
                yield f"{n} {operation.name} {name}", files
                told = name
            before = files


class Forks:
    """Processes that run `higgs`."""

    def __init__(self, kept: Path):
        self._process = subprocess.Popen(
            [sys.executable, FORKS, kept, "replay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            text=True,
        )

    def higgs(self, command: tuple[str, ...], told: Path) -> tuple[int, str]:
        """The exit code of a command, and what it says, which goes to the file `told`."""
        self._process.stdin.write(json.dumps([command, str(told)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), told.read_text()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


ENVIRONMENT = os.environ | {"PYTHONPATH": str(FORKS.parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Recorded:
    """A first run and a second one, none of whose stages is a stub but training."""
    folder = tmp_path_factory.mktemp("recorded").resolve()
    output, kept = folder / "runs", folder / "kept"
    kept.mkdir()
    command = ("run", *SHORT, "--output", str(output))
    record = [sys.executable, str(FORKS), str(kept), "record", *command]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT}
    code, operations = file_history.record(record, folder / "operations", **quiet)
    assert code == 0
    first = file_history.look(output)
    assert subprocess.run(record, **quiet).returncode == 0
    return Recorded(output, command, operations, first, file_history.look(output))


@pytest.fixture(scope="module")
def forks(recorded):
    forks = Forks(recorded.output.with_name("kept"))
    yield forks
    forks.close()


def test_what_is_recorded_is_what_was_done(recorded):
    history = History(recorded.output)
    for operation in filter(history.covers, recorded.operations):
        history.do(operation)
    assert history.files == recorded.first


def named(files: Files) -> Files:
    """What has a name that somebody goes by, but for stages' outputs, whose names are in the database."""
    found = {path: content for path, content in files.items() if content is not None and not BETWEEN.search(path)}
    return {path: found[path] for path in found if path.split("/")[0] in ("data", "results", "serving")}


def outputs(output: Path) -> list[str]:
    """What the database says stages have made, by path below the folder."""
    path = output / DATABASE
    if not path.exists():
        return []
    with sqlite3.connect(path) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        rows = database.execute("select uri from Artifact where state = 2") if "Artifact" in tables else ()
        return [os.path.relpath(uri, output) for (uri,) in rows if uri.startswith(f"{output}/")]


def below(files: Files, folder: str) -> Files:
    return {path.removeprefix(f"{folder}/"): files[path] for path in files if path.startswith(f"{folder}/")}


def check_killed(recorded: Recorded, files: Files) -> None:
    """Nothing half-written has a final name."""
    for path, content in named(files).items():
        assert content == recorded.first[path], f"{path} is half"
    for folder in outputs(recorded.output):
        assert below(files, folder) == below(recorded.first, folder), f"{folder} is half"


def check_again(recorded: Recorded, files: Files) -> None:
    """All is as after a run that was not killed, or after two; nothing is left over."""
    summaries = [json.loads(content) for path, content in files.items() if path.endswith("/summary.json")]
    verdict = max(summaries, key=lambda summary: summary["run"])["verdict"]
    assert verdict in [json.loads(_summary(whole))["verdict"] for whole in (recorded.first, recorded.second)]
    assert _timeless(below(files, "serving")) == _timeless(below(recorded.first, "serving"))
    assert below(files, "data") == below(recorded.first, "data")
    usual = _kinds(recorded.first) | _kinds(recorded.second)
    assert _kinds(files) <= usual, "left over"
    found = {os.path.dirname(path) for path in _folders(files, 4)}
    made = {path for path in _folders(files, 4) if not path.split("/")[2].startswith(".")}
    assert made == set(outputs(recorded.output)), found


def _summary(files: Files) -> bytes:
    return files[max(path for path in files if path.endswith("/summary.json"))]


def _timeless(files: Files) -> dict:
    return {path: content and RUN.sub("RUN", content.decode("latin-1")) for path, content in files.items()}


def _kinds(files: Files) -> set[str]:
    """The paths without the numbers in them."""
    return {re.sub(r"\d+", "N", path) for path in files if not path.startswith("logs/")}


def _folders(files: Files, depth: int) -> set[str]:
    return {
        path for path in files if files[path] is None and path.startswith("artifacts/") and path.count("/") == depth - 1
    }


def kill_and_run_again(recorded: Recorded, forks: Forks, files: Files) -> None:
    """Runs the command where another one was killed."""
    file_history.restore(files, recorded.output)
    check_killed(recorded, files)
    code, said = forks.higgs(recorded.command, recorded.output.with_name("said"))
    assert code == 0, said
    check_again(recorded, file_history.look(recorded.output))


def try_all(recorded: Recorded, forks: Forks, states) -> None:
    """Runs again after every one of these kills; tells of all that went wrong."""
    faults = {}
    for operation, files in states:
        try:
            kill_and_run_again(recorded, forks, files)
        except AssertionError as error:
            faults[operation] = str(error)
    assert not faults, "\n".join(f"killed after {operation}: {error}" for operation, error in faults.items())


def spread(items: list, n: int) -> list:
    """That many of the items, as far from each other as can be."""
    return [items[(2 * number + 1) * len(items) // (2 * n)] for number in range(n)]


@pytest.mark.parametrize("n_kills", [N_SOME, pytest.param(N_MANY, marks=pytest.mark.slow)])
def test_run_that_was_killed_is_completed_by_its_repetition(recorded, forks, n_kills):
    started, states = time.monotonic(), list(recorded.states())
    assert len(states) > 2 * n_kills
    try_all(recorded, forks, spread(states, n_kills))
    print(f"{n_kills} kills of {len(states)} in {time.monotonic() - started:.0f} s")


def test_names_are_given_to_what_is_on_the_disk(recorded):
    history, unsynced, n_renamed = History(recorded.output), set(), 0
    for operation in filter(history.covers, recorded.operations):
        path, name = operation.path, operation.name
        if name.startswith("rename") and _is_final(os.path.relpath(path, recorded.output)):
            source = operation.paths[0]
            assert not [other for other in unsynced if f"{other}/".startswith(f"{source}/")], f"{path} may be empty"
            n_renamed += 1
        if "write" in name or name in ("sendfile", "ftruncate"):
            unsynced.add(operation.paths[0])
        elif name in ("fsync", "fdatasync"):
            unsynced.discard(path)
    assert n_renamed > 20


def _is_final(name: str) -> bool:
    """Whether somebody goes by a name that does not depend on the database."""
    return name.split("/")[0] in ("data", "results", "serving")
