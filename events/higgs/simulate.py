"""Simulated rows in the format of HIGGS.csv: no header, label first, 29 columns, float32 values written as "%.18e".

Rows come in blocks of fixed size with a random stream of their own, so they depend on the seed alone: the first rows of
a long file are the rows of a short one, and memory does not grow with the number of rows.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from isal import igzip

from events.decimals import format_rows
from events.errors import DatasetError
from events.files import whole
from events.higgs.collisions import collide
from events.higgs.detector import detect
from events.higgs.reconstruction import reconstruct
from events.provenance import SIMULATED, is_simulated, remove_marker, write_marker
from events.threads import N_THREADS, in_threads

GENERATOR_VERSION = 1  # raise it whenever the same seed would give other rows
SIGNAL_FRACTION = 0.53
N_COLUMNS = 29

BLOCK_ROWS = 16_384
TRIALS_PER_ROW = 3.9  # a little over a quarter of the collisions passes the selection, in either class

BYTES_PER_ROW = {".csv": 740, ".csv.gz": 300}  # measured 731 and 287, with a margin
COMPRESSION_LEVEL = 2  # of isal: three times as fast as zlib at its fastest, and smaller


def generate(n_rows: int, seed: int, chunk: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
    """Yield simulated rows [chunk, 29] float32 until there are `n_rows`; the last array may be shorter.

    Column 0 is the label (1 signal, 0 background). The rows depend on `seed` only, not on `n_rows` or `chunk`.
    Raises DatasetError unless n_rows >= 1, chunk >= 1 and seed >= 0.
    """
    _check_request(n_rows, seed)
    if chunk < 1:
        raise DatasetError(f"A chunk holds at least one row. Received: {chunk}. Ask for 1 or more.")
    return _rechunk(_map_blocks(lambda block, n: simulate_block(seed, block)[:n], n_rows), chunk)


def write_csv(path: str | os.PathLike, n_rows: int, seed: int) -> Path:
    """Write `n_rows` simulated rows to `path`, compressed if it ends in .csv.gz, and mark the file as simulated.

    The file appears under its name only when complete; an existing simulated file is replaced, any other is refused.
    Raises DatasetError for a bad number of rows, seed or name, an unwritable folder, or too little disk space.
    """
    path = Path(path)
    _check_request(n_rows, seed)
    suffix = _check_destination(path, n_rows)
    try:
        with whole(path, "wb") as file:
            sha256 = _write_blocks(file, suffix == ".csv.gz", n_rows, seed)
            # The marker goes first: a crash between the two must not leave simulated rows that pass for real ones.
            write_marker(path, generator_version=GENERATOR_VERSION, seed=seed, n_rows=n_rows, sha256=sha256)
    except OSError as error:
        raise DatasetError(_explain(error, path)) from error
    finally:
        if not path.exists():
            remove_marker(path)
    return path


def simulate_block(seed: int, block: int) -> np.ndarray:
    """Rows [16384, 29] float32 of one block: labels at random, each with the next event of its class."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block,)))
    labels = rng.random(BLOCK_ROWS) < SIGNAL_FRACTION
    rows = np.empty((BLOCK_ROWS, N_COLUMNS), np.float32)
    rows[:, 0] = labels
    for signal in (True, False):
        places = np.flatnonzero(labels == signal)
        while len(places):
            n_trials = 400 + int(TRIALS_PER_ROW * len(places))
            features = reconstruct(detect(rng, *collide(rng, signal, n_trials)))[: len(places)]
            rows[places[: len(features)], 1:] = features
            places = places[len(features) :]
    return rows


def _map_blocks(function: Callable, n_rows: int) -> Generator:
    """Yield function(block, rows wanted of it) for every block in order, computed two blocks ahead by threads."""
    blocks = range(-(-n_rows // BLOCK_ROWS))
    return in_threads(
        lambda block: function(block, min(BLOCK_ROWS, n_rows - block * BLOCK_ROWS)), blocks, n_ahead=N_THREADS
    )


def _rechunk(blocks: Iterable[np.ndarray], chunk: int) -> Iterator[np.ndarray]:
    held = np.empty((0, N_COLUMNS), np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        n_whole = len(held) - len(held) % chunk
        yield from (held[start : start + chunk] for start in range(0, n_whole, chunk))
        held = held[n_whole:]
    if len(held):
        yield held


def _write_blocks(file: IO[bytes], compress: bool, n_rows: int, seed: int) -> str:
    """Write the rows and return the SHA-256 of what reached the file."""
    hashing = _HashingFile(file)
    sink: _HashingFile | igzip.IGzipFile = hashing
    with contextlib.ExitStack() as stack:
        if compress:
            # No time in the header, so that the same rows make the same file; the name tells where they came from.
            name = f"{SIMULATED}-seed-{seed}.csv"
            sink = stack.enter_context(igzip.IGzipFile(name, "wb", COMPRESSION_LEVEL, hashing, mtime=0))
        texts = _map_blocks(lambda block, n: format_rows(simulate_block(seed, block)[:n]), n_rows)
        for text in stack.enter_context(contextlib.closing(texts)):
            sink.write(text)
    return hashing.sha256.hexdigest()


class _HashingFile:
    """A file to write to that knows the SHA-256 of what it got."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _check_request(n_rows: int, seed: int) -> None:
    if n_rows < 1:
        raise DatasetError(f"A simulation makes at least one row. Received: {n_rows}. Ask for 1 or more.")
    if seed < 0:
        raise DatasetError(f"A seed is not negative. Received: {seed}. Use 0 or more.")


def _check_destination(path: Path, n_rows: int) -> str:
    """Suffix of the file to write, once nothing stands in its way that can be known before."""
    suffix = next((suffix for suffix in BYTES_PER_ROW if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DatasetError(f"Simulated rows go to a .csv or .csv.gz file. Received: {path}. Change the ending.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise DatasetError(
            f"Data goes into an existing, writable folder. Received: {path.parent}. Create it or choose another."
        )
    if path.exists() and not is_simulated(path):
        raise DatasetError(
            f"A simulation never replaces data that is not simulated. Received: {path}. Choose another name."
        )
    n_bytes, free_bytes = n_rows * BYTES_PER_ROW[suffix], shutil.disk_usage(path.parent).free
    if n_bytes > free_bytes:
        raise DatasetError(
            f"{n_rows:,} rows need {n_bytes / 1e6:,.1f} MB of disk. Received: {free_bytes / 1e6:,.1f} MB free in "
            f"{path.parent}. Free some, choose another folder, or ask for fewer rows."
        )
    return suffix


def _explain(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Writing needs free disk space. Received: {error.strerror} at {path}. Free some or ask for fewer rows."
    return f"Rows must be written to disk. Received: {error.strerror} at {path}. Choose another folder."
