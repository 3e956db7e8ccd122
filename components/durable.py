"""Files and folders that are whole, and on the disk, before they have their names: a loss of power halves nothing."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO

PARTIAL = ".partial"


@contextlib.contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """A new file to write to; on the disk, but for its name in the folder, when the context ends."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write(path: str, text: str) -> None:
    """Replaces a file, at once and as a whole; call it by one process at a time."""
    partial = path + PARTIAL
    try:
        with new_file(partial) as file:
            file.write(text.encode())
        os.replace(partial, path)
    except BaseException:
        remove(partial)
        raise
    sync_folder(os.path.dirname(path))


def rename_folder(source: str, target: str) -> None:
    """Renames a folder whose files are on the disk already; first the names within get there, then its own."""
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


def sync_folder(path: str) -> None:
    """Brings to the disk which names a folder holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: str) -> None:
    """Removes a file or a folder with all that is in it, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
