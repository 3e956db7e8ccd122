"""`higgs run` by TFX's own command.

    HIGGS_DATA=HIGGS.csv.gz tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    HIGGS_DATA=HIGGS.csv.gz tfx run create --engine=local --pipeline_name=higgs

TFX's command passes no settings on, so they come from the environment: HIGGS_DATA, and HIGGS_SET with any
`key=value` texts of `higgs run --set`, divided by spaces.
"""

import os
import runpy
import sys
from collections.abc import Mapping

from events.errors import ConfigError
from pipeline.exits import reported


def arguments(environment: Mapping[str, str]) -> list[str]:
    """The arguments of `higgs run` that an environment stands for.

    Raises:
      ConfigError: it names no rows.
    """
    data = environment.get("HIGGS_DATA")
    if not data:
        raise ConfigError("A run needs rows. Received: no HIGGS_DATA. Name a file, a folder or a glob in HIGGS_DATA.")
    settings = (f"--set={setting}" for setting in environment.get("HIGGS_SET", "").split())
    return [f"--data={data}", *settings]


if __name__ == "__main__":
    with reported():
        given = arguments(os.environ)
    # In this process, whose runner TFX's command has replaced by one of its own.
    sys.argv = ["higgs", "run", *given]
    runpy.run_module("cli.main", run_name="__main__")
