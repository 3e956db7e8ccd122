import subprocess
import sys

import pytest

from events.errors import ConfigError, DatasetError
from pipeline.config import Config
from pipeline.data import data_files, split_pattern, with_data, with_simulation
from pipeline.workspace import Workspace, check_writable


def test_second_run_is_kept_out_and_told_who_is_inside(tmp_path):
    workspace = Workspace(Config(output=str(tmp_path / "runs")))
    code = f"""
from pipeline.config import Config; from pipeline.workspace import Workspace
with Workspace(Config(output={str(tmp_path / "runs")!r})).locked(): pass
"""
    with workspace.locked():
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "One run at a time writes to an output folder" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["out[1]", "a*", "b?", "c\\d"])
def test_folder_that_tensorflow_takes_for_a_glob_is_refused_before_it_is_made(tmp_path, name):
    folder = str(tmp_path / name / "runs")
    for config in (Config(output=folder), Config(output=str(tmp_path / "runs"), artifacts=folder)):
        with pytest.raises(ConfigError, match=r"TensorFlow would not find them\. Received: ") as caught:
            Workspace(config).locked().__enter__()
        assert folder in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_url_of_a_local_folder_is_that_folder():
    workspace = Workspace(Config(output="file:///srv/my%20runs", artifacts="file://localhost/srv/artifacts"))
    assert (workspace.output, workspace.artifacts) == ("/srv/my runs", "/srv/artifacts")


@pytest.mark.parametrize("folder", ["s3://bucket/higgs", "http://host/higgs", "/proc/higgs"])
def test_artifacts_that_cannot_be_written_are_refused_in_one_line(folder):
    with pytest.raises(ConfigError, match=rf"kept where TensorFlow can write\. Received: {folder}: ") as caught:
        check_writable(folder)
    assert "\n" not in str(caught.value)


def test_artifacts_may_be_wherever_tensorflow_writes(tmp_path):
    for folder in (str(tmp_path / "new"), "ram://higgs/probed"):
        check_writable(folder)
    assert list((tmp_path / "new").iterdir()) == []


def test_what_killed_commands_left_is_removed_and_nothing_else(tmp_path):
    workspace = Workspace(Config(output=str(tmp_path)))
    for folder in ("data", "results/1", "studies/trainings", "tuning/imported/2"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".rows.csv.0a1b2c3d.unfinished").write_text("half")
        (tmp_path / folder / "rows.csv").write_text("whole")
    (tmp_path / "results" / "2").mkdir()
    (tmp_path / "results" / "2" / "config.json").write_text("{}")
    workspace.remove_unfinished()
    assert not (tmp_path / "results" / "2").exists()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"rows.csv"}


def test_output_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="must be writable"),
        Workspace(Config(output=str(tmp_path / "file"))).locked(),
    ):
        pass


def test_file_folder_and_glob_become_a_folder_and_a_pattern(tmp_path):
    (tmp_path / "a[1].csv").write_text("")
    assert split_pattern(str(tmp_path)) == (str(tmp_path), "*.[cC][sS][vV]*")
    assert split_pattern(str(tmp_path / "a[1].csv")) == (str(tmp_path), "a[[]1].csv")
    assert split_pattern(str(tmp_path / "day-*" / "x.csv")) == (str(tmp_path), "day-*/x.csv")
    assert split_pattern("gs://bucket/day-{SPAN}/x.csv") == ("gs://bucket", "day-{SPAN}/x.csv")


def test_missing_data_is_refused(tmp_path):
    for path in ("", str(tmp_path / "none.csv"), str(tmp_path), str(tmp_path / "*.csv")):
        with pytest.raises((ConfigError, DatasetError), match="Received: "):
            data_files(path)


def test_data_are_listed_before_a_run(tmp_path):
    (tmp_path / "day-1").mkdir()
    for name in ("part-10.csv", "part-9.csv", "._part-9.csv"):
        (tmp_path / "day-1" / name).write_text("")
    expected = [str(tmp_path / "day-1" / name) for name in ("part-9.csv", "part-10.csv")]
    assert data_files(f"file://{tmp_path}/day-1") == data_files(str(tmp_path / "day-[1]" / "*")) == expected
    assert data_files(str(tmp_path / "day-{SPAN}" / "*.csv")) == expected
    with pytest.raises(DatasetError, match="Data must exist"):
        data_files(str(tmp_path / "week-{SPAN}" / "*.csv"))
    assert with_data(Config(), f"file://{tmp_path}/day-1").data.path == str(tmp_path / "day-1")


def test_simulated_rows_are_made_once_and_called_simulated(tmp_path):
    config = with_simulation(Config(output=str(tmp_path)), 100)
    assert config.data.origin == "simulated"
    made = (tmp_path / "data" / "simulated-100-0.csv").stat()
    assert with_simulation(Config(output=str(tmp_path)), 100) == config
    assert (tmp_path / "data" / "simulated-100-0.csv").stat().st_mtime_ns == made.st_mtime_ns


def test_rows_of_a_file_without_any_mark_are_real(csv_file):
    assert with_data(Config(), str(csv_file)).data.origin == "real"
