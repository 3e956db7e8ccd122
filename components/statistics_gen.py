"""HiggsStatisticsGen: TFX's StatisticsGen, with all splits in one small Beam graph and examples read in blocks.

The stock executor reads one record at a time, and lays out some 20 stages of Beam per split, which take longer than the
statistics of 100,000 rows. The statistics are TFDV's, by its own generators.
"""

import os
from typing import Any

import apache_beam as beam
from tensorflow_data_validation import StatsOptions
from tfx import types
from tfx.components.statistics_gen import component, executor
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils, json_utils

from components.contracts import Artifacts, with_parameters
from components.statistics import Statistics, WriteStatistics
from events.errors import ingestion_errors
from events.example_blocks import ReadBlocks
from events.seals import seal


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes one file of statistics per split."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """See `HiggsStatisticsGen`.

        Raises:
          IngestionError: a split has no examples, or a file of them is damaged.
          DamageError: a file of examples is not there as it was written.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        [examples] = input_dict[standard_component_specs.EXAMPLES_KEY]
        [statistics] = output_dict[standard_component_specs.STATISTICS_KEY]
        statistics.split_names, statistics.span = examples.split_names, examples.span
        patterns, paths = {}, {}
        for split in artifact_utils.decode_split_names(examples.split_names):
            patterns[split] = [io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))]
            paths[split] = os.path.join(artifact_utils.get_split_uri([statistics], split), executor.DEFAULT_FILE_NAME)
        with ingestion_errors(), self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | ReadBlocks(patterns)
                | beam.CombinePerKey(Statistics(StatsOptions()))
                | beam.ParDo(WriteStatistics(paths))
            )
        seal(statistics.uri)


class HiggsStatisticsGen(component.StatisticsGen):
    """See `tfx.components.StatisticsGen`: the same artifact, of all splits, with TFDV's default options."""

    SPEC_CLASS = with_parameters(standard_component_specs.StatisticsGenSpec, code=str)
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: BaseChannel, code: str = ""):
        """Constructs the component.

        Args:
          examples: the examples.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        spec = self.SPEC_CLASS(
            examples=examples,
            exclude_splits=json_utils.dumps([]),
            code=code,
            statistics=types.Channel(type=standard_artifacts.ExampleStatistics),
        )
        super(component.StatisticsGen, self).__init__(spec=spec)
