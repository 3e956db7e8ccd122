"""What runs and studies wrote down, found again. Light to import: who only reads records waits for nothing."""

import dataclasses
import json
import os
from pathlib import Path

from events.errors import ConfigError
from events.files import read_arrays

SUMMARY, CONFIG = "summary.json", "config.json"  # a run's record; the summary comes last
PREDICTIONS = "predictions.npz"  # beside it: what both networks said of the rows of eval
MODELS = ("baseline", "candidate")  # as a record names the networks


def find_run(output: str, name: str | None = None) -> Path:
    """The results folder of a run below an output folder.

    Args:
      output: the output folder of `higgs run`.
      name: the run's, as its results folder or ML Metadata call it, or how that begins; the newest run if None.

    Raises:
      ConfigError: there is no such run, or there are several.
    """
    folders = find_runs(output)
    if not folders:
        raise ConfigError(
            f"A run must have ended. Received: none below {os.path.abspath(output)}. Start one with higgs run."
        )
    if name is None:
        return folders[-1]
    wanted = name.replace(":", "-").replace(" ", "T")
    found = [folder for folder in folders if folder.name.startswith(wanted)] if wanted else []
    exact = [folder for folder in found if folder.name == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    newest = ", ".join(folder.name for folder in (found or folders)[-3:])
    if found:
        raise ConfigError(f"A run is named by how only its name begins. Received: {name!r}. Some of these: {newest}.")
    raise ConfigError(f"There is no run of this name. Received: {name!r}. The newest below {output}: {newest}.")


def find_runs(output: str) -> list[Path]:
    """The results folders of all runs below an output folder, the newest last."""
    return sorted(path.parent for path in Path(output).glob("results/*/summary.json"))


def find_studies(output: str) -> list[Path]:
    """The folders of all studies below an output folder."""
    return sorted(path.parent for path in Path(output).glob("studies/*/study.json"))


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


def read_predictions(folder: Path) -> dict:
    """What a run's PREDICTIONS hold: `labels` int8 [n], `digest` of the rows, and by model probabilities float32 [n].

    Raises:
      ConfigError: they are missing, or damaged.
    """
    path = folder / PREDICTIONS
    try:
        kept = read_arrays(path)
        if missing := {"labels", "digest", *MODELS} - kept.keys():
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}")
        return kept
    except OSError as error:
        raise ConfigError(f"{path.name} must be readable. Received: {path}: {error.strerror}. Run again.") from None
    except ValueError as error:
        raise ConfigError(
            f"{path.name} must hold what both networks said of eval. Received: {error}. Run again."
        ) from None


def read_config(folder: Path, output: str, metadata: str | None = None):
    """The `Config` of a run.

    Args:
      folder: of its results.
      output: its output folder, which may have been moved.
      metadata: the URL of its database, for the record lacks passwords; as recorded if None.

    Raises:
      ConfigError: the record is damaged.
    """
    from pipeline.config import Config

    config = Config.from_json(json.dumps(read_json(folder / CONFIG)))
    return dataclasses.replace(config, output=output, metadata=metadata or config.metadata)


def read_study(folder: str) -> dict:
    """What a study wrote down.

    Raises:
      ConfigError: the folder holds no study, or one of an earlier version.
    """
    path = Path(folder, "study.json")
    if not path.is_file():
        raise ConfigError(f"A study's folder holds study.json. Received: {folder}, which does not. Name another.")
    study = read_json(path)
    if "correction" not in study:
        raise ConfigError(f"A report is of a study of this version. Received: {path}, an older one. Run it again.")
    return study


def as_text(value: object) -> str:
    """A setting's value as it is written after --set."""
    return value if isinstance(value, str) else json.dumps(value)


def flatten(tree: dict, prefix: str = "") -> dict:
    """Nested settings by dotted name."""
    found: dict = {}
    for name, value in tree.items():
        found |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
