"""The lock under which what is served is changed, and the removal of what killed commands left behind."""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator

from events import files
from events.errors import VersionsError
from serving import served
from serving.history import replay

LOCK_FILE = ".lock"  # beside models.config; names the version that its holder is bringing
INCOMING = "incoming-"  # before a number: TF Serving passes over it
LOCK_WAIT_S = 60.0


@contextlib.contextmanager
def changing(base: str) -> Iterator[Callable[[int], None]]:
    """Holds the lock of the serving folder; removes what is left over, before and after.

    Yields:
      What must be called with a version's number before its folder appears.

    Raises:
      VersionsError: there is no serving folder, or it cannot be written, or another command holds the lock for long.
    """
    root = os.path.dirname(base)
    try:
        lock = os.open(os.path.join(root, LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        raise nothing_pushed(base) from None
    except PermissionError as error:
        raise VersionsError(
            f"The serving folder must be writable. Received: {root}: {error.strerror}. Correct its owner."
        ) from None
    try:
        _wait_for(lock, root)
        _tidy(base, lock)

        def bring(number: int) -> None:
            os.write(lock, f"{os.path.basename(base)}/{number}\n".encode())
            os.fsync(lock)

        try:
            yield bring
        finally:
            _tidy(base, lock)
    finally:
        os.close(lock)


def _wait_for(lock: int, root: str) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise VersionsError(
                    f"One command at a time changes what is served. Received: {root}, in use for {LOCK_WAIT_S:.0f} s. "
                    "Try again."
                ) from None
            time.sleep(0.02)


def _tidy(base: str, lock: int) -> None:
    """Removes a version that was brought but not named, copies that did not get so far, and retired versions."""
    root, events = os.path.dirname(base), served.read_events(base)
    brought = re.fullmatch(r"([^/]+)/(\d+)\n", os.pread(lock, os.fstat(lock).st_size, 0).decode(errors="replace"))
    if brought and int(brought[2]) not in replay(events.get(brought[1], [])).pushed:
        files.remove(os.path.join(root, brought[1], brought[2]))
    files.remove_unfinished(root, served.CONFIG_FILE)
    retired = replay(events.get(os.path.basename(base), [])).retired
    for name in os.listdir(base) if os.path.isdir(base) else []:
        if re.fullmatch(rf"{INCOMING}\d+", name) or (name.isdecimal() and int(name) in retired):
            files.remove(os.path.join(base, name))
    with contextlib.suppress(OSError):
        os.rmdir(base)  # if the first push failed
    os.ftruncate(lock, 0)
    os.lseek(lock, 0, os.SEEK_SET)


def nothing_pushed(base: str) -> VersionsError:
    """The error for a command that needs a version, where none was pushed."""
    return VersionsError(f"A model must have been pushed. Received: no version in {base}. Use higgs run, or --output.")
