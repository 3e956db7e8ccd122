"""Download HIGGS.csv.gz, 11,000,000 rows, from its home at UC Irvine.

Source: Baldi, Sadowski, Whiteson, "Searching for exotic particles in high-energy physics with deep learning", Nature
Communications 5 (2014) 4308; UCI Machine Learning Repository, DOI 10.24432/C5V312, licence CC BY 4.0.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from events.errors import DatasetError
from events.files import sync_folder
from events.provenance import remove_marker

FILE_NAME = "HIGGS.csv.gz"
URL = f"https://archive.ics.uci.edu/ml/machine-learning-databases/00280/{FILE_NAME}"
SIZE_BYTES = 2_816_407_858
SHA256 = "ea302c18164d4e3d916a1e2e83a9a8d07069fa6ebc7771e4c0540d54e593b698"

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 30.0
N_ATTEMPTS = 5  # in a row that bring no new byte
PAUSE_S = 1.0  # before the second attempt; doubled before each further one
SIMULATE = "make rows with `higgs data simulate`"


def download(
    destination: str | os.PathLike,
    url: str = URL,
    size: int = SIZE_BYTES,
    sha256: str = SHA256,
    pause_s: float = PAUSE_S,
) -> Path:
    """Fetch `url` to `destination`, a file name or an existing folder, and return the file's path.

    What has arrived is kept in `<name>.part`, where the next call goes on. The file gets its name only after its size
    in bytes and its SHA-256 were found right; if it has them already, nothing is fetched.
    Raises DatasetError if the server cannot be reached or sends something else, if the disk is too small, or if a
    different file has the name.
    """
    path = Path(destination)
    path = path / FILE_NAME if path.is_dir() else path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_existing(path, size, sha256)
            return path
        with _Part(path, size) as part:
            _fetch(part, url, pause_s)
            if part.digest.hexdigest() != sha256:
                part.delete()
                raise DatasetError(
                    f"The data set has SHA-256 {sha256}. Received: {part.digest.hexdigest()} from {url}. The file was "
                    f"deleted; try again, or {SIMULATE}."
                )
        remove_marker(path)
        os.replace(part.path, path)
        sync_folder(path.parent)
    except OSError as error:
        raise DatasetError(
            f"The data set must be written to disk. Received: {error.strerror} at {path}. Choose another folder, or "
            "free some space."
        ) from error
    return path


class _Part:
    """What has arrived of the file, with its digest and progress bar; on entry, what an earlier call left."""

    def __init__(self, path: Path, size: int):
        self.path = path.with_name(path.name + ".part")
        self.size = size
        self._bar = _progress(FILE_NAME, size)

    def __enter__(self) -> _Part:
        self._file = open(self.path, "a+b")
        self._file.seek(0)
        self.digest = _hash(self._file, self._bar)
        if self.n_held > self.size:
            self.restart()
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
        os.fsync(self._file.fileno())
        if not self.n_held:
            self.delete()
        self._file.close()

    @property
    def n_held(self) -> int:
        return self._file.tell()

    def append(self, block: bytes) -> None:
        try:
            self._file.write(block)
            self._file.flush()
        except OSError as error:  # told apart from the network's errors, which are worth another attempt
            raise DatasetError(
                f"The data set must be written to disk. Received: {error.strerror} at {self.path}. Free some space and "
                "try again, which goes on from there."
            ) from error
        self.digest.update(block)
        self._bar.update(len(block))

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.digest = hashlib.sha256()
        self._bar.reset()

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)


def _check_existing(path: Path, size: int, sha256: str) -> None:
    found = path.stat().st_size
    if found == size:
        with open(path, "rb") as file, _progress(f"Checking {path.name}", size) as bar:
            same = _hash(file, bar).hexdigest() == sha256
        if same:
            print(f"{path} is already there, complete.")
            return
    raise DatasetError(
        f"The data set has {size:,} bytes and SHA-256 {sha256}. Received: another file, of {found:,} bytes, at {path}. "
        "Move it away, or choose another destination."
    )


def _fetch(part: _Part, url: str, pause_s: float) -> None:
    """Make requests until `part` is complete, or N_ATTEMPTS in a row brought nothing."""
    _check_disk(part.path.parent, part.size - part.n_held)
    n_failures = 0
    while (n_before := part.n_held) < part.size:
        try:
            _receive(part, url)
            failure = "the connection ended early"
        except (OSError, http.client.HTTPException) as error:
            failure = _explain(error, url)
        if part.n_held == part.size:
            return
        n_failures = 1 if part.n_held > n_before else n_failures + 1
        if n_failures == N_ATTEMPTS:
            raise DatasetError(
                f"The data set is fetched from {url}. Received: {failure}, {N_ATTEMPTS} times in a row. Check the "
                f"network and try again, which goes on at {part.n_held:,} bytes, or {SIMULATE}."
            )
        time.sleep(pause_s * 2 ** (n_failures - 1))


def _receive(part: _Part, url: str) -> None:
    """Append one response to `part`, or start again if the server cannot go on from there."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "higgs-pipeline"}
    if part.n_held:
        headers["Range"] = f"bytes={part.n_held}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not part.n_held:
            raise
        part.restart()  # the server's file is not longer than what is held
        return
    with response:
        if part.n_held and not _continues(response, part.n_held):
            part.restart()
        n_announced = part.n_held + int(response.headers.get("Content-Length", part.size - part.n_held))
        if n_announced != part.size:
            raise _reject(part, url, n_announced)
        while block := response.read1(BLOCK_BYTES):
            part.append(block)
            if part.n_held > part.size:
                raise _reject(part, url, part.n_held)


def _continues(response, n_held: int) -> bool:
    """Whether the response starts at byte `n_held`; servers may ignore a range and send everything."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {n_held}-")


def _reject(part: _Part, url: str, n_received: int) -> DatasetError:
    part.delete()
    return DatasetError(
        f"The data set has {part.size:,} bytes. Received: {n_received:,} from {url}. It was deleted; check the "
        f"address, or {SIMULATE}."
    )


def _explain(error: OSError | http.client.HTTPException, url: str) -> str:
    """What went wrong, in words, if another attempt may help; otherwise raises DatasetError."""
    if isinstance(error, urllib.error.HTTPError):
        status = f"HTTP status {error.code} {' '.join(str(error.reason).split()).rstrip('.')}"
        if error.code < 500 and error.code not in (408, 429):
            raise DatasetError(
                f"The data set is fetched from {url}. Received: {status}. Check the address, or {SIMULATE}."
            ) from error
        return status
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__


def _check_disk(folder: Path, n_bytes: int) -> None:
    n_free = shutil.disk_usage(folder).free
    if n_bytes > n_free:
        raise DatasetError(
            f"The data set needs {n_bytes / 1e9:.1f} GB more disk. Received: {n_free / 1e9:.1f} GB free in {folder}. "
            f"Free some, choose another folder, or {SIMULATE}."
        )


def _hash(file: BinaryIO, bar: tqdm):
    """SHA-256 of `file` from where it stands to its end."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        bar.update(len(block))
    return digest


def _progress(name: str, size: int) -> tqdm:
    return tqdm(desc=name, total=size, unit="B", unit_scale=True)
