"""Which files a data path names: one list, in one order, for all code that reads, checks or fingerprints the rows."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import urllib.parse

from events.errors import DatasetError

SUFFIXES = (".csv", ".csv.gz")  # in any case
OTHER_SUFFIXES = (".csv.bz2", ".csv.xz", ".csv.zip", ".csv.zst")  # rows as well, but not unpacked here
DATA_FILES = "*.[cC][sS][vV]*"  # of a folder; `match_files` drops what is neither .csv nor .csv.gz
HIDDEN = (".", "_")  # as systems begin the names of what they keep beside data: ._rows.csv, _SUCCESS, _temporary

_SPECIAL = re.compile(r"[*?[{]")  # of globs and of TFX's placeholders
_ESCAPED = re.compile(r"\[([*?[{])\]")
_PLACEHOLDER = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(:\w*)?\}")
_NUMBER = re.compile(r"([0-9]+)")


def list_files(path: str) -> list[str]:
    """The files that a data path names, in the order in which their rows count.

    Args:
      path: a file, a folder, or a glob; what exists under its very name is no glob. Also a file:// URL, or a path on
        another of Beam's file systems.

    Raises:
      DatasetError: see `match_files`.
    """
    return match_files(to_pattern(path))


def to_pattern(path: str) -> str:
    """The glob that finds the files of a data path.

    >>> to_pattern("/no/day-*/HIGGS.csv.gz")
    '/no/day-*/HIGGS.csv.gz'
    """
    path = absolute(path)
    if is_remote(path):
        return path
    parts = path.split("/")
    n_real = next(n for n in range(len(parts), 0, -1) if os.path.lexists("/".join(parts[:n]) or "/"))
    pattern = "/".join([*map(escape, parts[:n_real]), *parts[n_real:]])
    return os.path.join(pattern, DATA_FILES) if os.path.isdir(path) else pattern


def absolute(path: str) -> str:
    """The path from the root of its file system; a file:// URL is one of this machine's."""
    path = to_local(path)
    return path if is_remote(path) else os.path.abspath(path)


def to_local(path: str) -> str:
    """The path of a file:// URL; any other as it is."""
    if not path.startswith("file://"):
        return path
    host, _, rest = path.removeprefix("file://").partition("/")
    if host not in ("", "localhost"):
        raise DatasetError(
            f"A file:// URL names a file of this machine. Received: {path}, of {host!r}. Write file:///folder/file."
        )
    return urllib.parse.unquote(f"/{rest}")


def escape(path: str) -> str:
    """The glob that finds what has this very name."""
    return _SPECIAL.sub(r"[\g<0>]", path)


def split_pattern(pattern: str) -> tuple[str, str]:
    """Splits a glob into the folder that it begins with and the glob below it, as TFX's ExampleGen wants them.

    >>> split_pattern("/data/day-*/HIGGS.csv.gz")
    ('/data', 'day-*/HIGGS.csv.gz')
    """
    parts = pattern.split("/")
    n_plain = next((n for n, part in enumerate(parts[:-1]) if _SPECIAL.search(part)), len(parts) - 1)
    return "/".join(parts[:n_plain]) or "/", "/".join(parts[n_plain:])


def any_span(pattern: str) -> str:
    """The glob for all spans, versions and dates of which TFX's ExampleGen fills in the newest.

    >>> any_span("/data/day-{SPAN:3}/*.csv")
    '/data/day-*/*.csv'
    """
    return _PLACEHOLDER.sub("*", pattern)


