"""The rows of a run: which files, and whether they are real or simulated."""

import dataclasses
import glob
import os

import datasets.simulate
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.places import Places, is_remote

DATA_FILES = "*.csv*"  # of a folder; ExampleGen drops what is neither .csv nor .csv.gz


def with_data(config: Config, path: str) -> Config:
    """The configuration with the rows at `path`, after a look at whether they are there and where they come from."""
    files = data_files(path)
    origin = "simulated" if datasets.simulate.is_simulated(files) else "real"
    path = path if is_remote(path) else os.path.abspath(path)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, path=path, origin=origin))


def with_simulation(config: Config, n_rows: int, seed: int = 0) -> Config:
    """The configuration with simulated rows, which are made below the output folder unless they are there already."""
    path = os.path.join(Places(config).data, f"simulated-{n_rows}-{seed}.csv")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        datasets.simulate.write_csv(path, n_rows, seed)
    return with_data(config, path)


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
