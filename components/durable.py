"""Folders that are whole, and on the disk, before they have their names; see `datasets.files` for single files."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO

from datasets.files import sync_folder


@contextlib.contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """A file of a folder that has no name yet; on the disk when the context ends, but for its own name."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


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
