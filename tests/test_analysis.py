"""HiggsStatisticsGen and HiggsTransform against TFX's own components on the same examples."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from conftest import make_rows
from shards import examples_artifact, execute, write_plain_shard, write_shard
from tfx.components import StatisticsGen, Transform
from tfx.components.statistics_gen.executor import Executor as StockStatistics
from tfx.components.transform.executor import Executor as StockTransform
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel

from components.statistics_gen import Executor as OurStatistics
from components.statistics_gen import HiggsStatisticsGen
from components.transform import Executor as OurTransform
from components.transform import HiggsTransform
from events.errors import IngestionError
from events.higgs import SCHEMA
from events.higgs.columns import COLUMNS, FEATURES
from models.transform_graph import TransformGraph

PREPROCESSING = "models.preprocessing.preprocessing_fn"


@pytest.fixture
def examples(tmp_path):
    """Splits train, in two shards of which one is gzipped, and val, which has missing values."""
    rows = make_rows(900, seed=5)
    rows[800:820, 3] = np.nan
    write_plain_shard(tmp_path / "examples/Split-train/examples-00000-00000.tfrecord", rows[:500])
    write_shard(tmp_path / "examples/Split-train/examples-00000-00001.tfrecord.gz", rows[500:700])
    write_shard(tmp_path / "examples/Split-val/examples-00000-00000.tfrecord", rows[700:])
    return examples_artifact(tmp_path / "examples", "train", "val")


@pytest.fixture
def schema(tmp_path):
    artifact = standard_artifacts.Schema()
    artifact.uri = str(tmp_path / "schema")
    (tmp_path / "schema").mkdir()
    shutil.copy(SCHEMA, artifact.uri)
    return artifact


def by_feature(statistics, split):
    loaded = tfdv.load_stats_binary(str(Path(statistics.uri) / f"Split-{split}" / "FeatureStats.pb"))
    [dataset] = loaded.datasets
    return dataset, {feature.path.step[0]: feature for feature in dataset.features}


def test_statistics_are_those_of_the_stock_component(examples, tmp_path):
    channel = as_channel([examples])
    inputs = {"examples": examples}
    ours = execute(OurStatistics, HiggsStatisticsGen(channel), inputs, tmp_path / "ours")["statistics"]
    stock = execute(StockStatistics, StatisticsGen(examples=channel), inputs, tmp_path / "stock")["statistics"]
    assert ours.split_names == stock.split_names
    for split, n_missing in (("train", 0), ("val", 20)):
        our_set, our_features = by_feature(ours, split)
        stock_set, stock_features = by_feature(stock, split)
        assert our_set.num_examples == stock_set.num_examples
        assert our_set.name == stock_set.name
        assert set(our_features) == set(stock_features) == set(COLUMNS)
        assert our_features[COLUMNS[3]].num_stats.common_stats.num_missing == n_missing
        for name, found in our_features.items():
            assert_same(found, stock_features[name])


def assert_same(found, expected):
    assert found.type == expected.type
    common, expected_common = found.num_stats.common_stats, expected.num_stats.common_stats
    for field in ("num_missing", "num_non_missing", "min_num_values", "max_num_values", "tot_num_values"):
        assert getattr(common, field) == getattr(expected_common, field)
    for field in ("mean", "std_dev", "min", "max", "num_zeros"):
        assert getattr(found.num_stats, field) == pytest.approx(getattr(expected.num_stats, field), rel=1e-9)
    histograms, expected_histograms = found.num_stats.histograms, expected.num_stats.histograms
    assert [histogram.type for histogram in histograms] == [histogram.type for histogram in expected_histograms]
    for histogram, other in zip(histograms, expected_histograms, strict=True):
        assert len(histogram.buckets) == len(other.buckets)
        total, expected_total = (sum(b.sample_count for b in h.buckets) for h in (histogram, other))
        assert total == pytest.approx(expected_total, rel=1e-9)


def test_graph_normalises_as_that_of_the_stock_component(examples, schema, tmp_path):
    inputs = {"examples": examples, "schema": schema}
    channels = {key: as_channel([artifact]) for key, artifact in inputs.items()}
    component = HiggsTransform(**channels, preprocessing_fn=PREPROCESSING)
    assert set(component.outputs) == {"transform_graph"}
    ours = execute(OurTransform, component, inputs, tmp_path / "ours")["transform_graph"]
    stock_component = Transform(**channels, preprocessing_fn=PREPROCESSING, materialize=False, disable_statistics=True)
    stock = execute(StockTransform, stock_component, inputs, tmp_path / "stock")["transform_graph"]
    assert sorted(path.name for path in Path(ours.uri).iterdir()) == [
        "metadata",
        "seal.json",
        "transform_fn",
        "transformed_metadata",
    ]
    # val's rows have other means: a graph that was analysed over all splits would differ in the second digit.
    rows = make_rows(300, seed=9)
    raw = {name: tf.constant(column) for name, column in zip(COLUMNS, rows.T, strict=True)}
    found, expected = TransformGraph(ours.uri), TransformGraph(stock.uri)
    assert found.spec == expected.spec
    np.testing.assert_allclose(found(raw), expected(raw), rtol=1e-6, atol=1e-6)
    train = make_rows(900, seed=5)[:700, 1:]
    by_hand = (rows[:, 1:] - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(found(raw), by_hand, rtol=1e-4, atol=1e-4)
    assert found(raw).shape == (300, len(FEATURES))


@pytest.mark.parametrize("stage", ["statistics", "transform"])
def test_damaged_shard_stops_the_stage_with_one_line(examples, schema, tmp_path, stage):
    path = Path(examples.uri) / "Split-train/examples-00000-00000.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    channel = as_channel([examples])
    with pytest.raises(IngestionError, match=f"in {path}. Delete the folder") as raised:
        if stage == "statistics":
            execute(OurStatistics, HiggsStatisticsGen(channel), {"examples": examples}, tmp_path / "ours")
        else:
            component = HiggsTransform(channel, as_channel([schema]), PREPROCESSING)
            execute(OurTransform, component, {"examples": examples, "schema": schema}, tmp_path / "ours")
    assert "\n" not in str(raised.value)
