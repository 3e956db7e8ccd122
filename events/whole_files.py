"""Files that workers write, on any of Beam's file systems: whole under their names, or not there.

An engine gives the work of a worker that it has lost to another, while the lost one may still be writing. So each
writes under a name of its own, and takes the file's name at the end; both wrote the same.
"""

import os
import uuid
from collections.abc import Iterable

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from events.listing import escape

PARTIAL = ".partial"


class WholeFile:
    """A file that gets its name when it is closed."""

    def __init__(self, path: str):
        self._path = path
        self._partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
        self._file = FileSystems.create(self._partial, compression_type=CompressionTypes.UNCOMPRESSED)

    def write(self, data: bytes | memoryview) -> None:
        """Adds to the file."""
        self._file.write(data)

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()
        FileSystems.rename([self._partial], [self._path])


def find(folder: str, names: str) -> list[str]:
    """The files in a folder whose names fit a glob, sorted."""
    [matches] = FileSystems.match([os.path.join(escape(folder), names)])
    return sorted(metadata.path for metadata in matches.metadata_list)


def remove_partial(folders: Iterable[str]) -> None:
    """Removes what workers that were lost have left in folders."""
    if paths := [path for folder in folders for path in find(folder, f"*{PARTIAL}")]:
        FileSystems.delete(paths)
