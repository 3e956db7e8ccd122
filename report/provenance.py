"""Which files and which code a result comes from."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK_BYTES = 1 << 20


def describe_file(path: str) -> dict:
    """`path`, and of a local file that is still there also `bytes`, `modified` (UTC) and `sha256`, as it is now."""
    if not os.path.isfile(path):
        return {"path": path}
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    stat = os.stat(path)
    modified = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(stat.st_mtime))
    return {"path": path, "bytes": stat.st_size, "modified": modified, "sha256": digest.hexdigest()}


def is_unchanged(paths: list[str], fingerprint: str) -> bool | None:
    """Whether files have the total size and the times that ExampleGen wrote down; None if that cannot be told."""
    recorded = dict(part.split(":", 1) for part in fingerprint.split(",") if ":" in part)
    if not {"total_bytes", "sum_checksum"} <= set(recorded) or not all(map(os.path.isfile, paths)):
        return None
    stats = [os.stat(path) for path in paths]
    now = (sum(stat.st_size for stat in stats), sum(int(stat.st_mtime) for stat in stats))
    return now == (int(recorded["total_bytes"]), int(recorded["sum_checksum"]))


def commit() -> str:
    """The commit of this project's checkout, and whether files differ from it; empty if it is none."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}, with changes that are not committed" if changed else head


def _git(*arguments: str) -> str:
    # Only a repository of the project's own: an installed package may lie inside somebody else's.
    if not (ROOT / ".git").exists():
        raise OSError("no checkout")
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
