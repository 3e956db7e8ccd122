"""Commands in processes of their own, with the peak memory of the whole tree and the time of each line they print."""

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
SAMPLED_S = 0.1
MARK = "measured: "


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a command.

    Attributes:
      lines: what it printed, standard error included, each with the seconds after its start.
      seconds: from start to end.
      memory: sums of the resident set sizes of the process and its descendants, in 2**20 bytes, each with the seconds
        after its start; memory that they share counts for each.
      exit_code: of the process.
    """

    lines: list[tuple[float, str]]
    seconds: float
    memory: list[tuple[float, float]]
    exit_code: int

    def peak_mb(self, start_s: float = 0.0, stop_s: float = math.inf) -> int:
        """The largest of `memory` at any sampled time between the two, 0 if there is none."""
        return round(max((megabytes for at, megabytes in self.memory if start_s <= at <= stop_s), default=0))


def watched(*arguments: str, expected: tuple[int, ...] = (0,)) -> Outcome:
    """Runs `python ARGUMENTS` at the root of the repository.

    Raises:
      RuntimeError: its exit code is none of those expected.
    """
    started = time.monotonic()
    lines: list[tuple[float, str]] = []
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        memory = _Memory(process.pid, started)
        memory.start()
        for line in process.stdout:
            lines.append((time.monotonic() - started, line.rstrip("\n")))
        exit_code = process.wait()
        seconds = time.monotonic() - started
        memory.stop()
    if exit_code not in expected:
        tail = "\n".join(line for _, line in lines[-40:])
        raise RuntimeError(f"{' '.join(arguments)} ended with {exit_code}:\n{tail}")
    return Outcome(lines, seconds, memory.samples, exit_code)


def tell(figures: dict) -> None:
    """Prints figures for `told` to find."""
    print(MARK + json.dumps(figures), flush=True)


def told(*arguments: str) -> dict:
    """The figures that `python ARGUMENTS` tells, and `peak_mb` unless they have one."""
    outcome = watched(*arguments)
    [line] = [line for _, line in outcome.lines if line.startswith(MARK)]
    return {"peak_mb": outcome.peak_mb()} | json.loads(line.removeprefix(MARK))


class _Memory(threading.Thread):
    """Looks at the memory of a process and its descendants until it is stopped."""

    def __init__(self, pid: int, since: float):
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self._since = since
        self._root = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self):
        """Samples."""
        while not self._stopped.wait(SAMPLED_S):
            total = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (self._root, *self._root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                        total += process.memory_info().rss
            self.samples.append((time.monotonic() - self._since, total / 2**20))

    def stop(self):
        """Ends the thread."""
        self._stopped.set()
        self.join()
