"""Runs the pipeline on this machine, for `higgs run` and for TFX's own command.

    HIGGS_DATA=HIGGS.csv.gz tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    HIGGS_DATA=HIGGS.csv.gz tfx run create --engine=local --pipeline_name=higgs

TFX's command passes no settings on, so they come from the environment: HIGGS_DATA, and HIGGS_SET with any
`key=value` texts of `higgs run --set`, divided by spaces.
"""

import dataclasses
import os
from collections.abc import Callable

from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline

from pipeline.config import Config, override
from pipeline.data import with_data
from pipeline.graph import create_pipeline
from pipeline.hyperparameters import with_hyperparameters
from pipeline.places import Places
from pipeline.runners import beam_options


def run(config: Config, create: Callable[[Config], Pipeline] = create_pipeline) -> None:
    """Runs every stage in this process; stages whose inputs, settings and code are unchanged come from the cache.

    Args:
      config: the resolved configuration.
      create: builds the pipeline of it.
    """
    os.makedirs(Places(config).output, exist_ok=True)
    config = dataclasses.replace(config, beam_args=beam_options(config.runner, config.beam_args))
    LocalDagRunner().run(create(config))


def from_environment() -> Config:
    """The configuration that HIGGS_DATA and HIGGS_SET describe."""
    config = override(Config(), os.environ.get("HIGGS_SET", "").split())
    return with_hyperparameters(with_data(config, os.environ.get("HIGGS_DATA", config.data.path)))


if __name__ == "__main__":
    run(from_environment())
