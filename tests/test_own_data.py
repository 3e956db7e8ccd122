"""The how-to on another data set, done as it says on a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from pipeline.digest import ROOT

GUIDE = (ROOT / "docs" / "your_own_data.md").read_text()
PACKAGES = ("cli", "components", "events", "kubeflow", "metrics", "models", "pipeline", "report", "serving", "study")


def blocks(section: str) -> list[str]:
    """The indented blocks below a heading of the how-to, without their indent."""
    [text] = re.findall(rf"(?ms)^## \d\. {section}\n(.*?)(?=^## |\Z)", GUIDE)
    return [
        textwrap.dedent(block).strip("\n") for block in re.findall(r"(?:(?:^    .*)?\n)+", text, re.M) if block.strip()
    ]


@pytest.mark.slow
def test_susy_runs_to_a_verdict_as_the_guide_says(tmp_path):
    copy = tmp_path / "copy"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    [features] = blocks("Name the columns")
    (copy / "events" / "higgs" / "columns.py").write_text(features + "\n")
    [schema] = blocks("Say what is valid")
    subprocess.run([sys.executable, "-c", schema], cwd=copy, env=environment, check=True)
    [slices] = blocks("Choose the slices")
    (copy / "events" / "higgs" / "slices.py").write_text(slices + "\n")
    [command] = blocks("Run")
    assert command.startswith("higgs run --data SUSY.csv.gz")

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    rows = np.column_stack([labels, rng.normal(0, 1, (4000, 18)) + 0.3 * labels[:, None]])
    np.savetxt(copy / "SUSY.csv.gz", rows, fmt="%.18e", delimiter=",")
    arguments = [*command.split()[1:], "--set", "train.epochs=20", "--set", "gate.confidence=0.95"]
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert result.returncode in (0, 3), result.stdout + result.stderr
    assert "missing_energy_band" in (next((copy / "runs" / "results").iterdir()) / "report.html").read_text()
    assert ("Blessed" in result.stdout) == (result.returncode == 0)
