"""Scores a file of events: batch by batch, several at a time, in order, in bounded memory."""

import contextlib
import dataclasses
import gzip
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Protocol

import numpy as np
from tqdm import tqdm

from events.csv_blocks import read_blocks, read_head
from events.csv_rows import RowParser
from events.errors import IngestionError, ServingError
from events.files import whole
from events.higgs.columns import COLUMNS, FEATURES, LABEL
from events.listing import is_gzipped, list_files
from events.threads import in_threads
from metrics.sums import EventSums
from serving.faults import Retries
from serving.request import checked


@dataclasses.dataclass(frozen=True)
class Events:
    """A file of events in HIGGS's format.

    Attributes:
      path: .csv or .csv.gz on this machine or another of Beam's file systems, with or without a header.
      parser: for its lines; `parser.labelled` says whether they begin with the label.
    """

    path: str
    parser: RowParser

    @classmethod
    def open(cls, path: str) -> "Events":
        """Looks at how the file begins that `path` names.

        Raises:
          DatasetError: it is not there, or no file.
          IngestionError: it cannot be used.
        """
        path, *others = list_files(path)
        if others:
            raise IngestionError(f"Events must be one file. Received: {path} and {len(others):,} more. Name one.")
        head = read_head(path)
        if not head.first_line:
            raise IngestionError(f"A CSV file must hold rows. Received: {path}, which is empty. Name another file.")
        labelled = len(head.fields) != len(FEATURES) if head.names is None else LABEL in head.names
        return cls(path, RowParser.for_file(path, head, COLUMNS if labelled else FEATURES, labelled))

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Yields the rows in order as float32 [28, n], or [29, n] with the label first; n is `size`, or what is left.

        Raises:
          IngestionError: a row is none, or there are none.
        """
        rest = np.empty((len(self.parser.columns), 0), np.float32)
        n_rows = 0
        for block in read_blocks(self.path, self.parser.head):
            rows = self.parser.parse(block)
            if rows.bad:
                raise IngestionError(str(rows.bad[0]))
            rest = np.concatenate([rest, rows.values], axis=1)
            n_rows += rows.values.shape[1]
            while rest.shape[1] >= size:
                yield rest[:, :size]
                rest = rest[:, size:]
        if rest.shape[1]:
            yield rest
        if not n_rows:
            raise IngestionError(f"A CSV file must hold rows. Received: {self.path}, a header only. Name another file.")


class Scorer(Protocol):
    """A model: from float32 [28, n] to n probabilities; `server` is what it asks."""

    server: str

    def __call__(self, features: np.ndarray) -> Any: ...


def predict(
    events: Events,
    scorer: Scorer,
    to: str,
    batch_size: int,
    concurrency: int,
    n_retries: int,
    header: bool = False,
    row_numbers: bool = False,
    look: Callable[[np.ndarray], None] = lambda features: None,
) -> tuple[int, EventSums | None]:
    """Writes one line per row: its probability and, if the file has labels, its label.

    Args:
      events: to score.
      scorer: what scores them.
      to: of the predictions, gzipped if it ends in .gz; appears when complete.
      batch_size: rows per request.
      concurrency: requests at a time. No more batches than these are in memory.
      n_retries: how often to ask an unavailable server again.
      header: whether the first line names the columns.
      row_numbers: whether each line begins with the row's number, from 1.
      look: is called with the features of each batch, in order.

    Returns:
      The number of rows, and what to measure the predictions by if there are labels.

    Raises:
      IngestionError: the file cannot be used.
      ServingError: the model cannot be queried, or the predictions cannot be written.
    """
    labelled = events.parser.labelled
    retries = Retries(n_retries, scorer.server)
    sums = EventSums()
    n_rows = 0

    def score(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return batch, checked(retries(scorer, batch[-len(FEATURES) :]), batch.shape[1], scorer.server)

    with _complete(to) as file, _progress() as bar:
        if header:
            names = [*(["row"] if row_numbers else []), "probability", *(["label"] if labelled else [])]
            file.write(",".join(names) + "\n")
        batches = events.batches(batch_size)
        for batch, probabilities in in_threads(score, batches, concurrency, concurrency - 1, retries.stop):
            if labelled:
                sums.add(batch[0], probabilities)
            look(batch[-len(FEATURES) :])
            numbers = range(n_rows + 1, n_rows + len(probabilities) + 1) if row_numbers else None
            _write(file, probabilities, batch[0] if labelled else None, numbers)
            n_rows += len(probabilities)
            bar.update(len(probabilities))
    return n_rows, sums if labelled else None


def _write(file: IO[str], probabilities: np.ndarray, labels: np.ndarray | None, numbers: range | None) -> None:
    columns: list[Iterable[str]] = [] if numbers is None else [map(str, numbers)]
    columns.append(f"{probability:.9g}" for probability in probabilities)  # tells every 32-bit float from every other
    if labels is not None:
        columns.append(f"{label:.0f}" for label in labels)
    file.writelines(",".join(fields) + "\n" for fields in zip(*columns, strict=True))


def _progress() -> tqdm:
    return tqdm(unit=" rows", unit_scale=True, mininterval=0.5 if sys.stderr.isatty() else 10.0)


@contextlib.contextmanager
def _complete(path: str) -> Iterator[IO[str]]:
    """A file to write to that appears under its name when the context ends well, and not at all otherwise."""
    gzipped = is_gzipped(path)
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(whole(path, "wb" if gzipped else "w"))
        except OSError as error:
            raise ServingError(
                f"Predictions must be writable. Received: {path}: {error.strerror}. Name another file with --to."
            ) from None
        yield stack.enter_context(gzip.open(file, "wt")) if gzipped else file
