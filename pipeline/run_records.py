"""What runs and studies wrote down, found again."""

import json
import os
from pathlib import Path

from pipeline.errors import ConfigError


def find_run(output: str, name: str | None = None) -> Path:
    """The results folder of a run below an output folder.

    Args:
      output: the output folder of `higgs run`.
      name: the run's, as its results folder or ML Metadata call it; the newest run if None.

    Raises:
      ConfigError: there is no such run.
    """
    folders = find_runs(output)
    if not folders:
        raise ConfigError(
            f"A run must have ended. Received: none below {os.path.abspath(output)}. Start one with higgs run."
        )
    if name is None:
        return folders[-1]
    by_name = {folder.name: folder for folder in folders}
    if name.replace(":", "-") not in by_name:
        newest = ", ".join(list(by_name)[-3:])
        raise ConfigError(f"There is no run of this name. Received: {name!r}. The newest below {output}: {newest}.")
    return by_name[name.replace(":", "-")]


def find_runs(output: str) -> list[Path]:
    """The results folders of all runs below an output folder, the newest last."""
    return sorted(path.parent for path in Path(output).glob("results/*/summary.json"))


def read_json(path: Path) -> dict:
    """The object that a file holds.

    Raises:
      ConfigError: the file is missing, or is no JSON.
    """
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError
        return found
    except OSError as error:
        raise ConfigError(f"{path.name} must be readable. Received: {path}: {error.strerror}. Run again.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path.name} must be a JSON object. Received: {path}, which is not. Run again.") from None


def read_study(folder: str) -> dict:
    """What a study wrote down.

    Raises:
      ConfigError: the folder holds no study.
    """
    path = Path(folder, "study.json")
    if not path.is_file():
        raise ConfigError(f"A study's folder holds study.json. Received: {folder}, which does not. Name another.")
    return read_json(path)
