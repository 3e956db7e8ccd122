"""What is served, and its history. Reads only, and imports nothing heavy.

    serving/models.config       what TF Serving is to load, and in its comments the history of it: one event a line
    serving/higgs/<version>/    the versions; a folder that has appeared is never renamed

History and configuration are one file, so a change is one rename, and neither can contradict the other. What
is stable, and all else, follows from the events: see `serving.history`.
"""

import dataclasses
import hashlib
import itertools
import json
import os

from events.errors import VersionsError
from serving.history import Event, Served, replay

CONFIG_FILE = "models.config"  # beside the models' folders
SERVER_ROOT = "/models"  # where the serving folder is mounted in TF Serving's container
HEADER = (
    "# Written by higgs, also the lines below that are comments to TF Serving: they are the history of what is served."
)
MARK = "#! "  # begins an event
EXTRA = "assets.extra"  # files beside a model, which TF Serving does not load


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a served model.

    Attributes:
      number: of the version; later ones have higher numbers.
      folder: of its SavedModel.
      digest: of what is in the folder, see `digest_model`; what the version is known by.
    """

    number: int
    folder: str
    digest: str = ""


def read_events(base_path: str) -> dict[str, list[Event]]:
    """The history of every model in the serving folder, by name.

    Args:
      base_path: of one of them, `.../serving/higgs`.

    Raises:
      VersionsError: there is a models.config that higgs did not write.
    """
    path = config_path(base_path)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    events: dict[str, list[Event]] = {}
    try:
        if lines[0] != HEADER:
            raise ValueError("another first line")
        for line in lines:
            if line.startswith(MARK):
                fields = json.loads(line.removeprefix(MARK))
                events.setdefault(fields.pop("model"), []).append(Event.from_fields(fields))
    except (LookupError, ValueError, TypeError) as error:
        received = str(error) if lines else "an empty file"
        raise VersionsError(
            f"{CONFIG_FILE} is written by higgs, with the history of what is served. Received: {path}: {received}. "
            "Restore it, or move the serving folder away: the next push begins a new one."
        ) from None
    return events


def render(events: dict[str, list[Event]]) -> str:
    """The text of models.config.

    Raises:
      VersionsError: two models would have one name for TF Serving.
    """
    names = sorted(name + suffix for name, history in events.items() for suffix in replay(history).lists)
    twice = next((name for name, other in itertools.pairwise(names) if name == other), None)
    if twice:
        raise VersionsError(f"No model is called as another's canary. Received: {twice}. Choose another --set name=.")
    lines = [HEADER, *(MARK + event.to_json(name) for name in sorted(events) for event in events[name])]
    entries = [
        _entry(name + suffix, name, versions)
        for name in sorted(events)
        for suffix, versions in replay(events[name]).lists.items()
    ]
    return "\n".join([*lines, "model_config_list {", *entries, "}", ""])


def _entry(name: str, folder: str, versions: tuple[int, ...]) -> str:
    listed = " ".join(f"versions: {version}" for version in versions)
    return (
        f"  config {{\n    name: {json.dumps(name)}\n    base_path: {json.dumps(f'{SERVER_ROOT}/{folder}')}\n"
        f'    model_platform: "tensorflow"\n    model_version_policy {{ specific {{ {listed} }} }}\n  }}'
    )


def read(base_path: str) -> Served:
    """The state of the model whose versions are pushed below `base_path`; raises as `read_events` does."""
    return replay(read_events(base_path).get(os.path.basename(base_path), []))


def find(base_path: str, served: Served, number: int) -> Version | None:
    """A version of a state, if it was ever pushed."""
    push = served.pushed.get(number)
    return Version(number, os.path.join(base_path, str(number)), push.digest) if push else None


def stable_version(base_path: str) -> Version | None:
    """The version that answers requests, of the model whose versions are pushed below `base_path`.

    Returns:
      The version; None if no model was pushed there yet.

    Raises:
      VersionsError: see `read_events`.
    """
    served = read(base_path)
    return find(base_path, served, served.stable)


def digest_model(folder: str) -> str:
    """The SHA-256 of a SavedModel's files and their names, without assets.extra: what a model is known by."""
    digest = hashlib.sha256()
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if directory != folder or name != EXTRA)
        for name in sorted(names):
            path = os.path.join(directory, name)
            digest.update(f"{os.path.relpath(path, folder)}\0{os.path.getsize(path)}\0".encode())
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def fingerprint(base_path: str) -> str:
    """A digest of what is served and of which folders there are: the same as long as neither changes."""
    events = read_events(base_path).get(os.path.basename(base_path), [])
    folders = sorted(os.listdir(base_path)) if os.path.isdir(base_path) else []
    return hashlib.sha256(repr((events, folders)).encode()).hexdigest()


def config_path(base_path: str) -> str:
    """The models.config of the serving folder that holds the model's."""
    return os.path.join(os.path.dirname(base_path), CONFIG_FILE)
