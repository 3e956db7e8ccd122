"""What comes from the cache and what is made anew: ExampleGen, run by TFX itself with its metadata."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import make_rows, read_rows, to_csv
from tfx.orchestration.pipeline import RunOptions

from events import ingestion
from events.errors import ConfigError, IngestionError
from events.ingestion import read_summary
from events.shards import INDEX, DamageError, list_shards
from pipeline.config import Config
from pipeline.data import with_data
from pipeline.execution import Runner
from pipeline.graph import create_data_pipeline
from pipeline.lineage import Execution, read_run
from pipeline.runners import beam_options
from report.provenance import is_unchanged

N_ROWS = 200  # of each file


@pytest.fixture
def data(tmp_path):
    """A folder of two files of equal size and times."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(("a.csv", "b.csv")):
        write(folder / name, seed)
    return folder


def write(path: Path, seed: int, n_rows: int = N_ROWS) -> None:
    path.write_text(to_csv(make_rows(n_rows, seed)))
    os.utime(path, ns=(0, 0))


def ingest(data: Path, output: Path | None = None) -> Execution:
    """Runs ExampleGen on a folder; what ML Metadata, below `output`, knows of it."""
    artifacts = data.parent / "runs" / "artifacts"
    output = output or artifacts.parent
    output.mkdir(exist_ok=True)
    config = Config(output=str(output), artifacts=str(artifacts), beam_args=beam_options("direct", ()))
    config = with_data(config, str(data))
    runner = Runner(config)
    runner.run(create_data_pipeline(config), run_options=RunOptions(to_nodes=["HiggsExampleGen"]))
    [execution] = read_run(config, runner.name)
    return execution


def rows_of(execution: Execution) -> np.ndarray:
    """float32 [n, 29] of all splits, sorted."""
    uri = execution.outputs["examples"].uri
    rows = np.concatenate([read_rows(f"{uri}/Split-{split}") for split in ("train", "val", "eval")])
    return rows[np.lexsort(rows.T)]


def expect(execution: Execution, *seeds: int) -> None:
    expected = np.concatenate([make_rows(N_ROWS, seed) for seed in seeds])
    assert np.array_equal(rows_of(execution), expected[np.lexsort(expected.T)])


def touch(data):
    os.utime(data / "a.csv")


def copy(data):
    shutil.copy2(data / "a.csv", data / "new")
    os.replace(data / "new", data / "a.csv")


@pytest.mark.parametrize("change", [lambda data: None, touch, copy])
def test_the_same_rows_come_from_the_cache(data, change):
    first = ingest(data)
    change(data)
    second = ingest(data)
    assert (first.cached, second.cached) == (False, True)
    assert second.outputs["examples"].uri == first.outputs["examples"].uri


def replace(data):
    write(data / "b.csv", 2)


def swap(data):
    os.rename(data / "a.csv", data / "c")
    os.rename(data / "b.csv", data / "a.csv")
    os.rename(data / "c", data / "b.csv")


def rename(data):
    os.rename(data / "a.csv", data / "c.csv")


@pytest.mark.parametrize(("change", "seeds"), [(replace, (0, 2)), (swap, (1, 0)), (rename, (1, 0))])
def test_other_rows_of_the_same_size_and_time_are_ingested_and_said(data, change, seeds):
    first = ingest(data)
    files = [str(path) for path in sorted(data.iterdir())]
    recorded = first.parameters["input_fingerprint"]
    assert is_unchanged(files, recorded) is True
    change(data)
    assert [path.stat().st_mtime_ns for path in data.iterdir()] == [0, 0]
    # A file that is gone under its name is not said to be changed; a changed one is.
    assert is_unchanged(files, recorded) is (None if change is rename else False)
    second = ingest(data)
    assert not second.cached
    expect(second, *seeds)
    assert second.parameters["input_fingerprint"] != recorded
    assert ingest(data).cached


def test_data_that_change_while_they_are_read_are_refused_and_not_cached(data, monkeypatch):
    check = ingestion.read_blocks

    def change_and_read(path, *others):
        write(data / "b.csv", 3)
        return check(path, *others)

    monkeypatch.setattr(ingestion, "read_blocks", change_and_read)
    with pytest.raises(IngestionError, match="Data must not change while they are read"):
        ingest(data)
    monkeypatch.undo()
    execution = ingest(data)
    assert not execution.cached
    expect(execution, 0, 3)


def test_lost_metadata_mix_no_rows(data):
    first = ingest(data)
    (data / "b.csv").unlink()
    (data.parent / "runs" / "metadata.sqlite").unlink()
    second = ingest(data)
    assert not second.cached
    expect(second, 0)
    assert second.id > first.id
    expect(first, 0, 1)  # for whoever has a copy of the metadata


def test_metadata_of_an_earlier_time_mix_no_rows(data):
    first = ingest(data)
    store = data.parent / "runs" / "metadata.sqlite"
    shutil.copy(store, data.parent / "backup")
    replace(data)
    expect(ingest(data), 0, 2)
    shutil.copy(data.parent / "backup", store)
    write(data / "b.csv", 3)
    third = ingest(data)
    assert third.id == first.id + 2
    expect(third, 0, 3)


def test_two_stores_share_an_artifacts_folder_and_neither_takes_the_rows_of_the_other(data):
    first = ingest(data)
    replace(data)
    other = ingest(data, data.parent / "other")
    assert not other.cached
    expect(other, 0, 2)
    write(data / "b.csv", 1)
    again = ingest(data)
    assert again.cached
    assert again.outputs["examples"].uri == first.outputs["examples"].uri
    expect(again, 0, 1)


@pytest.mark.parametrize("lost", [INDEX, "summary-00001.json", "Split-train/examples-00000-00000.tfrecord"])
def test_damaged_examples_are_said_and_made_anew_as_the_line_says(data, lost):
    first = ingest(data)
    uri = Path(first.outputs["examples"].uri)
    counts = {split: sum(classes.values()) for split, classes in read_summary(str(uri))["splits"].items()}
    assert sum(counts.values()) == 2 * N_ROWS
    (uri / lost).write_bytes((uri / lost).read_bytes()[:-10])
    with pytest.raises(DamageError, match=f"Delete the folder of the examples, {uri}, and run again") as raised:
        read_summary(str(uri))
        list_shards([f"{uri}/Split-train/*"])
    assert f"in {uri / lost}." in str(raised.value)
    shutil.rmtree(uri)
    second = ingest(data)
    assert not second.cached
    assert second.outputs["examples"].uri != str(uri)
    expect(second, 0, 1)


def test_lost_summary_is_said_instead_of_fewer_rows(data):
    uri = Path(ingest(data).outputs["examples"].uri)
    (uri / "summary-00001.json").unlink()
    with pytest.raises(DamageError, match="other shards in index and summaries"):
        read_summary(str(uri))


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_damaged_metadata_are_one_line(data, content):
    ingest(data)
    store = data.parent / "runs" / "metadata.sqlite"
    store.write_bytes(store.read_bytes()[:50_000] if content is None else content)
    expected = f"ML Metadata must be readable. Received: {store}: .*database.*. Restore it"
    with pytest.raises(ConfigError, match=expected) as raised:
        ingest(data)
    assert "\n" not in str(raised.value)
