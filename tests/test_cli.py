"""Bad input, as a tired person types it: one clear line, exit code 2, nothing half-written."""

import gzip
import json
import time

import numpy as np
import pytest
from conftest import higgs, make_rows, to_csv

GOOD = to_csv(make_rows(200))
LINES = GOOD.splitlines(keepends=True)


def corrupt(index: int, field: int, text: str) -> str:
    """The good rows, but for one field."""
    fields = LINES[index].rstrip("\n").split(",")
    fields[field] = text
    return "".join([*LINES[:index], ",".join(fields) + "\n", *LINES[index + 1 :]])


# File name, content, what the one line must say. All end with a remedy.
BAD_DATA = {
    "no such file": ("other.csv", b"", "Data must exist. Received: {path}. Check the path"),
    "empty file": ("rows.csv", b"", "must hold rows. Received: {path}, which is empty"),
    "ragged row": ("rows.csv", "".join([*LINES[:9], "1,2\n", *LINES[9:]]), "29 columns. Received: 2 at {path}:10."),
    "text for a number": ("rows.csv", corrupt(4, 3, "abc"), "be numbers. Received: lepton_phi = 'abc' at {path}:5."),
    "NaN": ("rows.csv", corrupt(0, 28, "nan"), "be finite. Received: m_wwbb = 'nan' at {path}:1."),
    "infinity": ("rows.csv", corrupt(7, 1, "inf"), "be finite. Received: lepton_pt = 'inf' at {path}:8."),
    "label of 2": ("rows.csv", corrupt(3, 0, "2"), "be 0 or 1. Received: label = '2' at {path}:4."),
    "truncated gzip": ("rows.csv.gz", gzip.compress(GOOD.encode())[:-99], "be complete. Received: {path}"),
    "gzip that is none": ("rows.csv.gz", GOOD, "must be gzip data. Received: {path}"),
    "30 columns": ("rows.csv", GOOD.replace("\n", ",1\n"), "29 columns. Received: 30 at {path}:1."),
    "one class": ("rows.csv", "".join("1" + line[1:] for line in LINES), "hold both classes."),
    "too few rows": ("rows.csv", "".join(LINES[:5]), "Every split needs rows of both classes. Received: 5 rows"),
    "mass below 0": ("rows.csv", corrupt(6, 26, "-0.5"), "must fit the schema. Received: "),
}


def check_one_line(code: int, output: str, expected: str) -> None:
    """Exactly one line of complaint, which says what is expected and what to do."""
    assert code == 2, output
    [line] = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert expected in line
    assert output.rstrip().endswith(line)
    assert "Traceback" not in output
    assert line.rstrip()[-1] in ".?"


@pytest.mark.parametrize("fault", BAD_DATA)
def test_bad_data_is_one_line_and_exit_code_2(tmp_path, fault):
    name, content, expected = BAD_DATA[fault]
    path = tmp_path / "rows.csv" if fault == "no such file" else tmp_path / name
    if fault != "no such file":
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, output = higgs("run", "--data", path, "--output", tmp_path / "runs", "--epochs", 1)
    check_one_line(code, output, expected.format(path=path))
    assert not (tmp_path / "runs" / "serving").exists()
    assert not list(tmp_path.glob("runs/artifacts/Trainer*"))
    assert not list(tmp_path.glob("runs/artifacts/*/*/*/Split-*/*.tfrecord")) or fault in ("one class", "mass below 0")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--architecture", "combind"], "Received: 'combind'. Did you mean combined?"),
        (["--set", "train.batchsize=5"], "Received: 'train.batchsize'. Did you mean train.batch_size?"),
        (["--set", "train.epochs=ten"], "train.epochs is a whole number. Received: 'ten'."),
        (["--eval-rows", "1000"], "A row range is START:STOP. Received: '1000'."),
        (["--set", "train.baseline=tinny"], "Received: 'tinny'. Did you mean tiny?"),
        (["--set", "name=../higgs"], "A name has 1 to 50 letters"),
        (["--metadata", "postgres://x/y"], "Metadata is kept in SQLite or MySQL."),
    ],
)
def test_bad_setting_is_one_line_and_leaves_no_output(csv_file, arguments, expected):
    runs = csv_file.parent / "runs"
    code, output = higgs("run", "--data", csv_file, "--output", runs, *arguments)
    check_one_line(code, output, expected)
    assert not (runs / "artifacts").exists()


@pytest.mark.parametrize(("arguments", "received"), [([], "neither"), (["--data", "x", "--simulate"], "both")])
def test_rows_are_real_or_simulated_never_guessed(arguments, received):
    code, output = higgs("run", *arguments)
    assert code == 2
    assert f"Received: {received}." in output


def test_bad_rows_can_be_put_in_quarantine(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(corrupt(3, 5, "abc"))
    code, output = higgs(
        "run", "--data", path, "--output", tmp_path / "runs", "--epochs", 1, "--bad-rows", "quarantine"
    )
    assert code in (0, 3), output
    assert "1 bad rows left out" in output
    [quarantine] = tmp_path.glob("runs/artifacts/HiggsExampleGen/examples/*/bad_rows-*.tsv")
    assert "lepton_phi" not in quarantine.read_text()
    assert f"{path}\t4\tValues must be numbers." in quarantine.read_text()


def test_what_a_run_passes_over_and_finds_twice_is_said(tmp_path):
    folder = tmp_path / "d[1]"
    folder.mkdir()
    (folder / "part-1.csv").write_text("".join([*LINES, *LINES[:2]]))
    (folder / "part-2.csv").write_text("")
    (folder / "._part-1.csv").write_text("x")
    by_place = ("--val-rows", ":40", "--eval-rows=-40:")
    code, output = higgs("run", "--data", folder, "--output", tmp_path / "runs", "--epochs", 1, *by_place)
    assert code in (0, 3), output
    remarks = [
        f"Passed over, for they hold no rows: {folder / 'part-2.csv'}",
        "2 of 40 rows of eval are rows of val as well",
    ]
    assert [line for line in output.splitlines() if line in remarks] == remarks
    [summary] = tmp_path.glob("runs/results/*/summary.json")
    summary = json.loads(summary.read_text())
    assert summary["remarks"] == remarks
    assert summary["empty_files"] == [str(folder / "part-2.csv")]
    assert summary["repeated_rows"] == [{"split": "eval", "other": "val", "n": 2}]


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["data"],
        ["data", "download"],
        ["data", "simulate"],
        ["study"],
        ["report"],
        ["tensorboard"],
        ["predict"],
        ["serving"],
        ["serving", "rollback"],
    ],
)
def test_help_answers_at_once_without_heavy_imports(command):
    started = time.monotonic()
    code, output = higgs(*command, "--help")
    assert code == 0
    assert "Usage:" in output
    assert time.monotonic() - started < 1


def test_simulated_rows_are_written_where_asked(tmp_path):
    code, output = higgs("data", "simulate", "--rows", "50", tmp_path / "new" / "rows.csv")
    assert code == 0, output
    assert f"Simulated rows: {tmp_path}/new/rows.csv" in output
    assert np.loadtxt(tmp_path / "new" / "rows.csv", delimiter=",").shape == (50, 29)
