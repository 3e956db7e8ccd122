"""Tables of which files, code and settings a result comes from; free of TFX."""

import os
import time

from events.fingerprint import digests, fingerprint, is_fingerprint
from pipeline.run_records import as_text, flatten
from report.page import Table


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


def settings(tree: dict) -> Table:
    """Nested settings, by dotted name."""
    rows = [[name, as_text(value)] for name, value in flatten(tree).items()]
    return Table(["setting", "value"], rows, numeric=False)
