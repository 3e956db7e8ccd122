"""Servers in processes of their own, each with a log file, that are gone when their context ends."""

import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

STARTED_S = 90  # within which a server must answer; two cores that others use as well are slow to start a JVM


@dataclasses.dataclass
class Server:
    """One process and whatever it starts, which its own session tells from others.

    Attributes:
      name: of its log, below the folder of all.
      process: it.
      log: what it and its children print.
      killed: whether it was ended from here.
    """

    name: str
    process: subprocess.Popen
    log: Path
    killed: bool = False

    def kill(self) -> None:
        """Ends the server and its children at once, as a power cut would."""
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Servers:
    """Servers that end together."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.running: list[Server] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Server:
        """Starts a command in `/`, so that it shares nothing with this process but the file systems."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{name}.log"
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [*map(str, command)],
                cwd="/",
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(Server(name, process, log))
        return self.running[-1]

    def wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        """Waits until `ready` says so.

        Raises:
          RuntimeError: a server has ended that was not killed, or STARTED_S are over; with the end of the logs.
        """
        end = time.monotonic() + STARTED_S
        while not ready():
            ended = [server.name for server in self.running if server.process.poll() is not None and not server.killed]
            if ended or time.monotonic() > end:
                tails = "\n".join(f"== {s.name}\n{s.log.read_text(errors='replace')[-1500:]}" for s in self.running)
                raise RuntimeError(f"{what} did not come up in {STARTED_S} s, ended: {ended or 'none'}.\n{tails}")
            time.sleep(0.3)

    def stop(self) -> None:
        """Ends all that are left, the last started first."""
        for server in reversed(self.running):
            server.kill()


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Servers whose logs are in `folder`; they are stopped at the end."""
    started = Servers(folder)
    try:
        yield started
    finally:
        started.stop()


def free_ports(n: int) -> list[int]:
    """Ports of this machine that nobody listens at, and that no connection gets before they are listened at."""
    ports: list[int] = []
    for port in random.sample(range(20_000, 32_000), k=12_000):  # connections get theirs above
        with contextlib.suppress(OSError), socket.socket() as each:
            each.bind(("localhost", port))
            ports.append(port)
        if len(ports) == n:
            return ports
    raise RuntimeError(f"{n} ports must be free. Received: {len(ports)} from 20000 to 31999.")


def answer(url: str) -> dict:
    """What a server says in JSON; empty as long as it says nothing."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return {}


def listens(host: str, port: int) -> bool:
    """Whether something answers at a port."""
    with socket.socket() as each:
        return each.connect_ex((host, port)) == 0
