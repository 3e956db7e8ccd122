"""Tables of which files, code and settings a result comes from; free of TFX."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from report.page import Table

ROOT = Path(__file__).parent.parent
BLOCK_BYTES = 1 << 20


def data_files(paths: list[str], caption: str, fingerprint: str = "") -> Table:
    """Files with size, time and digest as they are now, and what ExampleGen wrote down of them."""
    rows = [_describe(path) for path in paths]
    if fingerprint:
        rows.append(["as ML Metadata recorded them", "", "", fingerprint])
    return Table(["file", "bytes", "modified", "SHA-256"], rows, caption, numeric=False)


def _describe(path: str) -> list[str]:
    if not os.path.isfile(path):
        return [path, "not on this machine", "", ""]
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    stat = os.stat(path)
    modified = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(stat.st_mtime))
    return [path, f"{stat.st_size:,}", modified, digest.hexdigest()]


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
    if not (ROOT / ".git").exists():  # an installed package may lie inside somebody else's repository
        return ""
    try:
        head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}, with changes that are not committed" if changed else head


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def versions(packages: dict[str, str]) -> Table:
    """Package name to version."""
    return Table(["package", "version"], [[name, version] for name, version in packages.items()], numeric=False)


def settings(tree: dict) -> Table:
    """Nested settings, by dotted name."""
    return Table(["setting", "value"], list(_flat(tree)), numeric=False)


def _flat(tree: dict, prefix: str = "") -> Iterator[list[str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield [prefix + name, value if isinstance(value, str) else json.dumps(value)]
