import gzip
import itertools
import os
import shutil

import numpy as np
import pytest
from conftest import make_rows, read_rows, to_csv
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen import Executor, HiggsExampleGen
from events import csv_blocks, ingestion_files
from events.errors import DatasetError, IngestionError
from events.higgs.columns import COLUMNS
from events.ingestion import read_summary, remarks
from events.listing import split_pattern, to_pattern

BEAM_ARGS = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


def ingest(folder, pattern, beam_args=BEAM_ARGS, **settings):
    """Runs the component's executor as TFX does; the artifact."""
    component = HiggsExampleGen(str(folder), pattern, COLUMNS, {"train": 8, "val": 1, "eval": 1}, **settings)
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    shutil.rmtree(examples.uri, ignore_errors=True)
    context = Executor.Context(beam_pipeline_args=list(beam_args), tmp_dir=str(folder / "tmp"), unique_id="1")
    properties = {name: value for name, value in component.exec_properties.items() if value is not None}
    Executor(context).Do({}, {"examples": [examples]}, properties)
    return examples


def read_split(examples, split):
    return read_rows(artifact_utils.get_split_uri([examples], split))


def read_splits(examples):
    return [read_split(examples, split) for split in ("train", "val", "eval")]


def test_every_row_is_in_one_split_in_the_order_of_the_file(csv_file, rows):
    train, val, evaluation = read_splits(ingest(csv_file.parent, csv_file.name))
    place = {row.tobytes(): index for index, row in enumerate(rows)}
    places = [[place[row.tobytes()] for row in split] for split in (train, val, evaluation)]
    assert sorted(itertools.chain(*places)) == list(range(400))
    assert all(split == sorted(split) for split in places)
    assert len(train) > len(val) + len(evaluation)


def test_splits_do_not_depend_on_blocks_shards_files_or_compression(csv_file, rows, monkeypatch):
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    folder = csv_file.parent / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text(to_csv(rows[:150]))
    (folder / "b.csv.gz").write_bytes(gzip.compress(to_csv(rows[150:], ",".join(COLUMNS) + "\n").encode()))
    (folder / "notes.csv.txt").write_text("no data")
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(ingestion_files, "SHARD_BYTES", 20_000)
    examples = ingest(folder, "*.csv*")
    assert len(os.listdir(artifact_utils.get_split_uri([examples], "train"))) > 4
    for split, other in zip(expected, read_splits(examples), strict=True):
        assert np.array_equal(split, other)


def test_several_processes_make_the_same_splits(csv_file, rows):
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    folder = csv_file.parent / "parts"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.csv").write_text(to_csv(rows[100 * index : 100 * index + 100]))
    args = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    for split, other in zip(expected, read_splits(ingest(folder, "*.csv", args)), strict=True):
        assert np.array_equal(split, other)


@pytest.mark.parametrize(("eval_rows", "expected"), [(":50", slice(50)), ("-50:", slice(-50, None))])
def test_rows_by_place_span_files(tmp_path, rows, eval_rows, expected):
    (tmp_path / "a.csv").write_text(to_csv(rows[:30], ",".join(COLUMNS) + "\n"))
    (tmp_path / "b.csv").write_text(to_csv(rows[30:]))
    examples = ingest(tmp_path, "*.csv", row_ranges={"eval": eval_rows})
    assert np.array_equal(read_split(examples, "eval"), rows[expected])


@pytest.mark.parametrize("blank", ["\n", "\r\n", " \n\n"])
def test_rows_by_place_are_counted_without_blank_lines(tmp_path, rows, blank):
    lines = to_csv(rows).splitlines(keepends=True)
    (tmp_path / "one.csv").write_text(blank + blank.join(lines) + 60 * blank)
    examples = ingest(tmp_path, "one.csv", row_ranges={"eval": "-100:"})
    assert np.array_equal(read_split(examples, "eval"), rows[-100:])
    (tmp_path / "a.csv").write_text(blank.join(lines[:320]) + 60 * blank)
    (tmp_path / "b.csv").write_text(blank + blank.join(lines[320:]) + blank)
    examples = ingest(tmp_path, "?.csv", row_ranges={"eval": "-100:", "val": ":50"})
    assert np.array_equal(read_split(examples, "eval"), rows[-100:])
    assert np.array_equal(read_split(examples, "val"), rows[:50])


