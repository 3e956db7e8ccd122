"""Artifacts on a file system that is not this machine's: TensorFlow's in memory, which Beam is taught here."""

import dataclasses
import io
import os

import pytest
import tensorflow as tf
from apache_beam.io.filesystem import CompressedFile, CompressionTypes, FileMetadata, FileSystem
from test_replicas import arguments

from models.training import run_fn

ROOT = "ram://higgs/artifacts"


class Ram(FileSystem):
    """Beam's view of ram://; there is no open, copy or rename in it but TensorFlow's."""

    @classmethod
    def scheme(cls):
        return "ram"

    def join(self, base, *paths):
        return "/".join([base.rstrip("/"), *paths])

    def split(self, path):
        folder, _, name = path.rpartition("/")
        return folder, name

    def mkdirs(self, path):
        tf.io.gfile.makedirs(path)

    def has_dirs(self):
        return True

    def _list(self, dir_or_prefix):
        for folder, _, names in tf.io.gfile.walk(dir_or_prefix):
            yield from (self.metadata(self.join(folder, name)) for name in names)

    def create(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        return _compressed(_Written(path), path, compression_type)

    def open(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        with tf.io.gfile.GFile(path, "rb") as file:
            return _compressed(_Read(file.read()), path, compression_type)

    def copy(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.copy(source, destination, overwrite=True)

    def rename(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.rename(source, destination, overwrite=True)

    def exists(self, path):
        return tf.io.gfile.exists(path)

    def size(self, path):
        return tf.io.gfile.stat(path).length

    def last_updated(self, path):
        return 0.0

    def checksum(self, path):
        return str(self.size(path))

    def metadata(self, path):
        return FileMetadata(path, self.size(path))

    def delete(self, paths):
        for path in paths:
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


class _Read(io.BytesIO):
    mode = "rb"


class _Written(io.BytesIO):
    mode = "wb"

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def close(self):
        if not self.closed:
            with tf.io.gfile.GFile(self._path, "wb") as file:
                file.write(self.getvalue())
        super().close()


def _compressed(file, path: str, compression: str):
    if compression == CompressionTypes.AUTO:
        compression = CompressionTypes.detect_compression_type(path)
    return file if compression == CompressionTypes.UNCOMPRESSED else CompressedFile(file, compression)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> tuple[dict, str]:
    """Node to output key to folder, of a run whose artifacts are in memory, and its output folder."""
    from tfx.orchestration.pipeline import RunOptions

    from pipeline.config import Config, override
    from pipeline.data import with_simulation
    from pipeline.execution import Runner
    from pipeline.graph import create_pipeline
    from pipeline.lineage import read_run
    from pipeline.runners import beam_options

    folder = str(tmp_path_factory.mktemp("ram") / "runs")
    settings = [f"output={folder}", f"artifacts={ROOT}", "train.epochs=2", "train.architecture=tiny"]
    config = dataclasses.replace(override(Config(), settings), beam_args=beam_options("direct", ()))
    # Transform moves whole folders, for which TensorFlow's memory has no word; gs:// and hdfs:// have.
    until = RunOptions(to_nodes=["HiggsExampleValidator"])
    runner = Runner(config)
    runner.run(create_pipeline(with_simulation(config, 1000)), run_options=until)
    executions = read_run(config, runner.name)
    return {each.node: {key: artifact.uri for key, artifact in each.outputs.items()} for each in executions}, folder


def test_every_stage_writes_where_it_is_told(outputs):
    by_node, folder = outputs
    assert {"HiggsExampleGen", "StatisticsGen", "HiggsExampleValidator"} <= set(by_node)
    for uri in (uri for keys in by_node.values() for uri in keys.values()):
        assert uri.startswith(ROOT)
        assert any(names for _, _, names in tf.io.gfile.walk(uri)), uri
    assert sorted(os.listdir(folder)) == ["data", "metadata.sqlite"]


def test_what_was_written_is_read_again(outputs):
    from events.ingestion import read_summary
    from models.inputs import batches

    by_node, _ = outputs
    uri = by_node["HiggsExampleGen"]["examples"]
    for split, classes in read_summary(uri)["splits"].items():
        files = tf.io.gfile.glob(f"{uri}/Split-{split}/*")
        assert sum(classes.values()) == sum(len(records) for records in batches(files)) > 0


def test_model_and_logs_are_written_where_they_are_told(blessed_run):
    given = arguments(str(blessed_run.folder), "")
    run_fn(dataclasses.replace(given, serving_model_dir="ram://higgs/model", model_run_dir="ram://higgs/logs"))
    assert set(tf.saved_model.load("ram://higgs/model").signatures) >= {"serving_default", "serving_features"}
    assert tf.io.gfile.exists("ram://higgs/logs/history.json")


def test_nothing_was_written_beside_the_scheme(outputs):
    assert not os.path.exists("ram:")
