"""Examples as Arrow record batches of many thousand rows.

TFX's stages read examples through `tfx_bsl`, one record at a time in Python and decoded at 50,000 rows/s. TensorFlow
reads and parses blocks of them at many times that rate, in a thread of its own; and examples that our ExampleGen
encoded are decoded without a parser, faster again.
"""

import contextlib
import dataclasses
from collections.abc import Generator, Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder
from tfx_bsl.tfxio import tf_example_record

from events.errors import IngestionError
from events.records import RecordCodec
from events.shards import describe, list_shards, open_shards
from events.threads import in_threads

BLOCK_ROWS = 32_768  # larger blocks are hardly faster and hold more memory, 1.5 kB per row


class ExampleBlocks(tf_example_record.TFExampleRecord):
    """See `TFExampleRecord`: the same rows and columns, in larger batches."""

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:
        """Reads the files, each in one go.

        Raises:
          IngestionError: there are no examples.
        """
        return ReadBlocks({"": self._file_pattern}, self._GetSchemaForDecoding(), batch_size) | beam.Values()

    def _ProjectImpl(self, tensor_names: list[str]) -> "ExampleBlocks":
        projected = super()._ProjectImpl(tensor_names)
        return ExampleBlocks(
            self._file_pattern, schema=projected._schema, telemetry_descriptors=self.telemetry_descriptors
        )


class ReadBlocks(beam.PTransform):
    """From a Beam pipeline to pairs of a split and a record batch of it."""

    def __init__(
        self,
        patterns: dict[str, list[str]],
        schema: schema_pb2.Schema | None = None,
        n_rows: int | None = None,
    ):
        """Looks for the files.

        Args:
          patterns: split to globs of TFRecord files of tf.Example, gzipped if they end in .gz.
          schema: the features to read; all there are if None.
          n_rows: of a batch, at most; BLOCK_ROWS if None.

        Raises:
          DamageError: a file is not there as ingestion wrote it.
          IngestionError: a split has no examples, or a file is no file of them.
        """
        super().__init__()
        self._shards = []
        for split, globs in patterns.items():
            files = list_shards(globs)
            if not any(_first_record(file) for file in files):
                received = f"none in {', '.join(globs)}"
                raise IngestionError(
                    f"A split must hold examples. Received: {received}. Delete that folder and run again."
                )
            self._shards += [(split, file) for file in files]
        self._decode = DecodeShard(schema, n_rows or BLOCK_ROWS)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[tuple[str, pa.RecordBatch]]:
        return pipeline | beam.Create(self._shards) | beam.ParDo(self._decode)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the examples of a file are made, as far as it takes to parse them at once.

    Attributes:
      dtypes: name to type of the features, each of which every example has one value of.
      n_bytes: the size of an example of these features only; None if others do not matter.
    """

    dtypes: dict[str, tf.DType]
    n_bytes: int | None = None

    @classmethod
    def of_schema(cls, schema: schema_pb2.Schema) -> "Layout | None":
        """The layout that a schema prescribes; None if it is more than one number per feature."""
        kinds = {schema_pb2.FLOAT: tf.float32, schema_pb2.INT: tf.int64}
        if any(feature.type not in kinds for feature in schema.feature):
            return None
        return cls({feature.name: kinds[feature.type] for feature in schema.feature})

    @classmethod
    def of_record(cls, record: bytes) -> "Layout | None":
        """The layout of an example; None if it is more than one number per feature."""
        kinds = {"float_list": tf.float32, "int64_list": tf.int64}
        dtypes = {}
        for name, feature in sorted(tf.train.Example.FromString(record).features.feature.items()):
            kind = feature.WhichOneof("kind")
            if kind not in kinds or len(getattr(feature, kind).value) != 1:
                return None
            dtypes[name] = kinds[kind]
        return cls(dtypes, len(record))

    @property
    def codec(self) -> RecordCodec | None:
        """The codec of records of these features alone; None unless they are a label and floats."""
        labels = [name for name, dtype in self.dtypes.items() if dtype == tf.int64]
        if len(labels) != 1:
            return None
        return RecordCodec((*labels, *(name for name in self.dtypes if name not in labels)))

    def parse(self, records: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Parses string [n] of examples.

        Returns:
          Whether all of them are of this layout, bool [], and, if they are, the values of each feature, [n].
        """
        spec = {name: tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64) for name, dtype in self.dtypes.items()}
        parsed = tf.io.parse_example(records, spec)
        columns = [parsed[name] for name in self.dtypes]
        one_each = tf.range(tf.size(records, tf.int64) + 1)
        fits = [tf.reduce_all(column.row_splits == one_each) for column in columns]
        if self.n_bytes is not None:
            # With one value of each feature an example of this size has no room for another feature.
            fits.append(tf.reduce_all(tf.strings.length(records) == self.n_bytes))
        return tf.reduce_all(fits), tuple(column.values for column in columns)

    def to_record_batch(self, columns: Iterable[np.ndarray]) -> pa.RecordBatch:
        """Puts each row's value of each feature, [n], into a list of its own, as tfx-bsl has it."""
        typed = [
            values.astype(dtype.as_numpy_dtype, copy=False)
            for values, dtype in zip(columns, self.dtypes.values(), strict=True)
        ]
        splits = pa.array(np.arange(len(typed[0]) + 1))
        arrays = [pa.LargeListArray.from_arrays(splits, pa.array(values)) for values in typed]
        return pa.RecordBatch.from_arrays(arrays, list(self.dtypes))