def test_artifact_says_where_its_rows_come_from(csv_file):
    examples = ingest(csv_file.parent, csv_file.name, origin="simulated")
    assert examples.get_string_custom_property("origin") == "simulated"


def test_bad_row_stops_ingestion_in_one_line(csv_file, rows):
    csv_file.write_text(to_csv(rows[:100]) + "1,2,3\n" + to_csv(rows[100:]))
    with pytest.raises(IngestionError) as caught:
        ingest(csv_file.parent, csv_file.name)
    assert str(caught.value) == (
        f"HIGGS rows need 29 columns. Received: 3 at {csv_file}:101. Complete the row; commas separate fields. "
        "Or go on without bad rows by --bad-rows=quarantine."
    )


def test_quarantine_keeps_bad_rows_and_nothing_else_changes(csv_file, rows):
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    csv_file.write_text(to_csv(rows[:100]) + "1,2,3\n" + to_csv(rows[100:]) + "x\n")
    examples = ingest(csv_file.parent, csv_file.name, bad_rows="quarantine")
    for split, other in zip(expected, read_splits(examples), strict=True):
        assert np.array_equal(split, other)
    summary = read_summary(examples.uri)
    assert summary["n_bad"] == 2
    with open(summary["bad_rows"][0]) as file:
        assert file.read().splitlines() == [
            "file\tline\trule\treceived\trow",
            f"{csv_file}\t101\tHIGGS rows need 29 columns.\t3\t1,2,3",
            f"{csv_file}\t402\tHIGGS rows need 29 columns.\t1\tx",
        ]


def test_bad_row_among_crlf_costs_no_other_row(csv_file, rows):
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    csv_file.write_bytes((to_csv(rows[:100]) + "1,2,3\n" + to_csv(rows[100:])).replace("\n", "\r\n").encode())
    with pytest.raises(IngestionError, match=rf"Received: 3 at {csv_file}:101\. "):
        ingest(csv_file.parent, csv_file.name)
    examples = ingest(csv_file.parent, csv_file.name, bad_rows="quarantine")
    for split, other in zip(expected, read_splits(examples), strict=True):
        assert np.array_equal(split, other)
    assert read_summary(examples.uri)["n_bad"] == 1


@pytest.mark.parametrize(
    ("select", "message"),
    [
        (lambda rows: rows[rows[:, 0] == 1], "Data must hold both classes. Received: .* without one of background"),
        (lambda rows: rows[:4], "Every split needs rows of both classes. Received: 4 rows"),
    ],
)
def test_rows_that_no_model_can_be_judged_by_are_refused(csv_file, rows, select, message):
    csv_file.write_text(to_csv(select(rows)))
    with pytest.raises(IngestionError, match=message):
        ingest(csv_file.parent, csv_file.name)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"Data must exist. Received: .*nothing\.csv"):
        ingest(tmp_path, "nothing.csv")


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    (tmp_path / "rows[1].csv").write_text(to_csv(make_rows(400)))
    assert read_summary(ingest(tmp_path, "rows[[]1].csv").uri)["files"] == [str(tmp_path / "rows[1].csv")]


def test_folder_is_read_as_it_is_listed(tmp_path, rows):
    folder = tmp_path / "d[1]"
    folder.mkdir()
    for number in range(1, 12):
        part = to_csv(rows[30 * number - 30 : 30 * number])
        (folder / f"part-{number}.csv").write_text(part.replace("\n", "\r\n") if number % 2 else part)
    (folder / "._part-1.csv").write_bytes(b"\0\5\x16\7Mac OS X")
    (tmp_path / "d1").mkdir()
    (tmp_path / "d1" / "other.csv").write_text("x")
    base, pattern = split_pattern(to_pattern(str(folder)))
    examples = ingest(tmp_path, pattern, row_ranges={"eval": "-45:", "val": ":20"})
    assert base == str(tmp_path)
    assert read_summary(examples.uri)["files"] == [str(folder / f"part-{number}.csv") for number in range(1, 12)]
    assert np.array_equal(read_split(examples, "eval"), rows[330 - 45 : 330])
    assert np.array_equal(read_split(examples, "train"), rows[20 : 330 - 45])


