"""`higgs runs list`, `show`, `diff` and `reproduce`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import higgs

from cli.main import cli
from pipeline.run_records import PREDICTIONS

HEAVY = ("tensorflow", "tfx", "apache_beam", "pandas", "ml_metadata")


@pytest.fixture(scope="module")
def output(blessed_run, tmp_path_factory) -> Path:
    """Two runs: a real one and its copy with another network, other settings and other predictions."""
    folder = tmp_path_factory.mktemp("runs")
    first = min((blessed_run.folder / "results").iterdir())
    for name in ("2026-01-01T10-00-00.000001", "2026-01-02T10-00-00.000002"):
        shutil.copytree(first, folder / "results" / name)
    second = folder / "results" / name
    summary = json.loads((second / "summary.json").read_text())
    summary["models"]["candidate"]["eval"]["binary_crossentropy"] += 0.01
    summary["settings"]["train.epochs"] = 31
    summary["verdict"]["blessed"], summary["pushed_to"] = False, ""
    summary["code"]["models/loop.py"] = "0123456789abcdef"
    [path] = summary["digests"]
    summary["digests"][path] = "f" * 64
    (second / "summary.json").write_text(json.dumps(summary))
    config = json.loads((second / "config.json").read_text())
    config["train"]["epochs"] = 31
    (second / "config.json").write_text(json.dumps(config))
    with np.load(second / PREDICTIONS) as found:
        arrays = dict(found)
    arrays["candidate"] = np.clip(arrays["candidate"] * 0.9, 0, 1)
    np.savez(second / PREDICTIONS, **arrays)
    return folder


def runs(*arguments) -> str:
    result = CliRunner().invoke(cli, ["runs", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_list_has_a_line_for_each_run_the_newest_first(output, blessed_run):
    head, newest, oldest = runs("list", "--output", output).splitlines()
    assert head.split()[:8] == ["run", "network", "rows", "val", "eval", "AUC", "verdict", "version"]
    summary = blessed_run.first_summary
    eval_bce = summary["models"]["candidate"]["eval"]["binary_crossentropy"]
    assert newest.split()[:2] == ["2026-01-02T10-00-00", "medium"]
    assert (f"{eval_bce + 0.01:.4f}" in newest, "refused" in newest, "train.epochs=31" in newest) == (True,) * 3
    version = Path(summary["pushed_to"]).name
    assert re.search(rf"4,000 simulated .* {eval_bce:.4f} .* blessed +{version} +\d+ +train.epochs=30$", oldest)


def test_list_of_no_runs_says_so(tmp_path):
    assert runs("list", "--output", tmp_path) == f"No run has ended below {tmp_path}.\n"


def test_show_tells_data_networks_verdict_and_version(output, blessed_run):
    text = runs("show", "2026-01-01", "--output", output)
    summary = blessed_run.first_summary
    [digest] = summary["digests"].values()
    for words in (digest, "medium (64x3), best epoch", "tiny (16), best epoch", summary["verdict"]["reason"]):
        assert words in text
    assert re.search(rf"version +{Path(summary['pushed_to']).name}, stable", text)
    assert "train.epochs=30" in text and summary["push"] in text


def test_diff_names_what_differs_and_by_how_much(output):
    text = runs("diff", "2026-01-01", "2026-01-02", "--output", output)
    assert re.search(r"train.epochs +30 +31\n", text)
    assert re.search(r"code models/loop.py +[0-9a-f]{16} +0123456789abcdef\n", text)
    assert re.search(r"data \S+simulated-4000-0.csv +[0-9a-f]{16} +f{16}\n", text)
    assert re.search(r"candidate, eval +0\.\d{4} +0\.\d{4} +\+0.0100\n", text)
    assert re.search(r"verdict +blessed +refused +differs", text)
    assert "package" not in text and "candidate, val" not in text
    first, second = (np.load(path / PREDICTIONS) for path in sorted((output / "results").iterdir()))
    losses = [
        -np.log(np.where(found["labels"] == 1, found["candidate"], 1 - found["candidate"])) for found in (first, second)
    ]
    apart = losses[1] - losses[0]
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    [line] = [line for line in text.splitlines() if line.startswith("candidate, second minus first")]
    mean, low, high = (float(number) for number in re.findall(r"[+-]\d\.\d{4}", line))
    assert mean == pytest.approx(apart.mean(), abs=1e-4)
    assert (low, high) == pytest.approx((mean - 1.966 * error, mean + 1.966 * error), abs=2e-4)  # t of 400 events


def test_diff_without_a_common_eval_gives_no_interval(output, tmp_path):
    copy = shutil.copytree(output, tmp_path / "copy")
    second = max((copy / "results").iterdir())
    with np.load(second / PREDICTIONS) as found:
        arrays = dict(found) | {"digest": "other"}
    np.savez(second / PREDICTIONS, **arrays)
    assert "the two were scored on other rows of eval" in runs("diff", "2026-01-01", "--output", copy)
    (second / PREDICTIONS).unlink()
    assert f"the predictions of {second.name} are not kept" in runs("diff", "2026-01-01", "--output", copy)


@pytest.mark.parametrize("arguments", [("diff", "2026-01-01"), ("reproduce",)])
@pytest.mark.parametrize(
    ("arrays", "fault"), [({}, "is damaged"), ({"labels": 0, "baseline": 0}, "lacks candidate, digest")]
)
def test_damaged_predictions_are_one_line(output, tmp_path, arguments, arrays, fault):
    copy = shutil.copytree(output, tmp_path / "copy")
    path = max((copy / "results").iterdir()) / PREDICTIONS
    np.savez(path, **arrays)
    if not arrays:
        path.write_bytes(path.read_bytes()[:-1])
    result = CliRunner().invoke(cli, ["runs", *arguments, "--output", str(copy)])
    assert result.exit_code == 2
    rule = "predictions.npz must hold what both networks said of eval."
    assert result.output.splitlines()[-1] == f"Error: {rule} Received: {path} {fault}. Run again."


@pytest.mark.parametrize("arguments", [["list"], ["show"], ["diff", "2026-01-01"]])
def test_records_are_read_without_anything_heavy(output, arguments):
    code = (
        "import sys; from cli.main import cli; cli(sys.argv[1:], standalone_mode=False); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, "runs", *arguments, "--output", str(output)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2027", "There is no run of this name. Received: '2027'."),
        ("2026", "A run is named by how only its name begins."),
    ],
)
def test_name_that_is_of_no_run_or_of_several_is_one_line(output, name, expected):
    result = CliRunner().invoke(cli, ["runs", "show", name, "--output", str(output)])
    assert result.exit_code == 2
    assert expected in result.output and result.output.count("\n") == 1


@pytest.mark.slow
def test_run_is_reproduced_and_data_that_changed_are_named(blessed_run, tmp_path):
    first = min((blessed_run.folder / "results").iterdir())
    shutil.copytree(first, tmp_path / "results" / first.name)
    summary_path = tmp_path / "results" / first.name / "summary.json"
    summary = json.loads(summary_path.read_text())
    data = shutil.copy(summary["files"][0], str(tmp_path / "rows.csv"))
    summary |= {"files": [data], "digests": {data: next(iter(summary["digests"].values()))}}
    summary_path.write_text(json.dumps(summary))
    config_path = summary_path.with_name("config.json")
    config = json.loads(config_path.read_text())
    config["data"]["path"] = data
    config_path.write_text(json.dumps(config))
    code, text = higgs("runs", "reproduce", "--output", tmp_path)
    assert code == 0, text
    assert re.search(r"Equal: the probabilities of \d+ rows of eval differ by \d\.\de[-+]\d+ at most", text)
    assert not (tmp_path / "reproduced").exists() and not (tmp_path / "serving").exists()
    lines = Path(data).read_text().splitlines()
    lines[7] = lines[7].replace(",", ",1", 1)
    Path(data).write_text("\n".join(lines) + "\n")
    code, text = higgs("runs", "reproduce", "--output", tmp_path)
    assert code == 3, text
    assert f"What differs first: the data file {data}, with SHA-256 " in text
