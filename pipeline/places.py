"""Where a run reads and writes."""

import contextlib
import fcntl
import glob
import os
from collections.abc import Iterator

from pipeline.config import Config
from pipeline.errors import ConfigError

DATA_FILES = "*.csv*"  # of a folder; ExampleGen drops what is neither .csv nor .csv.gz


class Places:
    """The folders and files below a configuration's output folder."""

    def __init__(self, config: Config):
        self.output = config.output if is_remote(config.output) else os.path.abspath(config.output)
        self.artifacts = os.path.join(self.output, "artifacts")
        self.data = os.path.join(self.output, "data")
        self.logs = os.path.join(self.output, "logs")
        self.metadata = os.path.join(self.output, "metadata.sqlite")
        self.results = os.path.join(self.output, "results")
        self.serving = os.path.join(self.output, "serving", config.name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the output folder; the lock dies with the process, however that ends.

        Raises:
          ConfigError: another run holds the lock, or the folder cannot be written.
        """
        try:
            os.makedirs(self.output, exist_ok=True)
            file = open(os.path.join(self.output, ".lock"), "a+")  # noqa: SIM115 - held until the end of the run
        except OSError as error:
            raise ConfigError(
                f"The output folder must be writable. Received: {self.output}: {error.strerror}. "
                "Name another with --output."
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ConfigError(
                    f"One run at a time writes to an output folder. Received: {self.output}, in use by process "
                    f"{file.read().strip() or 'unknown'}. Wait for it, or name another folder with --output."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def is_remote(path: str) -> bool:
    """Whether a path names another file system than this machine's."""
    return "://" in path


def split_pattern(path: str) -> tuple[str, str]:
    """Splits a data path into a folder and a glob below it, as TFX's ExampleGen wants them.

    >>> split_pattern("/data/day-*/HIGGS.csv.gz")
    ('/data', 'day-*/HIGGS.csv.gz')
    """
    if not is_remote(path):
        path = os.path.abspath(path)
        if os.path.isdir(path):
            return path, DATA_FILES
        if os.path.isfile(path):
            return os.path.dirname(path), glob.escape(os.path.basename(path))
    parts = path.split("/")
    n_plain = next((index for index, part in enumerate(parts[:-1]) if is_pattern(part)), len(parts) - 1)
    return "/".join(parts[:n_plain]), "/".join(parts[n_plain:])


def is_pattern(text: str) -> bool:
    """Whether a path holds a glob's or TFX's placeholders."""
    return glob.has_magic(text) or "{" in text


def data_files(path: str) -> list[str]:
    """The local files that a data path names.

    Raises:
      ConfigError: there is no such file, or an empty one.
    """
    if not path:
        raise ConfigError("A run needs rows. Received: none. Name a file with --data, or make some with --simulate.")
    if is_remote(path) or "{" in path:
        return []  # only the component that reads them can tell
    files = sorted(glob.glob(os.path.join(*split_pattern(path))))
    if not files:
        raise ConfigError(f"Data must exist. Received: {path}. Check the path; a folder must hold .csv or .csv.gz.")
    for file in files:
        if not os.access(file, os.R_OK):
            raise ConfigError(f"Data must be readable. Received: {file}. Change its permissions.")
    return files
