"""TensorBoard over many runs."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import higgs
from test_callbacks import curves
from test_cli import check_one_line

from models.architectures import named
from report.tensorboard import as_numbers, find_histories, find_logs, write_curves

ROOT = Path(__file__).parent.parent


def record_run(output: Path, run: str, networks: dict[str, tuple[str, str]]) -> None:
    """Writes down a run as `pipeline.summary` does: model to the architecture's name and the folder of its logs."""
    results = output / "results" / run
    results.mkdir(parents=True)
    for _, folder in networks.values():
        (output / folder).mkdir(exist_ok=True)
    summary = {
        "models": {
            model: {"name": name, "architecture": named(name).to_dict()} for model, (name, _) in networks.items()
        },
        "tensorboard": {model: str(output / folder) for model, (_, folder) in networks.items()},
    }
    (results / "summary.json").write_text(json.dumps(summary))


def test_logs_are_named_by_group_and_architecture(tmp_path):
    record_run(tmp_path / "a", "2026-01-01", {"baseline": ("tiny", "1"), "candidate": ("l2", "2")})
    record_run(tmp_path / "b", "2026-01-02", {"baseline": ("tiny", "1"), "candidate": ("large", "2")})
    logs = find_logs([str(tmp_path / "a"), str(tmp_path / "b")])
    assert list(logs.items()) == [
        ("regularizers/l2/2026-01-01", str(tmp_path / "a" / "2")),
        ("sizes/large/2026-01-02", str(tmp_path / "b" / "2")),
        ("sizes/tiny/2026-01-01", str(tmp_path / "a" / "1")),
        ("sizes/tiny/2026-01-02", str(tmp_path / "b" / "1")),
    ]


def test_cached_network_is_shown_once_under_the_run_that_trained_it(tmp_path):
    for day, candidate in (("2026-01-01", "l2"), ("2026-01-02", "dropout")):
        record_run(tmp_path, day, {"baseline": ("tiny", "1"), "candidate": (candidate, candidate)})
    assert list(find_logs([str(tmp_path)])) == [
        "regularizers/dropout/2026-01-02",
        "regularizers/l2/2026-01-01",
        "sizes/tiny/2026-01-01",
    ]


def test_numbers_in_names_are_sorted_as_numbers():
    names = ["l2=10/1", "l2=2/1", "l2=1e-3/1", "l2=0/10", "l2=0/9"]
    assert sorted(names, key=as_numbers) == ["l2=0/9", "l2=0/10", "l2=1e-3/1", "l2=2/1", "l2=10/1"]


def test_studies_curves_are_shown_as_those_of_runs(tmp_path):
    folder = tmp_path / "studies" / "sweep-l2"
    folder.mkdir(parents=True)
    history = {"bce": [0.7, 0.6], "val_bce": [0.69, 0.65]}
    entries = [{"name": "l2,l2=0.1", "trainings": [{"seed": 0, "history": history}]}]
    (folder / "study.json").write_text(json.dumps({"architectures": entries}))
    histories = find_histories([str(tmp_path)])
    assert histories == {"studies/sweep-l2/l2,l2=0.1/0": history}
    write_curves(tmp_path / "curves", history)
    assert curves(tmp_path / "curves") == {
        "train/epoch_bce": [(0, pytest.approx(0.7)), (1, pytest.approx(0.6))],
        "validation/epoch_bce": [(0, pytest.approx(0.69)), (1, pytest.approx(0.65))],
    }


def read_tags(address: str) -> dict:
    """What TensorBoard shows by run."""
    with urllib.request.urlopen(f"{address}data/plugin/scalars/tags", timeout=10) as answer:
        return json.load(answer)


def test_board_lists_every_network_and_ends_with_ctrl_c(blessed_run):
    command = [sys.executable, "-m", "cli.main", "tensorboard", str(blessed_run.folder), "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Tests that a shell runs in the background hand on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            lines = iter(process.stdout.readline, "")
            address = next(line.split()[1] for line in lines if line.startswith("TensorBoard: http"))
            until = time.monotonic() + 60
            while len(tags := read_tags(address)) < 4 and time.monotonic() < until:
                time.sleep(0.5)
            day = min(blessed_run.folder.glob("results/*")).name[:19]
            assert {f"sizes/tiny/{day}/{split}" for split in ("train", "validation")} <= set(tags)
            assert {"epoch_bce", "epoch_loss"} <= set(tags[f"sizes/medium/{day}/train"])
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "Traceback" not in process.stdout.read()
        finally:
            process.kill()


@pytest.mark.parametrize("fault", ["no runs", "port in use"])
def test_board_that_cannot_start_is_one_line_and_exit_code_2(tmp_path, fault):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if fault == "port in use":
            record_run(tmp_path, "2026-01-01", {"baseline": ("tiny", "1")})
            expected = f"Received: TensorBoard could not bind to port {port}"
        else:
            expected = f"TensorBoard needs the logs of a run. Received: none below {tmp_path}."
        code, output = higgs("tensorboard", tmp_path, "--port", port)
    check_one_line(code, output, expected)
