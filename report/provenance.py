"""Tables of which files, code and settings a result comes from; free of TFX."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from datasets.fingerprint import digests, fingerprint, is_fingerprint
from report.page import Table

ROOT = Path(__file__).parent.parent


def data_files(paths: list[str], caption: str, recorded: str = "") -> Table:
    """Files with size, time and digest as they are now, and the fingerprint that ExampleGen recorded of them."""
    here = [path for path in paths if _is_readable(path)]
    found = dict(zip(here, digests(here), strict=True))
    rows = [_describe(path, found[path]) if path in found else [path, "not on this machine", "", ""] for path in paths]
    if recorded:
        rows.append(["as ML Metadata recorded them", "", "", recorded])
    return Table(["file", "bytes", "modified", "SHA-256"], rows, caption, numeric=False)


def _is_readable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _describe(path: str, digest: str) -> list[str]:
    stat = os.stat(path)
    modified = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(stat.st_mtime))
    return [path, f"{stat.st_size:,}", modified, digest]


def is_unchanged(paths: list[str], recorded: str) -> bool | None:
    """Whether files have the names, order and content that ExampleGen recorded; None if that cannot be told."""
    if not is_fingerprint(recorded) or not all(map(_is_readable, paths)):
        return None
    return fingerprint(paths) == recorded


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
