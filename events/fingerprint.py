"""Fingerprints of data files: their names in order and their content.

Sizes and times tell nothing: rows may be replaced by others of the same size within a second, and files may swap their
names. Content is known by its SHA-256, 1.5 GB/s where the processor helps. The digest of a local file is kept, with
what the system says of the file, so that an unchanged file is not read again.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from events.files import whole
from events.listing import is_remote
from events.threads import in_threads

BLOCK_BYTES = 1 << 20
# A file that changed so shortly before it was read may change again without another time: clocks of file systems tick.
SETTLED_NS = 2_000_000_000
N_KEPT = 10_000  # digests, the newest
N_REQUESTS = 16  # to a remote file system at the same time


def fingerprint(paths: Sequence[str]) -> str:
    """Names and content of files, in this order, as a text of fixed length.

    Args:
      paths: of files on this machine, or on any of Beam's file systems. For the latter the checksum and the time that
        the file system tells stand for the content, which is read only if it tells neither.

    Raises:
      OSError: a file is not there or cannot be read.
    """
    local = [path for path in paths if not is_remote(path)]
    contents: dict[str, Any] = dict(zip(local, digests(local), strict=True))
    remote = [path for path in paths if is_remote(path)]
    contents |= zip(remote, in_threads(_ask, remote, N_REQUESTS, N_REQUESTS), strict=True)
    text = json.dumps([[path, contents[path]] for path in paths])
    return f"files:{len(paths)},sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def is_fingerprint(text: str) -> bool:
    """Whether a text is what `fingerprint` makes; TFX's own hold sizes and times."""
    return text.startswith("files:") and ",sha256:" in text


def digests(paths: Iterable[str]) -> list[str]:
    """SHA-256 of the content of files on this machine, each as 64 hexadecimal digits.

    Raises:
      OSError: a file is not there or cannot be read.
    """
    kept, found, settled = _load(), [], {}
    for path in map(os.path.realpath, paths):
        state = _state(path)
        if kept.get(path, [])[:-1] != state:
            started_ns = time.time_ns()
            kept[path] = [*state, _digest(path)]
            if started_ns - state[-1] >= SETTLED_NS and _state(path) == state:
                settled[path] = kept[path]
        found.append(kept[path][-1])
    if settled:
        _save(_load() | settled)
    return found


def _state(path: str) -> list[int]:
    """What changes with a file's content: size, inode and times, the last of which no program can set."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return _digest_of(file)


def _digest_of(file) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _ask(path: str) -> list:
    """What a remote file system tells of a file, or a digest of its content if it tells nothing but its size."""
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    system: Any = FileSystems.get_filesystem(path)  # Beam's annotation names another class
    metadata, checksum = system.metadata(path), system.checksum(path)
    if metadata.last_updated_in_seconds or checksum != str(metadata.size_in_bytes):
        return [metadata.size_in_bytes, metadata.last_updated_in_seconds, checksum]
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return [_digest_of(file)]


def _kept_path() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A user without a home has no cache.
    return os.path.join(cache if os.path.isabs(cache) else os.devnull, "higgs", "digests.json")


def _load() -> dict[str, list]:
    """Path to its state and digest; nothing if that was never kept, or is not to be read."""
    try:
        with open(_kept_path(), encoding="utf-8") as file:
            return {path: entry for path, entry in json.load(file).items() if isinstance(entry, list)}
    except (OSError, ValueError, AttributeError):
        return {}


def _save(kept: dict[str, list]) -> None:
    """Keeps digests for the next time, or, where nothing can be written, does not."""
    path = _kept_path()
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with whole(path) as file:
            json.dump(dict(list(kept.items())[-N_KEPT:]), file)
