"""What the benchmarks write down, at a size where nothing takes long; how fast anything is, is not tested."""

import json
from pathlib import Path

import pytest

from benchmarks import results, stages
from benchmarks.machine import machine
from benchmarks.processes import Outcome, tell, told, watched
from benchmarks.rows import Place
from benchmarks.whole import figures
from events.higgs.columns import COLUMNS

N_ROWS = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("rows"), N_ROWS)


def in_process(stage: str, side: str, place: Place) -> dict:
    """`measure`, in the process of the test."""
    return stages.measure(stage, side, place) | {"peak_mb": 1}


@pytest.mark.parametrize("name", ["ingestion csv", "ingestion csv.gz", "statistics"])
def test_stage_is_measured_on_every_side_and_the_ratio_is_of_medians(place, name):
    [entry] = stages.compare([name], place, repeats=1, measure=in_process)
    assert list(entry["sides"]) == ["stock", "ours", "limit"]
    assert all(side["seconds"] > 0 for side in entry["sides"].values())
    assert entry["ratio"] == pytest.approx(entry["sides"]["stock"]["seconds"] / entry["sides"]["ours"]["seconds"], 1e-2)
    assert (entry["stage"], entry["rows"], entry["origin"]) == (name, N_ROWS, "simulated")


def test_stock_is_left_out_above_its_limit_and_then_there_is_no_ratio(place):
    [entry] = stages.compare(["ingestion csv"], place, repeats=2, stock_rows=N_ROWS - 1, measure=lambda *_: run(1.0))
    assert list(entry["sides"]) == ["ours", "limit"]
    assert entry["ratio"] is None
    assert len(entry["sides"]["ours"]["runs"]) == 2


def run(seconds: float, **figures) -> dict:
    return {"seconds": seconds, "peak_mb": int(100 * seconds)} | figures


def test_median_of_runs_counts_and_the_largest_peak():
    stock = results.summarized([run(9.0), run(6.0), run(60.0)])
    ours = results.summarized([run(1.0), run(5.0), run(2.0)])
    assert (stock["seconds"], stock["peak_mb"]) == (9.0, 6000)
    assert results.ratio({"stock": stock, "ours": ours}) == 4.5


def test_sides_take_turns_and_stock_is_measured_once_for_all_that_share_it():
    turns = []

    def measure(stage, side, place):
        turns.append((stage, side))
        return run(1.0)

    names = ["ingestion csv", "ingestion csv.gz"]
    entries = stages.compare(names, Place(Path("nowhere"), 10), repeats=2, measure=measure)
    assert turns == 2 * [("ingestion csv", "stock"), *((name, side) for name in names for side in ("ours", "limit"))]
    assert [entry["sides"]["stock"] for entry in entries] == 2 * [results.summarized([run(1.0)] * 2)]


def entry(stage: str, rows: int, stock: float, ours: float) -> dict:
    of_sides = {"stock": results.summarized([run(stock)]), "ours": results.summarized([run(ours)])}
    return {"stage": stage, "rows": rows, "ratio": results.ratio(of_sides), "target": 10, "sides": of_sides}


def test_results_are_added_to_a_file_and_measured_again_replaced(tmp_path):
    path = tmp_path / "stages.json"
    keys = ("stage", "rows")
    results.add(path, [entry("loading", 1000, 4.0, 1.0)], keys)
    results.add(path, [entry("loading", 2000, 8.0, 1.0)], keys)
    results.add(path, [entry("loading", 1000, 6.0, 1.0)], keys)
    written = json.loads(path.read_text())
    assert {key: written["machine"][key] for key in ("cpu", "cores")} == {
        key: machine()[key] for key in ("cpu", "cores")
    }
    assert written["machine"]["versions"]["tfx"]
    assert [(one["rows"], one["ratio"]) for one in written["measurements"]] == [(2000, 8.0), (1000, 6.0)]
    assert "| loading | 1,000 | 6.00 | 1.00 | 6.0 | 10 |  | 600 | 100 |" in results.table(written)


def test_results_of_another_machine_are_not_mixed_with_these(tmp_path):
    path = tmp_path / "stages.json"
    path.write_text(json.dumps({"machine": {"cpu": "another"}, "measurements": []}))
    with pytest.raises(ValueError, match="of one machine"):
        results.add(path, [entry("loading", 1000, 4.0, 1.0)], ("stage", "rows"))


def test_plot_has_a_panel_for_each_stage(tmp_path):
    measurements = [entry(stage, rows, 4.0, 1.0) for stage in ("loading", "run") for rows in (1000, 2000)]
    results.plot({"measurements": measurements}, tmp_path / "stages")
    svg = (tmp_path / "stages.svg").read_text()
    assert all(f">{word}<" in svg for word in ("loading", "run", "stock", "ours", "rows"))
    assert (tmp_path / "stages.png").stat().st_size > 1000


def test_memory_of_a_process_counts_its_children():
    child = "import time; block = bytearray(150 << 20); time.sleep(1)"
    outcome = watched("-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    assert 150 < outcome.peak_mb() < 300


def test_failed_measurement_shows_what_it_said():
    with pytest.raises(RuntimeError, match="no such luck"):
        watched("-c", "raise SystemExit('no such luck')")


def test_figures_reach_the_process_that_asked(capsys):
    tell({"seconds": 1.5})
    line = capsys.readouterr().out
    assert told("-c", f"print('noise'); print({line!r})")["seconds"] == 1.5


def test_headed_rows_are_the_same_rows_below_a_header(place):
    header, *rows = (Path(place.headed()) / "rows.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert rows == Path(place.csv()).read_text().splitlines()


LINES = (
    (2.0, "I1121 10:00:00.000 7 launcher.py:1] Component CsvExampleGen is running."),
    (5.5, "I1121 10:00:03.500 7 launcher.py:1] Component CsvExampleGen is finished."),
    (6.0, "Trainer.candidate ..."),
    (6.5, "candidate: 100%|##########| 3/3"),
    (9.0, "Trainer.candidate 3.0 s"),
)


def test_time_of_training_is_no_part_of_a_run_and_each_stage_has_its_own_memory():
    memory = [(1.0, 100.0), (3.0, 200.0), (7.0, 900.0), (8.0, 300.0), (10.0, 950.0)]
    told = figures(Outcome(list(LINES), seconds=12.0, memory=memory, exit_code=0), training_s=2.5)
    assert told["seconds"] == 9.5
    assert told["first_stage_s"] == 2.0
    assert told["after_stages_s"] == 3.0
    assert told["peak_mb"] == 950
    assert told["stages"] == {
        "CsvExampleGen": {"seconds": 3.5, "peak_mb": 200},
        "Trainer.candidate": {"seconds": 3.0, "peak_mb": 900},
    }
