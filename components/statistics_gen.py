"""HiggsStatisticsGen: TFX's StatisticsGen, with all splits in one small Beam graph and examples read in blocks.

The stock executor reads one record at a time, and lays out some 20 stages of Beam per split, which take longer than the
statistics of 100,000 rows. The statistics are TFDV's, by its own generators.
"""

import os
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import component, executor
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils, json_utils

from events.errors import ingestion_errors
from events.example_blocks import ReadBlocks
from events.seals import seal


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes one file of statistics per split."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
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
                | beam.MapTuple(lambda split, found: _write(paths[split], found))
            )
        seal(statistics.uri)


class _Spec(standard_component_specs.StatisticsGenSpec):
    PARAMETERS = {  # noqa: RUF012 - TFX's own form
        **standard_component_specs.StatisticsGenSpec.PARAMETERS,
        "code": component_spec.ExecutionParameter(type=str),
    }


class HiggsStatisticsGen(component.StatisticsGen):
    """See `tfx.components.StatisticsGen`: the same artifact, of all splits, with TFDV's default options."""

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: BaseChannel, code: str = ""):
        """Constructs the component.

        Args:
          examples: the examples.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        spec = _Spec(
            examples=examples,
            exclude_splits=json_utils.dumps([]),
            code=code,
            statistics=types.Channel(type=standard_artifacts.ExampleStatistics),
        )
        super(component.StatisticsGen, self).__init__(spec=spec)


class Statistics(beam.CombineFn):
    """Record batches to TFDV's statistics of them all."""

    def __init__(self, options: StatsOptions):
        self._generators = stats_impl.get_generators(options, in_memory=True)

    def setup(self):
        for generator in self._generators:
            generator.setup()

    def create_accumulator(self) -> list:
        return [generator.create_accumulator() for generator in self._generators]

    def add_input(self, accumulator: list, batch: pa.RecordBatch) -> list:
        return [generator.add_input(part, batch) for generator, part in self._with(accumulator)]

    def merge_accumulators(self, accumulators: list[list]) -> list:
        parts = zip(*accumulators, strict=True)
        return [generator.merge_accumulators(part) for generator, part in self._with(parts)]

    def compact(self, accumulator: list) -> list:
        return [generator.compact(part) for generator, part in self._with(accumulator)]

    def extract_output(self, accumulator: list) -> statistics_pb2.DatasetFeatureStatisticsList:
        return stats_impl.extract_statistics_output(accumulator, self._generators)

    def _with(self, parts):
        return zip(self._generators, parts, strict=True)


def _write(path: str, statistics: statistics_pb2.DatasetFeatureStatisticsList) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "wb") as file:
        file.write(statistics.SerializeToString())
