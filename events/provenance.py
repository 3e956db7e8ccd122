"""Tell simulated data files from the published one.

Simulated files have `<name>.simulated.json` beside them. A compressed one also carries its origin inside, in the gzip
header's field for the original name, and so does any file called "simulated". A plain .csv that was copied without its
marker under another name cannot be told: nothing in HIGGS's format has room for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from events.files import whole

SIMULATED = "simulated"
MARKER_SUFFIX = ".simulated.json"

_GZIP_MAGIC = b"\x1f\x8b"
_HAS_EXTRA, _HAS_NAME = 4, 8  # bits of the header's flags, RFC 1952


def is_simulated(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> bool:
    """Whether any of these files (one path or several) is known to be simulated."""
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    return any(_is_simulated_file(Path(path)) for path in paths)


def get_marker_path(path: Path) -> Path:
    """Where the marker of the data file at `path` belongs."""
    return path.with_name(path.name + MARKER_SUFFIX)


def write_marker(path: Path, **facts: int | str) -> None:
    """Mark the data file at `path` as simulated, with these facts about it."""
    with whole(get_marker_path(path)) as file:
        file.write(json.dumps({"origin": SIMULATED, **facts}, indent=2) + "\n")


def remove_marker(path: Path) -> None:
    """Forget that the file at `path` was simulated; for when another file takes its name."""
    get_marker_path(path).unlink(missing_ok=True)


def _is_simulated_file(path: Path) -> bool:
    return (
        SIMULATED in path.name.lower() or get_marker_path(path).exists() or SIMULATED in _read_gzip_name(path).lower()
    )


def _read_gzip_name(path: Path) -> str:
    """Original name in the header of a gzip file; empty for any other file or none."""
    try:
        with open(path, "rb") as file:
            header = file.read(4096)
    except OSError:
        return ""
    if not header.startswith(_GZIP_MAGIC) or len(header) < 12 or not header[3] & _HAS_NAME:
        return ""
    start = 10
    if header[3] & _HAS_EXTRA:
        start += 2 + int.from_bytes(header[10:12], "little")
    return header[start:].split(b"\0", 1)[0].decode("latin-1")
