"""CSV files to splits of TFRecord shards: the work of HiggsExampleGen, free of TFX.

A file is read, parsed, split and encoded block by block, in order, and nothing is shuffled: training shuffles in
memory, and whoever compares two runs wants the same rows in the same places.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.csv_blocks import Block, count_rows, read_blocks, read_head
from components.csv_rows import BadRow, RowParser
from components.errors import IngestionError
from components.repeats import HashFiles, read_repeats
from components.splits import SplitRule, hash_rows
from components.trained_rows import TrainedRows
from datasets.listing import escape
from datasets.records import RecordCodec
from datasets.shards import DamageError, check_index, explain
from datasets.threads import in_threads

STOP, QUARANTINE = "stop", "quarantine"  # what to do with a bad row
TRAIN = "train"  # the split of the rows that networks are trained on
SHARD_BYTES = 256 << 20  # enough shards for the stages behind to work on in parallel


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One input file.

    Attributes:
      path: where it is, on any of Beam's file systems.
      index: its place among the input files.
      first_row: the number of its first data line among those of all files; 0 where no rule asks for it.
    """

    path: str
    index: int
    first_row: int = 0


@dataclasses.dataclass(frozen=True)
class Ingestion:
    """What to do with each file.

    Attributes:
      columns: the names of the columns, the label first.
      rule: how rows are divided into splits, resolved.
      split_uris: the folder of each split, in the rule's order.
      summary_uri: the folder for each file's summary and for bad rows.
      bad_rows: `stop` or `quarantine`.
    """

    columns: tuple[str, ...]
    rule: SplitRule
    split_uris: tuple[str, ...]
    summary_uri: str
    bad_rows: str = STOP


def plan_sources(paths: Sequence[str], rule: SplitRule) -> tuple[list[SourceFile], SplitRule]:
    """Numbers the files' rows as far as the rule asks for it, which may mean to read them all once.

    Returns:
      The files and the rule with its ranges resolved.
    """
    if not rule.ranges or (len(paths) == 1 and not rule.needs_total):
        return [SourceFile(path, index) for index, path in enumerate(paths)], rule
    counts = [count_rows(path) for path in paths]
    first_rows = [sum(counts[:index]) for index in range(len(paths))]
    sources = [SourceFile(path, index, first_rows[index]) for index, path in enumerate(paths)]
    return sources, rule.resolve(sum(counts))


class IngestFile(beam.DoFn):
    """Writes one `SourceFile`'s rows into shards of the splits, and a summary of them."""

    def __init__(self, ingestion: Ingestion):
        self._ingestion = ingestion

    def setup(self):
        self._codec = RecordCodec(self._ingestion.columns)

    def process(self, source: SourceFile) -> Iterator[str]:
        """Yields the path of the file that was read."""
        ingestion = self._ingestion
        parser = RowParser.for_file(source.path, read_head(source.path), ingestion.columns)
        counts = np.zeros((len(ingestion.rule.names), 2), np.int64)
        shards = [_ShardWriter(uri, source.index) for uri in ingestion.split_uris]
        quarantine = _Quarantine(ingestion.summary_uri, source.index)
        hashes = HashFiles(ingestion.summary_uri, ingestion.rule, source.index)
        trained = TrainedRows()
        blocks = read_blocks(source.path, parser.head, source.first_row)
        for encoded in in_threads(lambda block: self._encode(parser, block), blocks):
            if encoded.bad and ingestion.bad_rows == STOP:
                raise IngestionError(f"{encoded.bad[0]} Or go on without bad rows by --bad-rows=quarantine.")
            for shard, records in zip(shards, encoded.records, strict=True):
                shard.write(records)
            quarantine.write(encoded.bad)
            hashes.write(encoded.hashes)
            trained = trained.with_rows(encoded.hashes[ingestion.rule.names.index(TRAIN)])
            counts += encoded.counts
        for writer in (*shards, quarantine, hashes):
            writer.close()
        written = {path: size for shard in shards for path, size in shard.shards.items()}
        _write_summary(ingestion, source, counts, quarantine.n_rows, written, trained)
        yield source.path

    def _encode(self, parser: RowParser, block: Block) -> "_EncodedBlock":
        rows = parser.parse(block)
        hashes = hash_rows(rows.values[1:])
        splits = self._ingestion.rule.assign(hashes, rows.numbers)
        records = self._codec.encode(rows.values)
        n_splits = len(self._ingestion.rule.names)
        counts = np.bincount(2 * splits + (rows.values[0] == 1), minlength=2 * n_splits).reshape(n_splits, 2)
        masks = [splits == split for split in range(n_splits)]
        return _EncodedBlock([records[mask] for mask in masks], [hashes[mask] for mask in masks], counts, rows.bad)


@dataclasses.dataclass(frozen=True)
class _EncodedBlock:
    records: list[np.ndarray]  # uint8 [n_rows, record_bytes] per split
    hashes: list[np.ndarray]  # uint64 [n_rows] per split
    counts: np.ndarray  # int64 [n_splits, 2], background and signal
    bad: Sequence[BadRow]


class _ShardWriter:
    """Writes records into numbered shards that appear under their final names only when complete."""

    def __init__(self, uri: str, source_index: int):
        self._prefix = os.path.join(uri, f"examples-{source_index:05d}")
        self.shards: dict[str, int] = {}  # split's folder/name to size
        self._file = None
        self._n_bytes = 0

    def write(self, records: np.ndarray) -> None:
        if not len(records):
            return
        if self._file is None:
            self._file = _create(self._path + ".partial")
            self._n_bytes = 0
        self._file.write(memoryview(records).cast("B"))
        self._n_bytes += records.nbytes
        if self._n_bytes >= SHARD_BYTES:
            self.close()

    def close(self) -> None:
        if self._file is None:
            return
        self._file.close()
        FileSystems.rename([self._path + ".partial"], [self._path])
        self._file = None
        self.shards["/".join(self._path.split("/")[-2:])] = self._n_bytes

    @property
    def _path(self) -> str:
        return f"{self._prefix}-{len(self.shards):05d}.tfrecord"


