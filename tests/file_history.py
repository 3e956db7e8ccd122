"""What a folder holds after each operation on files that a command does: what is left of it by a kill right there.

strace notes the operations of the command and of all that it starts, C++'s as well as Python's, with what is written.
They are done again here, in memory, one after the other.
"""

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

CHANGES = (
    "open,openat,creat,write,pwrite64,writev,sendfile,copy_file_range,truncate,ftruncate,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
OTHERS = "lseek,fsync,fdatasync"
BY_NAME = ("open", "creat", "truncate", "rename", "link", "symlink", "unlink", "mkdir", "rmdir")
LINE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)(?:<[^>]*>)?(?: \w+ \(.*\))?$", re.DOTALL)
ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:-?\w+)<([^>]*)>(\(deleted\))?)|([^\s,"\[\]{}]+)')
Files = dict[str, bytes | None]  # absolute path to content, None for a folder


@dataclasses.dataclass(frozen=True)
class Operation:
    """A system call that went well.

    Attributes:
      name: of the call.
      arguments: texts as bytes, descriptors and folders as the paths they stand for, all else as strace writes it.
      result: what it returned.
    """

    name: str
    arguments: tuple
    result: int

    @property
    def path(self) -> str:
        """The file or folder that it changes; of renaming the new one."""
        return self.paths[-1]

    @property
    def paths(self) -> list[str]:
        """All that it is about."""
        if self.name.startswith(BY_NAME):
            return _paths(self.arguments)
        return [str(argument) for argument in self.arguments if isinstance(argument, Path)]


def strace(log: Path) -> list[str]:
    """What begins a command whose operations on files are noted in the file `log`."""
    quiet = ["strace", "-f", "-q", "-y", "--seccomp-bpf", "-s", str(1 << 28), "-e", "signal=none"]
    return [*quiet, "-e", f"trace={CHANGES},{OTHERS}", "-o", str(log)]


def read(log: Path) -> Iterator[Operation]:
    """The operations that strace noted, of all that went well."""
    begun = {}
    with open(log, encoding="latin-1", newline="\n") as lines:
        for line in lines:
            thread, _, text = line.rstrip("\n").partition(" ")
            text = text.lstrip()
            if text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
                continue
            if text.startswith("<... "):
                text = begun.pop(thread) + text.partition(" resumed>")[2]
            found = LINE.match(text)
            if found and int(found[3]) >= 0 and "(deleted)" not in text:
                arguments = tuple(map(_argument, ARGUMENT.finditer(found[2])))
                yield Operation(found[1], arguments, int(found[3]))


def _argument(found: re.Match) -> bytes | str | Path:
    if found[1] is not None:
        return found[1].encode("latin-1").decode("unicode_escape").encode("latin-1")
    return Path(found[3]) if found[2] else found[5]


def _paths(arguments: tuple) -> list[str]:
    """Absolute paths among arguments: of descriptors, or names with the folder before them."""
    found, folder = [], ""
    for argument in arguments:
        if isinstance(argument, Path):
            folder = str(argument)
            found.append(folder)
        elif isinstance(argument, bytes):
            path = os.path.normpath(os.path.join(folder, os.fsdecode(argument)))
            found = [*(found[:-1] if found and found[-1] == folder else found), path]
            folder = ""
    return found


class History:
    """A folder, into which operations are done one by one.

    Attributes:
      files: all that is in it, by path below it.
    """

    def __init__(self, folder: Path, files: Files):
        """Begins with what the folder holds."""
        self._folder = str(folder)
        self._offsets: dict[str, int | None] = {}  # None for one that is appended to
        self.files = dict(files)

    def covers(self, operation: Operation) -> bool:
        """Whether an operation changes something in the folder."""
        return operation.paths[0].startswith(f"{self._folder}/")

    def do(self, operation: Operation) -> None:
        """Does an operation."""
        name, arguments = operation.name, operation.arguments
        paths = [os.path.relpath(path, self._folder) for path in operation.paths]
        if name in ("open", "openat", "creat"):
            self._open(paths[0], " ".join(argument for argument in arguments if isinstance(argument, str)))
        elif name == "lseek":
            if self._offsets.get(paths[0], 0) is not None:
                self._offsets[paths[0]] = operation.result
        elif name == "write":
            self._write(paths[0], arguments[1][: operation.result])
        elif name == "pwrite64":
            self._write(paths[0], arguments[1][: operation.result], int(arguments[3]))
        elif name == "writev":
            self._write(paths[0], b"".join(part for part in arguments[1:] if isinstance(part, bytes)))
        elif name == "sendfile":
            content = self.files[paths[1]] if paths[1] in self.files else Path(operation.paths[1]).read_bytes()
            start = int(arguments[2])
            self._write(paths[0], content[start : start + operation.result])
        elif name == "ftruncate":
            n = int(arguments[1])
            self.files[paths[0]] = self.files[paths[0]][:n].ljust(n, b"\0")
        elif name.startswith("mkdir"):
            self.files[paths[0]] = None
        elif name.startswith(("unlink", "rmdir")):
            del self.files[paths[0]]
        elif name.startswith("rename"):
            self._rename(*paths)
        elif name not in ("fsync", "fdatasync"):
            raise NotImplementedError(name)

    def _open(self, path: str, flags: str) -> None:
        if "O_CREAT" in flags and path not in self.files:
            self.files[path] = b""
        if "O_WRONLY" in flags or "O_RDWR" in flags:
            self._offsets[path] = None if "O_APPEND" in flags else 0
            if "O_TRUNC" in flags:
                self.files[path] = b""

    def _write(self, path: str, data: bytes, offset: int | None = None) -> None:
        content = self.files[path]
        start = offset if offset is not None else self._offsets[path]
        start = len(content) if start is None else start
        self.files[path] = content[:start].ljust(start, b"\0") + data + content[start + len(data) :]
        if offset is None and self._offsets[path] is not None:
            self._offsets[path] = start + len(data)

    def _rename(self, source: str, target: str) -> None:
        for held in (self.files, self._offsets):
            for path in [path for path in held if f"{path}/".startswith(f"{source}/")]:
                held[target + path[len(source) :]] = held.pop(path)


def look(folder: Path) -> Files:
    """All that is in a folder, by path below it."""
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in found}


def restore(files: Files, folder: Path) -> None:
    """Makes a folder hold that, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, content in sorted(files.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
