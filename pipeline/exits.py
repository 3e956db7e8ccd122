"""How a command ends: its exit codes, and one line where the input is at fault."""

import contextlib
import sys
from collections.abc import Iterator

import click

BLESSED, BAD_INPUT, NOT_BLESSED, INTERRUPTED = 0, 2, 3, 130

NO_SPACE = ("No space left on device", "database or disk is full")  # as the system and as SQLite say it


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turns the faults of input into one line and exit code 2; a bug keeps its traceback, and Python's exit code 1."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted. The same command goes on with the stage where this run stopped.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if any(words in str(error) for words in NO_SPACE):
            message = "A run needs room on the disk. Received: no space left. Free some and run again."
        elif _is_bad_input(error):
            message = str(error)
        else:
            raise
        click.echo(f"Error: {message}", err=True)
        sys.exit(BAD_INPUT)


def _is_bad_input(error: Exception) -> bool:
    from components.errors import (
        AnomalyError,
        ChampionError,
        IngestionError,
        MissingBaselineError,
        UnservableModelError,
    )
    from datasets import DatasetError
    from models.errors import ModelError
    from pipeline.errors import ConfigError, ServingError

    of_components = (IngestionError, AnomalyError, ChampionError, MissingBaselineError, UnservableModelError)
    return isinstance(error, (*of_components, ConfigError, DatasetError, ModelError, ServingError))
