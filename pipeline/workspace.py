"""Where a run writes, and one run at a time."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator

from events.errors import ConfigError
from events.files import UNFINISHED, remove_unfinished
from events.listing import absolute, is_remote
from pipeline.config import Config

GLOB = re.compile(r"[*?[\\]")  # TensorFlow looks for the weights of a SavedModel by a pattern, and cannot escape it


class Workspace:
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

    def remove_unfinished(self) -> None:
        """Removes what commands that were killed left below the output folder, other than artifacts."""
        for top in (self.data, self.results, self.studies, self.tuning):
            for folder, folders, files in os.walk(top):
                remove_unfinished(folder)
                if os.path.dirname(folder) == self.results and not folders and files == ["config.json"]:
                    shutil.rmtree(folder)  # the summary comes last

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the output folder; the lock dies with the process, however that ends.

        Raises:
          ConfigError: another run holds the lock, or the folder cannot be written, or is not on this machine, or has a
            name that TensorFlow cannot find models by.
        """
        for option, folder in (("--output", self.output), ("--artifacts", self.artifacts)):
            if GLOB.search(folder):
                raise ConfigError(
                    f"No * ? [ or \\ is in the path of models, for TensorFlow would not find them. Received: {folder}. "
                    f"Name another folder with {option}."
                )
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


def check_writable(folder: str) -> None:
    """Raises ConfigError unless a folder, on whichever file system, can be made and written to."""
    import tensorflow as tf

    probe = os.path.join(folder, f".probe{UNFINISHED}")
    try:
        tf.io.gfile.makedirs(folder)
        with tf.io.gfile.GFile(probe, "w") as file:
            file.write("")
        tf.io.gfile.remove(probe)
    except tf.errors.OpError as error:
        words = " ".join(error.message.split()).rstrip(".")
        raise ConfigError(
            f"Artifacts are kept where TensorFlow can write. Received: {folder}: {words}. Name another folder, "
            "of this machine or on gs://, with --artifacts."
        ) from None
