"""Where a run writes, and one run at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from pipeline.config import Config
from pipeline.errors import ConfigError


class Places:
    """The folders and files below a configuration's output folder."""

    def __init__(self, config: Config):
        self.output = absolute(config.output)
        self.artifacts = absolute(config.artifacts or os.path.join(self.output, "artifacts"))
        self.data = os.path.join(self.output, "data")
        self.logs = os.path.join(self.output, "logs")
        self.metadata = os.path.join(self.output, "metadata.sqlite")
        self.results = os.path.join(self.output, "results")
        self.tuning = os.path.join(self.output, "tuning")
        self.studies = os.path.join(self.output, "studies")
        self.serving = os.path.join(self.output, "serving", config.name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the output folder; the lock dies with the process, however that ends.

        Raises:
          ConfigError: another run holds the lock, or the folder cannot be written, or is not on this machine.
        """
        if is_remote(self.output):
            raise ConfigError(
                f"The output folder is on this machine, for lock, log and metadata. Received: {self.output}. "
                "Name another; artifacts may be elsewhere with --artifacts."
            )
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


def absolute(path: str) -> str:
    """The path from the root of its file system."""
    return path if is_remote(path) else os.path.abspath(path)


def is_remote(path: str) -> bool:
    """Whether a path names another file system than this machine's."""
    return "://" in path
