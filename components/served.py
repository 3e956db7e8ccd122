"""What is served, as the serving folder's models.config says. Imports nothing heavy."""

import dataclasses
import os
import re

CONFIG_FILE = "models.config"  # beside the models' folders


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a served model.

    Attributes:
      number: of the version; later ones have higher numbers.
      folder: of its SavedModel.
    """

    number: int
    folder: str


def stable_version(base_path: str) -> Version | None:
    """The version that answers requests, of the model whose versions are pushed below `base_path`.

    Returns:
      The version; None if no model was pushed there yet.
    """
    try:
        with open(os.path.join(os.path.dirname(base_path), CONFIG_FILE), encoding="utf-8") as file:
            entries = file.read().split("config {")
    except FileNotFoundError:
        return None
    name = os.path.basename(base_path)
    entry = next((entry for entry in entries if f'name: "{name}"' in entry), "")
    found = re.search(r'key: "stable"\s+value: (\d+)', entry)
    return Version(int(found[1]), os.path.join(base_path, found[1])) if found else None
