"""The ways into a run that TFX's own command takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from events.errors import ConfigError
from pipeline.config import Config
from pipeline.local_runner import arguments
from pipeline.workspace import Workspace

ROOT = Path(__file__).parent.parent


def test_environment_stands_for_the_arguments_of_a_run():
    given = {"HIGGS_DATA": "rows.csv", "HIGGS_SET": "train.epochs=2  data.eval_rows=:1000", "HOME": "/root"}
    assert arguments(given) == ["--data=rows.csv", "--set=train.epochs=2", "--set=data.eval_rows=:1000"]


@pytest.mark.parametrize("environment", [{}, {"HIGGS_DATA": ""}])
def test_missing_rows_are_asked_for_by_the_name_that_brings_them(environment):
    with pytest.raises(ConfigError, match=r"Received: no HIGGS_DATA\. Name a file, .* in HIGGS_DATA\."):
        arguments(environment)


@pytest.mark.parametrize("way", [["-m", "pipeline.local_runner"], [str(ROOT / "pipeline" / "local_runner.py")]])
def test_run_by_tfx_is_kept_out_of_a_folder_in_use(csv_file, way):
    folder = csv_file.parent / "runs"
    environment = {"HIGGS_DATA": str(csv_file), "HIGGS_SET": f"output={folder}", "PYTHONPATH": str(ROOT)}
    with Workspace(Config(output=str(folder))).locked():
        result = subprocess.run(
            [sys.executable, *way], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
        )
    assert result.returncode == 2
    assert result.stderr.startswith("Error: One run at a time writes to an output folder. Received: ")
    assert f"in use by process {os.getpid()}." in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == [".lock"]
