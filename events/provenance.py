"""Tell simulated data files from the published one.

Simulated files have `<name>.simulated.json` beside them. A compressed one also carries its origin inside, in the gzip
header's field for the original name, and so does any file called "simulated". A plain .csv that was copied without its
marker under another name cannot be told: nothing in HIGGS's format has room for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from events.files import whole

SIMULATED = "simulated"
MARKER_SUFFIX = ".simulated.json"

_GZIP_MAGIC = b"\x1f\x8b"
_HAS_EXTRA, _HAS_NAME = 4, 8  # bits of the header's flags, RFC 1952


def is_simulated(path: str | os.PathLike) -> bool:
    """Whether a file is known to be simulated."""
    path = Path(path)
    names = (path.name, _read_gzip_name(path))
    return get_marker_path(path).exists() or any(SIMULATED in name.lower() for name in names)


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
