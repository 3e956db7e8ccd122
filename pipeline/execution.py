"""Runs a pipeline in this process."""

import dataclasses
from collections.abc import Callable

from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline

from pipeline.config import Config
from pipeline.graph import create_pipeline
from pipeline.lineage import metadata_faults
from pipeline.numbering import pass_over_used
from pipeline.runners import beam_options


class Runner(LocalDagRunner):
    """TFX's runner, whose stages write to unused folders only; `name` is the run's."""

    name = ""

    def __init__(self, config: Config):
        super().__init__()
        self._run_config = config

    def run_with_ir(self, pipeline, *arguments, **options):
        pass_over_used(self._run_config)
        result = super().run_with_ir(pipeline, *arguments, **options)
        self.name = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
        return result


def execute(config: Config, create: Callable[[Config], Pipeline] = create_pipeline) -> str:
    """Runs every stage; those whose inputs, settings and code are unchanged come from the cache.

    Args:
      config: the resolved configuration, whose output folder is this process's own.
      create: builds the pipeline of it.

    Returns:
      The run's name in ML Metadata; empty if TFX's command wanted the pipeline only, without a run.

    Raises:
      ConfigError: the metadata cannot be written to any more.
    """
    config = dataclasses.replace(config, beam_args=beam_options(config.runner, config.beam_args))
    runner = Runner(config)
    with metadata_faults(config):
        runner.run(create(config))
    return runner.name