@pytest.mark.parametrize(
    ("header", "quote"), [("", '"'), (",".join(COLUMNS), '"'), (",".join(map(str, range(29))), "")]
)
def test_quoted_rows_and_numbered_columns_are_read(csv_file, rows, header, quote):
    expected = read_splits(ingest(csv_file.parent, csv_file.name))
    lines = ([header + "\n"] if header else []) + to_csv(rows).splitlines(keepends=True)
    csv_file.write_text("".join(quote + line[:-1].replace(",", f"{quote},{quote}") + quote + "\n" for line in lines))
    for split, other in zip(expected, read_splits(ingest(csv_file.parent, csv_file.name)), strict=True):
        assert np.array_equal(split, other)


def test_empty_files_are_passed_over_and_named(tmp_path, rows):
    empty = {"a.csv": b"", "c.csv": b" \r\n\n", "d.csv.gz": gzip.compress(b""), "e.csv": ",".join(COLUMNS).encode()}
    for name, content in empty.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "b.csv").write_text(to_csv(rows))
    examples = ingest(tmp_path, "*.csv*", row_ranges={"eval": "-100:"})
    assert np.array_equal(read_split(examples, "eval"), rows[-100:])
    summary = read_summary(examples.uri)
    assert summary["empty"] == [str(tmp_path / name) for name in empty]
    assert remarks(summary) == [f"Passed over, for they hold no rows: {', '.join(summary['empty'])}"]
    (tmp_path / "b.csv").unlink()
    with pytest.raises(IngestionError, match=r"must hold rows. Received: .*a.csv, .*e.csv, which are empty. Name"):
        ingest(tmp_path, "*.csv*")


def test_equal_rows_in_splits_by_place_are_counted(tmp_path, rows):
    rows[100:110] = rows[:10]  # ten of eval's are in train
    rows[110:115] = rows[350:355]  # five of val's are in train
    rows[20:23] = rows[360]  # three of eval's are in val
    rows[356] = rows[120]  # one more of val's is in train
    rows[357, 1:] = rows[120, 1:]  # another, by its features
    rows[130] = rows[131]  # both in train
    rows[0, 3], rows[100, 3] = 0.0, -0.0
    (tmp_path / "a.csv").write_text(to_csv(rows[:200]))
    (tmp_path / "b.csv").write_text(to_csv(rows[200:]))
    examples = ingest(tmp_path, "?.csv", row_ranges={"eval": ":40", "val": "340:370"})
    assert read_summary(examples.uri)["repeats"] == [
        {"split": "eval", "other": "train", "n": 10},
        {"split": "eval", "other": "val", "n": 3},
        {"split": "val", "other": "train", "n": 7},
    ]
    assert remarks(read_summary(examples.uri))[0] == "10 of 40 rows of eval are rows of train as well"
    assert not [name for name in os.listdir(examples.uri) if name.startswith("hashes")]


def test_rows_that_all_differ_share_nothing(csv_file):
    for row_ranges in ({"eval": ":40"}, {}):
        summary = read_summary(ingest(csv_file.parent, csv_file.name, row_ranges=row_ranges).uri)
        assert summary["repeats"] == remarks(summary) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_full_disk_is_one_line(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (small / "examples").mkdir()
    if os.system(f"mount -t tmpfs -o size=100k tmpfs {small}"):
        pytest.skip("no tmpfs can be mounted here")
    try:
        (tmp_path / "rows.csv").write_text(to_csv(make_rows(1000)))
        (small / "rows.csv").symlink_to(tmp_path / "rows.csv")
        with pytest.raises(IngestionError, match="no space left"):
            ingest(small, "rows.csv")
    finally:
        os.system(f"umount {small}")
