"""Files and folders that appear whole, and on the disk, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

UNFINISHED = ".unfinished"  # ends the temporary name, which begins with a dot: readers of data skip it


@contextlib.contextmanager
def whole(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Opens a file that gets its name when the context ends well, and leaves nothing behind otherwise.

    It is written beside its place, is on the disk before it is renamed, and replaces what had the name. What earlier
    attempts left when they were killed is removed. A device or a pipe is written to as it is.

    Args:
      path: of the file, in an existing folder.
      mode: `w` for text, `wb` for bytes.

    Yields:
      The open file.

    Raises:
      OSError: the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    encoding = None if "b" in mode else "utf-8"
    if path.exists() and not path.is_file():
        with open(path, mode, encoding=encoding) as file:  # of a folder, this raises
            yield file
        return
    remove_unfinished(path.parent, path.name)
    temporary, descriptor = _create(path)
    try:
        with open(descriptor, mode, encoding=encoding) as file:
            yield file
            _sync(file)
            os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: str | os.PathLike) -> dict:
    """The arrays of an .npz file, by name.

    Raises:
      OSError: the file cannot be opened.
      ValueError: it is damaged.
    """
    import numpy as np  # slow to import, and most who import this module write text

    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                # np.load of the archive checks no checksum where a damaged header asks for fewer values.
                contents = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
            return {name: np.load(io.BytesIO(content)) for name, content in contents.items()}
        except (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error):
            raise ValueError(f"{path} is damaged") from None


def remove_unfinished(folder: str | os.PathLike, name: str = "") -> None:
    """Removes what writers that were killed left in a folder, of one file or of all; one at work keeps its own."""
    begin = f".{name}." if name else "."
    found = [entry for entry in os.listdir(folder) if entry.startswith(begin) and entry.endswith(UNFINISHED)]
    for path in (os.path.join(folder, entry) for entry in found):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            os.unlink(path)


def sync_folder(folder: str | os.PathLike) -> None:
    """Waits until names in a folder are on the disk, where its file system can tell."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """A file of a folder that has no name yet; on the disk when the context ends, but for its own name."""
    with open(path, "wb") as file:
        yield file
        _sync(file)


def rename_folder(source: str, target: str) -> None:
    """Renames a folder of such files; first the names within get to the disk, then its own."""
    for folder, _, _ in os.walk(source, topdown=False):
        sync_folder(folder)
    os.rename(source, target)
    sync_folder(os.path.dirname(target))


def make_folder(path: str) -> None:
    """Makes a folder and those above it that are missing, on the disk."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(os.path.dirname(path))


def remove(path: str) -> None:
    """Removes a folder with all that is in it, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)


def _sync(file: IO) -> None:
    """Waits until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _create(path: Path) -> tuple[Path, int]:
    """A new file beside `path`, locked while it is open, which tells it from one that was left."""
    while True:
        temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{UNFINISHED}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # without locks, `remove_unfinished` removes nothing
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # removed between its making and its locking
