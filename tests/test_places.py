import subprocess
import sys

import pytest

from datasets import DatasetError
from pipeline.config import Config
from pipeline.data import data_files, split_pattern, with_data, with_simulation
from pipeline.errors import ConfigError
from pipeline.places import Places


def test_second_run_is_kept_out_and_told_who_is_inside(tmp_path):
    places = Places(Config(output=str(tmp_path / "runs")))
    code = f"""
from pipeline.config import Config; from pipeline.places import Places
with Places(Config(output={str(tmp_path / "runs")!r})).locked(): pass
"""
    with places.locked():
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "One run at a time writes to an output folder" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_output_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="must be writable"), Places(Config(output=str(tmp_path / "file"))).locked():
        pass


def test_file_folder_and_glob_become_a_folder_and_a_pattern(tmp_path):
    (tmp_path / "a[1].csv").write_text("")
    assert split_pattern(str(tmp_path)) == (str(tmp_path), "*.csv*")
    assert split_pattern(str(tmp_path / "a[1].csv")) == (str(tmp_path), "a[[]1].csv")
    assert split_pattern(str(tmp_path / "day-*" / "x.csv")) == (str(tmp_path), "day-*/x.csv")
    assert split_pattern("gs://bucket/day-{SPAN}/x.csv") == ("gs://bucket", "day-{SPAN}/x.csv")


def test_missing_data_is_refused(tmp_path):
    for path in ("", str(tmp_path / "none.csv"), str(tmp_path), str(tmp_path / "*.csv")):
        with pytest.raises((ConfigError, DatasetError), match="Received: "):
            data_files(path)


def test_data_are_listed_before_a_run_unless_tfx_has_to_fill_in_a_placeholder(tmp_path):
    (tmp_path / "day-1").mkdir()
    for name in ("part-10.csv", "part-9.csv", "._part-9.csv"):
        (tmp_path / "day-1" / name).write_text("")
    expected = [str(tmp_path / "day-1" / name) for name in ("part-9.csv", "part-10.csv")]
    assert data_files(f"file://{tmp_path}/day-1") == data_files(str(tmp_path / "day-[1]" / "*")) == expected
    assert data_files(str(tmp_path / "day-{SPAN}" / "*.csv")) == []
    assert with_data(Config(), f"file://{tmp_path}/day-1").data.path == str(tmp_path / "day-1")


def test_simulated_rows_are_made_once_and_called_simulated(tmp_path):
    config = with_simulation(Config(output=str(tmp_path)), 100)
    assert config.data.origin == "simulated"
    made = (tmp_path / "data" / "simulated-100-0.csv").stat()
    assert with_simulation(Config(output=str(tmp_path)), 100) == config
    assert (tmp_path / "data" / "simulated-100-0.csv").stat().st_mtime_ns == made.st_mtime_ns


def test_rows_of_a_file_without_any_mark_are_real(csv_file):
    assert with_data(Config(), str(csv_file)).data.origin == "real"
