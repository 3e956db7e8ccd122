"""TFDV's statistics as Beam's workers make them: free of TFX, which takes a worker four seconds to import."""

import apache_beam as beam
import pyarrow as pa
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2

from events.whole_files import WholeFile


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


class WriteStatistics(beam.DoFn):
    """Writes the statistics of each split to a file."""

    def __init__(self, paths: dict[str, str]):
        """Takes the file of each split."""
        self._paths = paths

    def process(self, found: tuple[str, statistics_pb2.DatasetFeatureStatisticsList]) -> None:
        """Writes those of one split."""
        split, statistics = found
        file = WholeFile(self._paths[split])
        file.write(statistics.SerializeToString())
        file.close()
