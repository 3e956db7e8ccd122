"""The rows of a run: which files, and whether they are real or simulated."""

import dataclasses
import os

import events.higgs.simulate
from events import listing
from events.errors import ConfigError
from events.provenance import is_simulated
from pipeline.config import Config
from pipeline.workspace import Workspace


def with_data(config: Config, path: str) -> Config:
    """The configuration with the rows at `path`, after a look at whether they are there and where they come from."""
    files = data_files(path)
    origin = "simulated" if any(map(is_simulated, files)) else "real"
    path = listing.absolute(path)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, path=path, origin=origin))


def with_simulation(config: Config, n_rows: int) -> Config:
    """The configuration with simulated rows, which are made below the output folder unless they are there already."""
    path = os.path.join(Workspace(config).data, f"simulated-{n_rows}-0.csv")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        events.higgs.simulate.write_csv(path, n_rows, seed=0)
    return with_data(config, path)


def split_pattern(path: str) -> tuple[str, str]:
    """Splits a data path into a folder and a glob below it, as TFX's ExampleGen wants them."""
    return listing.split_pattern(listing.to_pattern(path))


def data_files(path: str) -> list[str]:
    """The files that a data path names, of all spans where TFX is to choose the newest.

    Raises:
      ConfigError: no path is given.
      DatasetError: there are no such files, or they are no data.
    """
    if not path:
        raise ConfigError("A run needs rows. Received: none. Name a file with --data, or make some with --simulate.")
    return listing.match_files(listing.any_span(listing.to_pattern(path)))