class _Quarantine:
    """Keeps bad rows as they were, each behind the place and the rule; no file if there are none."""

    def __init__(self, uri: str, source_index: int):
        self._path = os.path.join(uri, f"bad_rows-{source_index:05d}.tsv")
        self._file = None
        self.n_rows = 0

    def write(self, bad: Sequence[BadRow]) -> None:
        if bad and self._file is None:
            self._file = _create(self._path)
            self._file.write(b"file\tline\trule\treceived\trow\n")
        for row in bad:
            place = "\t".join((row.path, str(row.line), row.rule, row.received)).encode()
            self._file.write(place + b"\t" + row.text.rstrip(b"\r") + b"\n")
        self.n_rows += len(bad)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _create(path: str):
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _write_summary(
    ingestion: Ingestion,
    source: SourceFile,
    counts: np.ndarray,
    n_bad: int,
    shards: dict[str, int],
    trained: TrainedRows,
) -> None:
    splits = {
        name: {"background": int(background), "signal": int(signal)}
        for name, (background, signal) in zip(ingestion.rule.names, counts, strict=True)
    }
    summary = {"file": source.path, "splits": splits, "n_bad": n_bad, "shards": shards}
    summary["trained"] = trained.to_json()
    with _create(os.path.join(ingestion.summary_uri, f"summary-{source.index:05d}.json")) as file:
        file.write(json.dumps(summary).encode())


def read_summary(uri: str) -> dict:
    """Adds up the summaries of all files of an ingestion.

    Returns:
      `files`, a list of paths; `empty`, those of them without rows; `splits`, rows by split and class; `n_bad`;
      `bad_rows`, the files that hold them; `repeats`, see `read_repeats`; `shards`, see `write_index`; `trained`, the
      `TrainedRows`.

    Raises:
      DamageError: a summary is damaged or gone.
    """
    total = {"files": [], "empty": [], "splits": {}, "n_bad": 0, "repeats": read_repeats(uri), "shards": {}}
    total["trained"] = TrainedRows()
    for path in _find(uri, "summary-*.json"):
        summary = _read_part(path)
        total["files"].append(summary["file"])
        if not summary["n_bad"] + sum(sum(classes.values()) for classes in summary["splits"].values()):
            total["empty"].append(summary["file"])
        total["n_bad"] += summary["n_bad"]
        total["shards"] |= summary["shards"]
        total["trained"] = total["trained"].with_rows(TrainedRows.from_json(summary["trained"]).hashes)
        for name, classes in summary["splits"].items():
            counts = total["splits"].setdefault(name, dict.fromkeys(classes, 0))
            for label, n_rows in classes.items():
                counts[label] += n_rows
    total["bad_rows"] = _find(uri, "bad_rows-*.tsv")
    check_index(uri, total["shards"])
    return total


def _read_part(path: str) -> dict:
    with FileSystems.open(path) as file:
        try:
            return json.loads(file.read())
        except ValueError:
            raise DamageError(explain("no summary", path, os.path.dirname(path))) from None


def _find(uri: str, names: str) -> list[str]:
    [matches] = FileSystems.match([os.path.join(escape(uri), names)])
    return sorted(metadata.path for metadata in matches.metadata_list)


def remarks(summary: dict) -> list[str]:
    """What a person should know of the data beside the counts of rows, a line each."""
    lines = []
    if summary["n_bad"]:
        lines.append(f"{summary['n_bad']:,} bad rows left out: {', '.join(summary['bad_rows'])}")
    if summary["empty"]:
        lines.append(f"Passed over, for they hold no rows: {', '.join(summary['empty'])}")
    for pair in summary["repeats"]:
        n_rows = sum(summary["splits"][pair["split"]].values())
        lines.append(f"{pair['n']:,} of {n_rows:,} rows of {pair['split']} are rows of {pair['other']} as well")
    return lines


def check_splits(summary: dict) -> None:
    """Checks that every split can be trained on or judged by.

    Raises:
      IngestionError: a split lacks a class, or all rows are of one class.
    """
    splits = summary["splits"]
    n_rows = sum(sum(classes.values()) for classes in splits.values())
    if len(summary["empty"]) == len(summary["files"]):
        which = "which is empty" if len(summary["files"]) == 1 else "which are empty"
        raise IngestionError(
            f"Data must hold rows. Received: {', '.join(summary['files'])}, {which}. Name another file."
        )
    if not n_rows:
        raise IngestionError(
            f"Data must hold rows. Received: none in {', '.join(summary['files'])}, {summary['n_bad']:,} bad. "
            "Name another file."
        )
    for label in ("background", "signal"):
        if not sum(classes[label] for classes in splits.values()):
            raise IngestionError(
                f"Data must hold both classes. Received: {n_rows:,} rows without one of {label}. "
                "Add rows whose first column is " + ("1." if label == "signal" else "0.")
            )
        for name, classes in splits.items():
            if not classes[label]:
                raise IngestionError(
                    f"Every split needs rows of both classes. Received: {n_rows:,} rows, which leave none of {label} "
                    f"for {name}. Add rows, or give the split other ones."
                )
