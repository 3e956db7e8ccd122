"""Names that become folders and contexts in ML Metadata: of a pipeline and its model, of a study."""

import re

from events.errors import ConfigError

N_CHARACTERS = 50  # TFX takes 63 for a pipeline's name, and a study adds to it
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{N_CHARACTERS - 1}}}")


def check_name(name: str, option: str) -> None:
    """Raises ConfigError unless a name is one that every file system, ML Metadata and TF Serving takes.

    Args:
      name: as it was given.
      option: what gives it another value.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"A name has 1 to {N_CHARACTERS} letters, digits, - or _, of which the first is a letter or digit. "
            f"Received: {name!r}. Correct it with {option}."
        )
