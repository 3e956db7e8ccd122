"""CSV files to splits of TFRecord shards: the work of HiggsExampleGen, free of TFX.

A file is read, parsed, split and encoded block by block, in order, and nothing is shuffled: training shuffles in
memory, and two runs on the same rows can be compared row by row.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from events.csv_blocks import WHOLE, Block, Part, count_lines_before, count_rows, read_blocks, read_head
from events.csv_rows import BadRow, RowParser
from events.errors import IngestionError
from events.ingestion_files import Quarantine, ShardWriter
from events.listing import escape, is_gzipped
from events.records import RecordCodec
from events.repeats import HashFiles, read_repeats
from events.shards import DamageError, check_index, explain
from events.splits import SplitRule, hash_rows
from events.threads import in_threads
from events.trained_rows import TrainedRows
from events.whole_files import WholeFile, find

STOP, QUARANTINE = "stop", "quarantine"  # what to do with a bad row
TRAIN = "train"  # the split of the rows that networks are trained on
PART_BYTES = 128 << 20  # of a plain file, for one worker: more than a second's work, and many of them in a large file


@dataclasses.dataclass(frozen=True)
class Source:
    """What one worker reads: an input file, or a part of a large plain one.

    Attributes:
      path: where the file is, on any of Beam's file systems.
      part: which lines of it.
      index: its position among all sources.
      first_row: the number of its first data line among those of all files; 0 where no rule needs it.
    """

    path: str
    part: Part
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


def plan_sources(paths: Sequence[str], rule: SplitRule) -> tuple[list[Source], SplitRule]:
    """Divides large files, and numbers the rows if the rule needs that, which may mean to read all of them once.

    Returns:
      The sources and the rule with its ranges resolved.
    """
    sources = [(path, part) for path in paths for part in divide(path)]
    if not rule.ranges or (len(sources) == 1 and not rule.needs_total):
        return [Source(*source, index) for index, source in enumerate(sources)], rule
    counts = [count_rows(*source) for source in sources]
    first_rows = np.cumsum([0, *counts]).tolist()
    return [Source(*source, index, first_rows[index]) for index, source in enumerate(sources)], rule.resolve(
        sum(counts)
    )


def divide(path: str) -> list[Part]:
    """Parts of PART_BYTES that make up a file; one if it is gzipped, which can be read from its beginning only."""
    [match] = FileSystems.match([escape(path)])
    n_bytes = match.metadata_list[0].size_in_bytes
    if is_gzipped(path) or n_bytes <= PART_BYTES:
        return [WHOLE]
    starts = range(0, n_bytes, PART_BYTES)
    return [Part(start, start + PART_BYTES) for start in starts]


class IngestFile(beam.DoFn):
    """Writes one `Source`'s rows into shards of the splits, and a summary of them."""

    def __init__(self, ingestion: Ingestion):
        self._ingestion = ingestion

    def setup(self):
        self._codec = RecordCodec(self._ingestion.columns)

    def process(self, source: Source) -> Iterator[str]:
        """Yields the path of the file that was read.

        An engine may do this again for a source whose worker it has lost: the same files come of it.
        """
        ingestion = self._ingestion
        parser = RowParser.for_file(source.path, read_head(source.path), ingestion.columns)
        counts = np.zeros((len(ingestion.rule.names), 2), np.int64)
        shards = [ShardWriter(uri, source.index) for uri in ingestion.split_uris]
        quarantine = Quarantine(ingestion.summary_uri, source.index)
        hashes = HashFiles(ingestion.summary_uri, ingestion.rule, source.index)
        trained = TrainedRows()
        n_lines_before = functools.cache(lambda: count_lines_before(source.path, source.part))  # if it must be known
        blocks = read_blocks(source.path, parser.head, source.first_row, source.part)
        for encoded in in_threads(lambda block: self._encode(parser, block), blocks):
            bad = [dataclasses.replace(row, line=row.line + n_lines_before()) for row in encoded.bad]
            if bad and ingestion.bad_rows == STOP:
                raise IngestionError(f"{bad[0]} Or go on without bad rows by --bad-rows=quarantine.")
            for shard, records in zip(shards, encoded.records, strict=True):
                shard.write(records)
            quarantine.write(bad)
            hashes.write(encoded.hashes)
            trained = trained.with_rows(encoded.hashes[ingestion.rule.names.index(TRAIN)])
            counts += encoded.counts
        for close in (*(shard.close for shard in shards), quarantine.close, hashes.close):
            close()
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


def _write_summary(
    ingestion: Ingestion,
    source: Source,
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
    file = WholeFile(os.path.join(ingestion.summary_uri, f"summary-{source.index:05d}.json"))
    file.write(json.dumps(summary).encode())
    file.close()


def read_summary(uri: str) -> dict:
    """Adds up the summaries of all files of an ingestion.

    Returns:
      `files`, a list of paths; `empty`, those of them without rows; `splits`, rows by split and class; `n_bad`;
      `bad_rows`, the files that hold them; `repeats`, see `read_repeats`; `shards`, see `write_index`; `trained`, the
      `TrainedRows`.

    Raises:
      DamageError: a summary is damaged or gone.
    """
    total: dict[str, Any] = {"splits": {}, "n_bad": 0, "repeats": read_repeats(uri), "shards": {}}
    total["trained"] = TrainedRows()
    n_rows: dict[str, int] = {}  # of each file, which may have been divided
    for path in find(uri, "summary-*.json"):
        summary = _read_part(path)
        n_sound = sum(sum(classes.values()) for classes in summary["splits"].values())
        n_rows[summary["file"]] = n_rows.get(summary["file"], 0) + n_sound + summary["n_bad"]
        total["n_bad"] += summary["n_bad"]
        total["shards"] |= summary["shards"]
        total["trained"] = total["trained"].with_rows(TrainedRows.from_json(summary["trained"]).hashes)
        for name, classes in summary["splits"].items():
            counts = total["splits"].setdefault(name, dict.fromkeys(classes, 0))
            for label, n in classes.items():
                counts[label] += n
    total["files"] = list(n_rows)
    total["empty"] = [path for path, n in n_rows.items() if not n]
    total["bad_rows"] = find(uri, "bad_rows-*.tsv")
    check_index(uri, total["shards"])
    return total


def _read_part(path: str) -> dict:
    with FileSystems.open(path) as file:
        try:
            return json.loads(file.read())
        except ValueError:
            raise DamageError(explain("no summary", path, os.path.dirname(path))) from None


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