class DecodeShard(beam.DoFn):
    """Reads a file of examples, gzipped if its name ends in .gz, as record batches.

    Blocks that hold more or less than one value per feature go to tfx-bsl's decoder, so that missing values, and
    without a schema unknown features, are seen as TFX sees them.
    """

    def __init__(self, schema: schema_pb2.Schema | None, n_rows: int):
        """Reads the features of a schema, or all there are, in batches of `n_rows`."""
        self._schema, self._n_rows = schema, n_rows

    def process(self, shard: tuple[str, str]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yields the batches of a file in order, each with the name of its split.

        Args:
          shard: the split and the path of the file.

        Raises:
          IngestionError: the file is damaged or no file of examples.
        """
        split, path = shard
        with _damage_reported(path):
            for batch in self._batches(path):
                yield split, batch

    def _batches(self, path: str) -> Iterator[pa.RecordBatch]:
        first = _first_record(path)
        if first is None:
            return
        of_file = Layout.of_record(first)
        layout = Layout.of_schema(self._schema) if self._schema else of_file
        codec = of_file.codec if of_file and not path.endswith(".gz") else None
        n_rows, is_whole = 0, False
        if of_file and codec and layout and layout.dtypes.items() <= of_file.dtypes.items():
            n_rows, is_whole = yield from self._decoded(path, codec, layout)
        if not is_whole:
            yield from self._parsed(open_shards([path]).skip(n_rows), layout)

    def _decoded(
        self, path: str, codec: RecordCodec, layout: Layout
    ) -> Generator[pa.RecordBatch, None, tuple[int, bool]]:
        """Yields batches as long as no parser is needed; returns how many rows these hold and whether that is all."""
        n_rows = 0
        chosen = [codec.columns.index(name) for name in layout.dtypes]
        # One thread, since what takes the batches works as well.
        blocks = _blocks(path, self._n_rows * codec.record_bytes)
        for values in in_threads(codec.decode, blocks, n_threads=1, n_ahead=2):
            if values is None:
                return n_rows, False
            yield layout.to_record_batch(values[chosen])
            n_rows += values.shape[1]
        return n_rows, True

    def _parsed(self, records: tf.data.Dataset, layout: Layout | None) -> Iterator[pa.RecordBatch]:
        serialized = self._schema.SerializeToString() if self._schema else None
        decoder = example_coder.ExamplesToRecordBatchDecoder(serialized)
        blocks = records.batch(self._n_rows)
        if layout is None:
            yield from (decoder.DecodeBatch(block) for block in blocks.as_numpy_iterator())
            return

        @tf.autograph.experimental.do_not_convert
        def parse(records):
            return records, *layout.parse(records)

        for records, fits, columns in blocks.map(parse).prefetch(1):
            if fits:
                yield layout.to_record_batch([column.numpy() for column in columns])
            else:
                yield decoder.DecodeBatch(records.numpy())


def _blocks(path: str, n_bytes: int) -> Iterator[bytes]:
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(n_bytes):
            yield block


def _first_record(path: str) -> bytes | None:
    with _damage_reported(path):
        return next(open_shards([path]).take(1).as_numpy_iterator(), None)


@contextlib.contextmanager
def _damage_reported(path: str) -> Iterator[None]:
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, DecodeError) as error:
        raise IngestionError(describe(error, path)) from None  # by this name it is known behind Beam
