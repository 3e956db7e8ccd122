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


def remove_partial(folders: Iterable[str]) -> None:
    """Removes what workers that were lost have left in folders."""
    matches = FileSystems.match([os.path.join(escape(folder), f"*{PARTIAL}") for folder in folders])
    if paths := [metadata.path for match in matches for metadata in match.metadata_list]:
        FileSystems.delete(paths)
