"""TensorBoard over many runs and studies, named as in "Overfit and underfit": sizes/tiny/2026-11-26T13-06-50."""

import contextlib
import io
import os
import re
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from events.errors import ConfigError
from pipeline.run_records import find_runs, find_studies, read_json
from report.texts import group

N_DATE = len("2026-11-26T13-06-50")


def find_logs(outputs: Iterable[str]) -> dict[str, str]:
    """The TensorBoard logs of all runs below output folders.

    A network has its group, its architecture and the date of the run that trained it; those that took it from the cache
    later do not show it again.

    Returns:
      Name to folder, in the order of names and dates, with numbers ordered as numbers.
    """
    trainings: dict[str, str] = {}  # folder to name; the oldest run first
    runs = sorted((run for output in outputs for run in find_runs(output)), key=lambda run: run.name)
    for run in runs:
        summary = read_json(run / "summary.json")
        for model, folder in summary["tensorboard"].items():
            network = summary["models"][model]
            if os.path.isdir(folder):
                name = f"{group(network['architecture'])}/{network['name']}/{run.name[:N_DATE]}"
                while name in trainings.values():
                    name += "'"
                trainings.setdefault(folder, name)
    return dict(sorted(((name, folder) for folder, name in trainings.items()), key=lambda pair: as_numbers(pair[0])))


def as_numbers(text: str) -> list:
    """What sorts a text by the numbers in it: l2=2 before l2=10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)", text)
    return [(float(part), part) if index % 2 else (0.0, part) for index, part in enumerate(parts)]


def find_histories(outputs: Iterable[str]) -> dict[str, dict[str, list[float]]]:
    """The curves of all studies below output folders: studies/name/network/seed to metric to value by epoch."""
    found = {}
    for folder in (folder for output in outputs for folder in find_studies(output)):
        for entry in read_json(folder / "study.json")["architectures"]:
            for number, training in enumerate(entry["trainings"]):
                found[f"studies/{folder.name}/{entry['name']}/{training.get('seed', number)}"] = training["history"]
    return dict(sorted(found.items(), key=lambda pair: as_numbers(pair[0])))


def check_found(outputs: Iterable[str], logs: dict, histories: dict) -> None:
    """Raises ConfigError if there is nothing to show."""
    if not logs and not histories:
        raise ConfigError(
            f"TensorBoard needs the logs of a run. Received: none below {', '.join(outputs)}. Start one with higgs run."
        )


def write_curves(folder: Path, history: dict[str, list[float]]) -> None:
    """Writes a study's curves as a run's are written, see `models.callbacks.TensorBoardLogger`."""
    from tensorboard.summary import Writer

    for split in ("train", "validation"):
        is_val = split == "validation"
        writer = Writer(str(folder / split))
        for name, values in history.items():
            if name.startswith("val_") == is_val:
                for epoch, value in enumerate(values):
                    writer.add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        writer.close()


def serve(logs: dict[str, str], histories: dict[str, dict], port: int | None, host: str | None, tell) -> None:
    """Serves logs until interrupted.

    Args:
      logs: name to folder.
      histories: name to curves, see `find_histories`.
      port: to listen on; 6006, or the next free one, if None.
      host: to listen on; localhost if None.
      tell: is called with the address.

    Raises:
      ConfigError: the port cannot be had.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # what TensorBoard says of its own dependencies
        from tensorboard import program

    with tempfile.TemporaryDirectory(prefix="higgs-tensorboard-") as links:
        for name, folder in logs.items():
            link = Path(links, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.abspath(folder), target_is_directory=True)
        for name, history in histories.items():
            with contextlib.redirect_stderr(io.StringIO()):
                write_curves(Path(links, name), history)
        board = program.TensorBoard()
        places = {"port": port, "host": host}
        options = [f"--{name}={value}" for name, value in places.items() if value is not None]
        board.configure(argv=["tensorboard", f"--logdir={links}", *options])
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                address = board.launch()
        except program.TensorBoardServerException as error:
            message = f"TensorBoard needs an address to listen on. Received: {error.msg}. Name another --port."
            raise ConfigError(message) from None
        tell(address)
        threading.Event().wait()
