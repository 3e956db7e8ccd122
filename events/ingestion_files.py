"""What ingestion writes of one source: shards of each split, and bad rows."""

import os
from collections.abc import Sequence

import numpy as np

from events.csv_rows import BadRow
from events.whole_files import WholeFile

SHARD_BYTES = 256 << 20  # enough shards for the stages behind to work on in parallel


class ShardWriter:
    """Writes records of one split into numbered shards.

    Attributes:
      shards: those that are written, Split-name/file to size in bytes.
    """

    def __init__(self, uri: str, source_index: int):
        self._prefix = os.path.join(uri, f"examples-{source_index:05d}")
        self.shards: dict[str, int] = {}
        self._file: WholeFile | None = None
        self._n_bytes = 0

    def write(self, records: np.ndarray) -> None:
        """Adds records, uint8 [n_rows, record_bytes]."""
        if not len(records):
            return
        if self._file is None:
            self._file = WholeFile(self._path)
            self._n_bytes = 0
        self._file.write(records.data.cast("B"))
        self._n_bytes += records.nbytes
        if self._n_bytes >= SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """Finishes the shard at hand, if there is one."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        self.shards["/".join(self._path.split("/")[-2:])] = self._n_bytes

    @property
    def _path(self) -> str:
        return f"{self._prefix}-{len(self.shards):05d}.tfrecord"


class Quarantine:
    """Keeps bad rows as they were, each behind its position and the rule; no file if there are none."""

    def __init__(self, uri: str, source_index: int):
        self._path = os.path.join(uri, f"bad_rows-{source_index:05d}.tsv")
        self._file: WholeFile | None = None
        self.n_rows = 0

    def write(self, bad: Sequence[BadRow]) -> None:
        """Adds bad rows."""
        if not bad:
            return
        if self._file is None:
            self._file = WholeFile(self._path)
            self._file.write(b"file\tline\trule\treceived\trow\n")
        for row in bad:
            position = "\t".join((row.path, str(row.line), row.rule, row.received)).encode()
            self._file.write(position + b"\t" + row.text.rstrip(b"\r") + b"\n")
        self.n_rows += len(bad)

    def close(self) -> None:
        """Finishes the file."""
        if self._file is not None:
            self._file.close()
