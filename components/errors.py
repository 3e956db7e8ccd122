"""What can be wrong with the input of a component: one line with the rule, what was received and the remedy."""

import contextlib
import re
from collections.abc import Iterator


class IngestionError(ValueError):
    """The data cannot be used."""


class AnomalyError(ValueError):
    """The statistics of the data break the schema."""


class MissingBaselineError(ValueError):
    """There is nothing to judge the candidate by."""


class UnservableModelError(ValueError):
    """The exported model does not answer requests as it must."""


class VersionsError(ValueError):
    """The served versions cannot be read, or not be changed as asked."""


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
