"""Faults at the n-th operation that changes a file: the process dies there, or the disk is full from there on.

A process that dies does nothing more: no later operation has an effect, whatever `finally` says. `Faults.dirty` tells
what would be lost with the power. Nothing is really brought to the disk, which takes long.
"""

import builtins
import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

DIES, DIES_AFTER, FULL = "dies", "dies after", "full"
# What is counted; those that need room on the disk fail when it is full.
OPERATIONS = ("open", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "ftruncate", "write")
NEED_ROOM = ("mkdir", "write", "fsync", "open")


class KilledError(BaseException):
    """The process is dead."""


class Faults:
    """Counts operations on files, and lets the n-th fail.

    Attributes:
      n: of the operation that fails; 0 for none.
      kind: what happens there.
      n_done: operations so far.
      dirty: paths of files and folders that hold what is not on the disk yet.
    """

    def __init__(self, n: int = 0, kind: str = DIES):
        self.n, self.kind = n, kind
        self.n_done = 0
        self.dead = False
        self.dirty: set[str] = set()
        self._real = {name: getattr(os, name) for name in OPERATIONS} | {"fsync": lambda handle: None}
        self._open = builtins.open

    def strike(self, name: str, operation: Callable, *arguments, **options):
        """Does an operation, or not."""
        if operation is self._real["open"] and not arguments[1] & os.O_CREAT:
            return operation(*arguments, **options)
        if self.dead:
            raise KilledError
        self.n_done += 1
        if self.n and self.kind == FULL and self.n_done >= self.n and name in NEED_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.n_done == self.n and self.kind == DIES:
            self.dead = True
            raise KilledError
        try:
            new = name in ("mkdir", "open") and not os.path.exists(arguments[0])
            result = operation(*arguments, **options)
            self._note(name, arguments, new)
            return result
        finally:
            if self.n_done == self.n and self.kind == DIES_AFTER:
                self.dead = True
                raise KilledError

    def _note(self, name: str, arguments: tuple, new: bool) -> None:
        """Follows what is on the disk: content after a file's fsync, names after their folder's."""
        if name in ("fsync", "write", "ftruncate"):
            path = os.path.realpath(f"/proc/self/fd/{arguments[0]}")
            (self.dirty.discard if name == "fsync" else self.dirty.add)(path)
        elif name in ("rename", "replace"):
            source, target = map(os.path.realpath, arguments)
            assert not {path for path in self.dirty if f"{path}/".startswith(f"{source}/")}, "named before it is whole"
            self.dirty |= {os.path.dirname(target)}
        elif new:
            path = os.path.realpath(arguments[0])
            self.dirty |= {path, os.path.dirname(path)}

    def open(self, path, mode: str = "r", *arguments, **options):
        """Of files to write, one whose content is written when it is flushed or closed, and not by the dead."""
        if not set("wax") & set(mode):
            return self._open(path, mode, *arguments, **options)
        if isinstance(path, int):
            return _Written(self, self._open(path, f"{mode[0]}b", buffering=0))
        return _Written(self, self.strike("open", self._open, path, f"{mode[0]}b", buffering=0))

    @contextlib.contextmanager
    def at_work(self, monkeypatch, *modules) -> Iterator["Faults"]:
        """Puts the counted operations in place of the real ones; of `open` in these modules only."""
        with monkeypatch.context() as patch:
            for name, real in self._real.items():
                patch.setattr(os, name, lambda *a, _name=name, _real=real, **o: self.strike(_name, _real, *a, **o))
            patch.setattr(pathlib.Path, "unlink", _unlink)  # which would keep the real one
            patch.setattr(shutil, "_use_fd_functions", False)  # so that paths are whole
            for module in modules:
                patch.setattr(module, "open", self.open, raising=False)
            yield self


def _unlink(path: pathlib.Path, missing_ok: bool = False) -> None:
    with contextlib.suppress(FileNotFoundError) if missing_ok else contextlib.nullcontext():
        os.unlink(path)


class _Written:
    """A file that is being written."""

    def __init__(self, faults: Faults, file):
        self._faults, self._file, self._waiting = faults, file, b""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if not self._faults.dead:
                self.flush()
        finally:
            self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: bytes | str) -> int:
        self._waiting += data if isinstance(data, bytes) else data.encode()
        return len(data)

    def flush(self) -> None:
        if self._waiting:
            data, self._waiting = self._waiting, b""
            half = len(data) // 2
            for part in (data[:half], data[half:]):
                os.write(self._file.fileno(), part)