def match_files(pattern: str) -> list[str]:
    """The files that a glob finds: hidden ones left out, numbers in their names in the order of numbers.

    Raises:
      DatasetError: there are none, one stands there twice, or what is there is no file that can be read.
    """
    paths = _match_remote(pattern) if is_remote(pattern) else glob.glob(pattern)
    if _SPECIAL.search(_ESCAPED.sub("", pattern)):  # else one file was named outright, and is taken whatever its name
        seen = [path for path in paths if not _is_hidden(path, pattern)]
        paths = [path for path in seen if path.lower().endswith(SUFFIXES)]
        if packed := [path for path in seen if path.lower().endswith(OTHER_SUFFIXES)]:
            raise DatasetError(
                f"Data are {' or '.join(SUFFIXES)}. Received: {packed[0]}. Compress it with gzip, or move it away."
            )
    paths.sort(key=_natural_order)
    if not paths:
        named = _ESCAPED.sub(r"\1", pattern.removesuffix(f"/{DATA_FILES}"))
        raise DatasetError(
            f"Data must exist. Received: {named}. Check the path; a folder or a glob must hold {' or '.join(SUFFIXES)}."
        )
    if not is_remote(pattern):
        for path in paths:
            _check_file(path)
    _check_once(paths)
    return paths


def is_gzipped(path: str) -> bool:
    """Whether a file's name says that its content is gzipped."""
    return path.lower().endswith(".gz")


def stem(path: str) -> str:
    """A path without .csv, .csv.gz or .gz.

    >>> stem("day-1/HIGGS.CSV.gz")
    'day-1/HIGGS'
    """
    path = path[: -len(".gz")] if is_gzipped(path) else path
    return path[: -len(".csv")] if path.lower().endswith(".csv") else path


def is_remote(path: str) -> bool:
    """Whether a path names another file system than this machine's."""
    return "://" in path


def _is_hidden(path: str, pattern: str) -> bool:
    """Whether a glob found a name that its own part does not begin like."""
    parts = zip(path.split("/"), pattern.split("/"), strict=False)
    return any(part.startswith(HIDDEN) and not given.startswith(part[0]) for part, given in parts)


def _natural_order(path: str) -> tuple:
    """Sorts part-2 before part-10, folder by folder; the path itself decides where all numbers are equal."""
    parts = [_NUMBER.split(part) for part in path.split("/")]
    return [[int(text) if text.isdecimal() else text for text in part] for part in parts], path


def _check_file(path: str) -> None:
    if os.path.isfile(path):
        if not os.access(path, os.R_OK):
            raise DatasetError(f"Data must be readable. Received: {path}. Change its permissions.")
        return
    if os.path.isdir(path):
        fault = "a folder. Name that, or leave it out"
    elif os.path.exists(path):
        fault = "a pipe or a device. Write its rows to a file and name that"
    else:
        fault = "a link to nothing. Mend the link, or remove it"
    raise DatasetError(f"Data must be files. Received: {path}, {fault}.")


def _check_once(paths: list[str]) -> None:
    """Refuses a file beside its compressed or linked self, whose rows would be on several sides of a split."""
    seen: dict[str, str] = {}
    for path in paths:
        for name in {stem(path), path if is_remote(path) else os.path.realpath(path)}:
            other = seen.setdefault(name, path)
            if other != path:
                raise DatasetError(f"Data must hold a file once. Received: {other} and {path}. Remove one of them.")


def _match_remote(pattern: str) -> list[str]:
    # Beam takes seconds to import, and files of this machine do not need it.
    from apache_beam.io.filesystems import FileSystems

    try:
        _check_credentials(pattern)
        [matches] = FileSystems.match([pattern])
    except Exception as error:
        raise DatasetError(
            f"Data must be on this machine or where Beam can read it, as gs://. Received: {pattern}: {_reason(error)}. "
            "Copy it to this machine."
        ) from error
    return [metadata.path for metadata in matches.metadata_list]


def _check_credentials(pattern: str) -> None:
    """Refuses S3 without credentials at once; Beam takes that for a server's fault and tries again for minutes."""
    if pattern.startswith("s3://"):
        with contextlib.suppress(ImportError):  # of which Beam says at once what it needs
            from boto3.session import Session

            if Session().get_credentials() is None:
                raise PermissionError("there are no credentials for S3")


def _reason(error: Exception) -> str:
    """The first line of what lies behind Beam's errors, which hold each other."""
    while details := getattr(error, "exception_details", None):
        error = next(iter(details.values()))
    return str(error).partition("\n")[0].partition(", please")[0].rstrip(".")
