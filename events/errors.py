"""Faults of the input. Each message is one line: the rule, what was received, the remedy."""

import contextlib
import difflib
import re
from collections.abc import Collection, Iterator


class InputError(ValueError):
    """The input is at fault, and not the code: the command line shows the message alone, and ends with exit code 2."""


class DatasetError(InputError):
    """A data set cannot be had as it was described."""


class IngestionError(InputError):
    """The data cannot be used."""


class AnomalyError(InputError):
    """The statistics of the data break the schema."""


class ModelError(InputError):
    """A model cannot be built or trained."""


class ChampionError(InputError):
    """The served model cannot be compared with."""


class MissingBaselineError(InputError):
    """There is no baseline to judge the candidate by."""


class UnservableModelError(InputError):
    """The exported model does not answer requests as it must."""


class VersionsError(InputError):
    """The served versions cannot be read, or cannot be changed in this way."""


class ServingError(InputError):
    """A served model cannot be queried, or its versions cannot be changed."""


class ConfigError(InputError):
    """A setting cannot be used."""


class KubeflowError(ConfigError):
    """Kubeflow is at fault, or the request to it."""


def did_you_mean(name: str, known: Collection[str], otherwise: str = "") -> str:
    """The remedy for an unknown name: the known one most like it, or, if none is, another remedy or all known ones."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else otherwise or f"Use one of {', '.join(known)}."


@contextlib.contextmanager
def ingestion_errors() -> Iterator[None]:
    """Around a Beam pipeline that reads data: what is the data's own fault leaves it as an IngestionError."""
    try:
        yield
    except Exception as error:
        raise _ingestion_error_within(error) or error from None


def _ingestion_error_within(error: BaseException) -> IngestionError | None:
    """The data's own fault behind what a Beam runner raised; runners hand on the text of a worker's traceback only."""
    name = IngestionError.__name__
    found = re.findall(rf"{name}: (.*?)(?: \[while running .*)?$", f"{type(error).__name__}: {error}", re.MULTILINE)
    if found:
        return IngestionError(found[-1])
    if "No space left on device" in str(error):
        return IngestionError("Examples need room on the disk. Received: no space left. Free some and run again.")
    return None
