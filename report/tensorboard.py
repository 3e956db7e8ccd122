"""TensorBoard over many runs, named as in "Overfit and underfit": sizes/tiny, regularizers/l2."""

import collections
import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.run_records import find_runs, read_json
from report.texts import group


def find_logs(outputs: Iterable[str]) -> dict[str, str]:
    """The TensorBoard logs of all runs below output folders.

    Where networks of one architecture were trained more than once, the newest is called `sizes/tiny`, the one before
    `sizes/tiny-2`, and so on; a network that several runs took from the cache is one.

    Returns:
      Name to folder.

    Raises:
      ConfigError: there are none.
    """
    outputs = list(outputs)
    trainings = {}  # folder to name; the newest run first
    runs = sorted((run for output in outputs for run in find_runs(output)), key=lambda run: run.name, reverse=True)
    for summary in (read_json(run / "summary.json") for run in runs):
        for model, folder in summary["tensorboard"].items():
            network = summary["models"][model]
            if os.path.isdir(folder):
                trainings.setdefault(folder, f"{group(network['architecture'])}/{network['name']}")
    if not trainings:
        raise ConfigError(
            f"TensorBoard needs the logs of a run. Received: none below {', '.join(outputs)}. Start one with higgs run."
        )
    logs, n_seen = {}, collections.Counter()
    for folder, name in trainings.items():
        n_seen[name] += 1
        logs[name if n_seen[name] == 1 else f"{name}-{n_seen[name]}"] = folder
    return dict(sorted(logs.items()))


def serve(logs: dict[str, str], port: int | None, host: str | None, tell) -> None:
    """Serves logs until interrupted.

    Args:
      logs: name to folder.
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
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(os.path.abspath(folder), target_is_directory=True)
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
