"""`higgs run` recorded by strace with all that it does to files, and processes that run it again."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import file_history
from file_history import Files, History, Operation

FORKS = Path(__file__).with_name("run_forks.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(FORKS.parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
SHORT = ("--simulate", "400", "--epochs", "1", "--architecture", "medium", "--set", "train.baseline_steps=1")
JOURNAL, DATABASE = "metadata.sqlite-journal", "metadata.sqlite"
NAMESPACE = ("unshare", "--map-root-user", "--mount")  # where a process may mount what it likes


class Forks:
    """A process that runs `higgs` in forks; see `run_forks.py`."""

    def __init__(self, kept: Path, mode: str, within: Iterable[str] = ()):
        """Starts it.

        Args:
          kept: the folder of what is computed once.
          mode: `record` or `replay`.
          within: the command that starts it.
        """
        self._said = kept.with_name("said")
        self._process = subprocess.Popen(
            [*within, sys.executable, FORKS, kept, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            text=True,
        )

    def do(self, *command: str) -> tuple[int, str]:
        """The exit code of a command, and what it says if it is `higgs`."""
        self._said.write_text("")
        self._process.stdin.write(json.dumps([command, str(self._said)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), self._said.read_text()

    def seen(self, path: Path) -> Path:
        """What has a path for the process: what it has mounted there, or the same as for anybody."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run that went well, and the same one again.

    Attributes:
      output: the folder that all was done in.
      command: `higgs` and its arguments.
      before, first, second: what the folder held before the runs, and after each.
      operations: of the first.
    """

    output: Path
    command: tuple[str, ...]
    before: Files
    first: Files
    second: Files
    operations: list[Operation]

    def states(self) -> Iterator[tuple[str, Files]]:
        """What the folder held after each operation of which something can come; and the operation.

        Within a transaction of the database, its first write stands for all.
        """
        history, before, told = History(self.output, self.before), {}, ""
        for n, operation in enumerate(filter(history.covers, self.operations)):
            history.do(operation)
            name = os.path.relpath(operation.path, self.output)
            files = {path: content for path, content in history.files.items() if not path.startswith("logs/")}
            if files != before and (name != DATABASE or told != DATABASE) and (name != JOURNAL or name not in files):
                yield f"{n} {operation.name} {name}", files
                told = name
            before = files


def record(folder: Path) -> tuple[Recorded, Recorded]:
    """A first run, and one of another seed beside the champion that came of it.

    Args:
      folder: takes all, with what stages come to in `kept`.
    """
    output, kept, log = folder / "runs", folder / "kept", folder / "operations"
    kept.mkdir()
    forks = Forks(kept, "record", file_history.strace(log))
    commands = [("higgs", "run", *SHORT, "--output", str(output), *more) for more in ((), ("--seed", "1"))]
    held = [{}]
    for command in commands:
        for _ in range(2):
            code, said = forks.do(*command)
            assert code == 0, said
            held.append(file_history.look(output))
    forks.close()
    runs = split(file_history.read(log), str(folder / "said"))
    return tuple(Recorded(output, command, *held[2 * n : 2 * n + 3], runs[2 * n]) for n, command in enumerate(commands))


def split(operations: Iterable[Operation], begin: str) -> list[list[Operation]]:
    """Operations in parts that begin with the opening of a file."""
    parts = []
    for operation in operations:
        if operation.name.startswith("open") and operation.path == begin:
            parts.append([])
        if parts:
            parts[-1].append(operation)
    return parts


def spread(items: list, n: int) -> list:
    """That many of the items, as far from each other as can be."""
    return [items[(2 * number + 1) * len(items) // (2 * n)] for number in range(n)]
