"""The command line in a process of its own, without the time that its imports take.

The process is a fork of one that has imported what runs do, and has computed nothing.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "cli.main",
        "keras.src.saving",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "pipeline.execution",
        "pipeline.summary",
        "report.lineage_tables",
        "report.run_page",
        "tensorflow_data_validation",
    ]
)


def higgs(*arguments: str) -> tuple[int, str]:
    """The exit code of a command, and all that reaches the terminal."""
    with tempfile.NamedTemporaryFile("r") as output:
        process = FORKS.Process(target=_run, args=([*map(str, arguments)], output.name, {**os.environ}))
        process.start()
        process.join()
        return process.exitcode, output.read()


def _run(arguments: list[str], output: str, environment: dict[str, str]) -> None:
    """Runs a command as `python -m cli.main` in the project's folder does."""
    from cli.main import main

    with open(output, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(Path(__file__).parent.parent)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["higgs", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()
