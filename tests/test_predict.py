"""The client: one file of events scored by REST, gRPC and the SavedModel itself."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import serving_server
import tensorflow as tf
from click.testing import CliRunner
from conftest import make_rows, to_csv
from serving_server import Mood, serve
from sklearn import metrics as sklearn_metrics

from cli.main import cli
from events.errors import DatasetError, IngestionError
from events.higgs.columns import COLUMNS, FEATURES
from events.splits import SplitRule, hash_rows
from events.threads import in_threads
from serving.history import PUSH, Event
from serving.predict import Events, predict
from serving.served import render

N_ROWS = 300
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def rows(blessed_run) -> np.ndarray:
    """float32 [300, 29] of the rows that the pushed model was trained for."""
    [data] = (blessed_run.folder / "data").glob("*.csv")
    return np.loadtxt(data, delimiter=",", max_rows=N_ROWS, dtype=np.float32)


@pytest.fixture(scope="module")
def server(blessed_run, tmp_path_factory):
    """A server of the pushed model, as versions 7 (stable) and 8 (its canary), and of one that knows no features."""
    models = tmp_path_factory.mktemp("models")
    [pushed] = blessed_run.versions
    for version in ("7", "8"):
        shutil.copytree(pushed, models / "higgs" / version)
    strange = tf.Module()
    strange.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None], name="x")])
    tf.saved_model.save(strange, str(models / "strange" / "1"), signatures=strange.double)
    history = [
        Event(PUSH, "2026-11-25T20:15:00Z", stable=7, versions=(7,)),
        Event(PUSH, "2026-11-25T20:15:00Z", stable=7, canary=8, versions=(8,)),
    ]
    (models / "models.config").write_text(render({"higgs": history}))
    stable, canary = models / "higgs" / "7", models / "higgs" / "8"
    served = {"higgs": [stable], "higgs-canary": [stable, canary], "strange": [models / "strange" / "1"]}
    with serve(served) as running:
        yield (models, *running)


@pytest.fixture
def ways(server):
    """Each way to ask the model: its options."""
    models, core, url, address = server
    while core.n_now:  # what an earlier test gave up waiting for
        time.sleep(0.01)
    core.mood = Mood()
    core.n_requests = core.n_at_once = 0
    core.asked.clear()
    return {"rest": ("--url", url), "grpc": ("--grpc", address), "local": ("--model-dir", models / "higgs")}


def run(events, to, *options) -> tuple[int, str]:
    """Runs `higgs predict`; its exit code and what it prints."""
    result = CliRunner().invoke(cli, ["predict", str(events), "--to", str(to), *map(str, options)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def events(tmp_path, rows) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(to_csv(rows))
    return path


def check_fault(result: tuple[int, str], folder: Path, *expected: str) -> None:
    """One line with all that is expected, exit code 2, and nothing written."""
    code, output = result
    assert code == 2, output
    [line] = [line for line in output.splitlines() if line.startswith("Error: ")]
    for text in expected:
        assert text in line
    assert line[-1] in ".?"
    assert [path.name for path in folder.iterdir() if "predictions" in path.name or "partial" in path.name] == []


def test_three_ways_give_the_same_probabilities_in_the_order_of_rows(ways, events, rows, server, tmp_path):
    model = tf.saved_model.load(str(server[0] / "higgs" / "8"))
    columns = dict(zip(FEATURES, rows[:, 1:].T, strict=True))
    expected = model.signatures["serving_features"](**{name: tf.constant(c) for name, c in columns.items()})
    for way, options in ways.items():
        code, output = run(events, tmp_path / way, *options, "--batch-size", 37, "--concurrency", 3)
        assert code == 0, output
        written = np.loadtxt(tmp_path / way, delimiter=",")
        np.testing.assert_allclose(written[:, 0], expected["probability"], atol=1e-6)
        np.testing.assert_array_equal(written[:, 1], rows[:, 0])


def test_labels_give_crossentropy_and_auc(ways, events, rows, tmp_path):
    _, output = run(events, tmp_path / "out.csv", *ways["rest"])
    written = np.loadtxt(tmp_path / "out.csv", delimiter=",")
    bce, auc = map(float, re.search(r"Binary crossentropy ([\d.]+), AUC ([\d.]+) over 300 rows", output).groups())
    assert bce == pytest.approx(sklearn_metrics.log_loss(rows[:, 0], written[:, 0]), abs=1e-4)
    assert auc == pytest.approx(sklearn_metrics.roc_auc_score(rows[:, 0], written[:, 0]), abs=1e-3)


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_events_without_labels_need_none(ways, events, rows, tmp_path, header, suffix):
    run(events, tmp_path / "labelled.csv", *ways["rest"])
    path = tmp_path / f"unlabelled{suffix}"
    names = list(FEATURES)
    columns = rows[:, 1:]
    if header:  # which may put the columns in any order
        names, columns = names[::-1], columns[:, ::-1]
    text = to_csv(columns, ",".join(names) + "\n" if header else "")
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    code, output = run(path, tmp_path / "out.csv.GZ", *ways["rest"])
    assert code == 0
    assert "AUC" not in output
    lines = gzip.decompress((tmp_path / "out.csv.GZ").read_bytes()).decode().splitlines()
    assert lines == [line.split(",")[0] for line in (tmp_path / "labelled.csv").read_text().splitlines()]


@pytest.mark.parametrize("way", ["rest", "grpc", "local"])
@pytest.mark.parametrize(
    ("which", "asked"),
    [((), ("higgs", 7)), (("--canary",), ("higgs-canary", 8)), (("--version", 7, "--model", "higgs"), ("higgs", 7))],
)
def test_stable_version_answers_unless_another_is_asked(ways, server, events, tmp_path, way, which, asked):
    code, output = run(events, tmp_path / "out.csv", *ways[way], *which)
    assert code == 0, output
    if way == "local":
        assert f"{os.sep}{asked[1]}\n" in output
    else:
        assert server[1].asked == {asked}


def test_newest_version_answers_where_no_history_says_what_is_stable(server, events, tmp_path):
    shutil.copytree(server[0] / "higgs", tmp_path / "copied" / "higgs")
    code, output = run(events, tmp_path / "out.csv", "--model-dir", tmp_path / "copied" / "higgs")
    assert (code, f"{os.sep}8\n" in output) == (0, True)


WRONG = {
    "unknown model": (
        ["--model", "other"],
        {"rest": "404: Servable not found", "grpc": "NOT_FOUND: Servable not found"},
    ),
    "unknown version": (["--version", 9], {"rest": "404: Servable not found", "grpc": "Specific(higgs, 9)"}),
    "no canary": (["--model", "strange", "--canary"], {"rest": "404: Servable", "grpc": "Latest(strange-canary)"}),
    "no such signature": (
        ["--model", "strange"],
        {"rest": '400: Serving signature name: "serving_features"', "grpc": "FAILED_PRECONDITION: Serving signature"},
    ),
}


@pytest.mark.parametrize("way", ["rest", "grpc"])
@pytest.mark.parametrize("fault", WRONG)
def test_refusal_of_the_server_is_one_line(ways, events, tmp_path, way, fault):
    options, expected = WRONG[fault]
    check_fault(run(events, tmp_path / "predictions.csv", *ways[way], *options), tmp_path, expected[way], "Check")


@pytest.mark.parametrize("fault", ["unknown version", "no such signature", "no model", "broken model"])
def test_fault_of_a_folder_is_one_line(server, ways, events, tmp_path, fault):
    options = [*ways["local"], "--version", 9]
    expected = "Received: 9 in"
    if fault == "no such signature":
        options, expected = ["--model-dir", server[0] / "strange"], "include serving_features"
    elif fault == "no model":
        options, expected = ["--model-dir", tmp_path / "nothing"], "holds none"
    elif fault == "broken model":
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "saved_model.pb").write_bytes(b"rubbish")
        options, expected = ["--model-dir", tmp_path / "broken"], "A SavedModel must load."
    check_fault(run(events, tmp_path / "predictions.csv", *options), tmp_path, expected)


@pytest.mark.parametrize("way", [("--url", "http://127.0.0.1:9"), ("--grpc", "127.0.0.1:9")])
def test_server_that_is_down_is_one_line_after_the_retries(events, tmp_path, way):
    result = run(events, tmp_path / "predictions.csv", *way, "--retries", 1)
    check_fault(result, tmp_path, "The server must be up.", "onnection refused", "after 2 tries")


@pytest.mark.parametrize("way", [("--url", "localhost:8501"), ("--grpc", "http://localhost:8500")])
def test_address_that_is_none_is_one_line(events, tmp_path, way):
    check_fault(run(events, tmp_path / "predictions.csv", *way), tmp_path, f"Correct {way[0]}.")


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_unavailable_server_is_asked_again(ways, server, events, tmp_path, way):
    core = server[1]
    core.mood = Mood(n_unavailable=3)
    code, output = run(events, tmp_path / "out.csv", *ways[way], "--batch-size", 100)
    assert code == 0, output
    assert core.n_requests == 3 + 3
    assert len((tmp_path / "out.csv").read_text().splitlines()) == N_ROWS


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_server_lost_halfway_leaves_what_was_there_before(ways, server, events, tmp_path, way):
    server[1].mood = Mood(n_good=2)
    (tmp_path / "old.csv").write_text("old")
    result = run(events, tmp_path / "old.csv", *ways[way], "--batch-size", 50, "--retries", 0)
    check_fault(result, tmp_path, "The server must be up.", "queue", "after 1 try")
    assert (tmp_path / "old.csv").read_text() == "old"


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_slow_answer_times_out(ways, server, events, tmp_path, way):
    server[1].mood = Mood(delay_s=1.0)
    result = run(events, tmp_path / "predictions.csv", *ways[way], "--timeout", 0.2)
    check_fault(result, tmp_path, "The server must answer in time.", "Raise --timeout")


@pytest.mark.parametrize("way", ["rest", "grpc"])
@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (np.full(N_ROWS, np.nan, np.float32), "probability = nan"),
        (np.full(N_ROWS, 1.5, np.float32), "probability = 1.5"),
        (np.zeros([N_ROWS, 1], np.float32), f"shape ({N_ROWS}, 1)"),
        (np.zeros(7, np.float32), f"shape (7,) for {N_ROWS} events"),
        (None, "without 'probability'"),
    ],
)
def test_answer_that_is_no_probabilities_is_one_line(ways, server, events, tmp_path, way, probability, expected):
    logits = {"logit": np.zeros(N_ROWS, np.float32)}
    server[1].mood = Mood(outputs=logits if probability is None else {**logits, "probability": probability})
    check_fault(run(events, tmp_path / "predictions.csv", *ways[way]), tmp_path, expected)


def reply(values: str) -> bytes:
    return b'{"outputs": {"logit": [], "probability": %s}}' % values.encode()


ZEROS = ", ".join(["0.0"] * (N_ROWS - 1))
STRANGE = {
    "strings": (reply(f'["0.5", {ZEROS}]'), "str in place of a number"),
    "truth": (reply(f"[true, {ZEROS}]"), "bool in place of a number"),
    "nothing": (reply(f"[{ZEROS}, null]"), "NoneType in place of a number"),
    "lists": (reply(f"[[0.5], {ZEROS}]"), "list in place of a number"),
    "one number": (reply("0.5"), "float in place of a list"),
    "a huge integer": (reply(f"[1{'0' * 4000}, {ZEROS}]"), "a number beyond all floats"),
    "an integer beyond Python's own limit": (reply(f"[1{'0' * 5000}, {ZEROS}]"), "Received: "),
    "a float beyond all floats": (reply(f"[1e999, {ZEROS}]"), "probability = inf"),
    "NaN": (reply(f"[NaN, {ZEROS}]"), "probability = nan"),
    "deep nesting": (reply("[" * 100_000 + "]" * 100_000), "without 'probability'"),
    "nesting less deep": (reply("[" * 900 + "]" * 900), "in place of a number"),
    "no JSON": (b"\xff<html>", "without 'probability'"),
    "no object": (b"[1, 2]", "without 'probability'"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_answer_is_one_line(ways, server, events, tmp_path, what):
    body, expected = STRANGE[what]
    server[1].mood = Mood(reply=(200, {}, body))
    check_fault(run(events, tmp_path / "predictions.csv", *ways["rest"]), tmp_path, "The server must answer", expected)


@pytest.mark.parametrize("body", [b'{"error": [[[[]]]]}', b"[" * 100_000, b'{"error": 1%s}' % (b"0" * 5000), b"\xff"])
def test_strange_error_is_one_line(ways, server, events, tmp_path, body):
    server[1].mood = Mood(reply=(500, {}, body))
    check_fault(
        run(events, tmp_path / "predictions.csv", *ways["rest"]), tmp_path, "Received: 500: ", "Check its address"
    )


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(ways, server, events, tmp_path, code):
    with serve({}) as (other, url, _):
        other.mood = Mood(reply=(200, {}, reply(f"[0.5, {ZEROS}]")))
        server[1].mood = Mood(reply=(code, {"Location": f"{url}/v1/models/higgs:predict"}, b""))
        result = run(events, tmp_path / "predictions.csv", *ways["rest"])
        assert other.n_posts == 0
    check_fault(result, tmp_path, f"Received: {code}: a redirect to http://127.0.0.1")


@pytest.mark.parametrize(("value", "kind"), [("0.5", "object_"), (True, "bool"), (1, "int64")])
def test_tensor_of_something_else_is_one_line(ways, server, events, tmp_path, value, kind):
    server[1].mood = Mood(outputs={"probability": np.array([value] * N_ROWS)})
    result = run(events, tmp_path / "predictions.csv", *ways["grpc"])
    check_fault(result, tmp_path, f"Received: {kind}", "in place of a number")


def test_tensor_that_claims_a_huge_shape_takes_no_memory(ways, server, events, tmp_path, monkeypatch):
    def claim(array):
        tensor = tf.make_tensor_proto(np.float32([0.5]))
        tensor.tensor_shape.dim[0].size = 10**15
        return tensor

    monkeypatch.setattr(serving_server, "to_tensor", claim)
    server[1].mood = Mood(outputs={"probability": 0.5})
    check_fault(run(events, tmp_path / "predictions.csv", *ways["grpc"]), tmp_path, "shape (1000000000000000,) for 300")


BAD_EVENTS = {
    "no such file": (None, "Data must exist. Received: {path}. Check the path"),
    "empty file": ("", "which is empty"),
    "header only": (",".join(COLUMNS) + "\n", "a header only"),
    "27 columns": (",".join("1" * 27) + "\n", "29 columns. Received: 27 at {path}:1."),
    "ragged row": (",".join("1" * 28) + "\n" + ",".join("1" * 29) + "\n", "28 columns. Received: 29 at {path}:2."),
    "no number": (",".join("1" * 29) + "\n" + ",".join(["1"] * 28 + ["x"]) + "\n", "m_wwbb = 'x' at {path}:2."),
    "label of 2": (",".join(["2"] + ["1"] * 28) + "\n", "label = '2' at {path}:1."),
    "header with another name": (",".join([*FEATURES[1:], "pt"]) + "\n", "missing 'lepton_pt'"),
}


@pytest.mark.parametrize("fault", BAD_EVENTS)
def test_bad_events_are_one_line_with_the_place(ways, tmp_path, fault):
    text, expected = BAD_EVENTS[fault]
    path = tmp_path / "events.csv"
    if text is not None:
        path.write_text(text)
    check_fault(run(path, tmp_path / "predictions.csv", *ways["rest"]), tmp_path, expected.format(path=path))


@pytest.mark.parametrize("to", ["missing/predictions.csv", "events.csv/predictions.csv", "."])
def test_place_that_cannot_be_written_is_one_line(ways, events, tmp_path, to):
    check_fault(run(events, tmp_path / to, *ways["rest"]), tmp_path, "Predictions must be writable.", "--to")


def test_only_one_model_and_one_version_are_asked(ways, events, tmp_path):
    code, output = run(events, tmp_path / "out.csv", *ways["rest"], *ways["grpc"])
    assert code == 2
    assert "Received: --url and --grpc. Drop all but one." in output
    code, output = run(events, tmp_path / "out.csv", *ways["rest"], "--version", 7, "--canary")
    assert code == 2
    assert "Received: --version 7 and --canary. Drop one." in output


def test_so_many_requests_are_under_way_and_no_more(ways, server, events, tmp_path):
    server[1].mood = Mood(delay_s=0.05)
    code, output = run(events, tmp_path / "out.csv", *ways["rest"], "--batch-size", 20, "--concurrency", 3)
    assert code == 0, output
    assert server[1].n_at_once == 3
    assert server[1].n_requests == N_ROWS / 20


def test_batches_are_read_only_when_there_is_room():
    held, most = 0, 0
    lock = threading.Lock()

    def items():
        nonlocal held, most
        for item in range(50):
            with lock:
                held += 1
                most = max(most, held)
            yield item

    for index, result in enumerate(in_threads(lambda item: item, items(), 4, 3)):
        assert result == index
        held -= 1
    assert most <= 4


class First:
    """A scorer that gives back each event's first feature."""

    server = "nowhere"

    def __call__(self, features):
        return features[0]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("spelling", ["numbers above", "quotes", "crlf and blank lines"])
def test_every_event_is_scored_whatever_its_spelling(tmp_path, labelled, spelling):
    table = make_rows(20)[:, not labelled :]
    table[:, -28] = np.arange(20) / 32
    text = to_csv(table)
    if spelling == "numbers above":
        text = ",".join(map(str, range(table.shape[1]))) + "\n" + text
    elif spelling == "quotes":
        text = re.sub("([^,\n]+)", r'"\1"', text)
    else:
        text = text.replace("\n", "\r\n\r\n")
    (tmp_path / "events.csv").write_text(text)
    n_rows, sums = predict(Events.open(f"file://{tmp_path}/events.csv"), First(), str(tmp_path / "out.csv"), 7, 2, 0)
    assert n_rows == 20
    assert bool(sums) == labelled
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [float(line.split(",")[0]) for line in lines] == (np.arange(20) / 32).tolist()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{}", "Events must be one file. Received: {}/a.csv and 1 more. Name one."),
        ("{}/pipe", "Data must be files. Received: {}/pipe, a pipe"),
        ("s3://bucket/events.csv", "where Beam can read it, as gs://. Received: s3://bucket/events.csv: "),
    ],
)
def test_events_that_are_not_one_file_are_refused(tmp_path, path, expected):
    for name in ("a.csv", "b.csv", "._a.csv"):
        (tmp_path / name).write_text("1\n")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((IngestionError, DatasetError), match=re.escape(expected.format(tmp_path))):
        Events.open(path.format(tmp_path))


class Constant:
    """A scorer that knows nothing."""

    server = "nowhere"

    def __call__(self, features):
        return np.full(features.shape[1], 0.5, np.float32)


def peak_bytes(path, to) -> int:
    tracemalloc.start()
    predict(Events.open(str(path)), Constant(), str(to), 1024, 4, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_file(tmp_path):
    line = ",".join(["1"] + ["0.125"] * 28) + "\n"
    peaks = {}
    for n_rows in (20_000, 100_000):
        path = tmp_path / f"{n_rows}.csv"
        path.write_text(line * n_rows)
        peaks[n_rows] = peak_bytes(path, tmp_path / "out.csv")
        with open(tmp_path / "out.csv") as file:
            assert sum(1 for _ in file) == n_rows
    assert peaks[100_000] < 1.2 * peaks[20_000]
    assert peaks[100_000] < (tmp_path / "100000.csv").stat().st_size


def test_rest_needs_neither_tensorflow_nor_beam(ways, events, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import cli;"
        "result = CliRunner().invoke(cli, sys.argv[1:]); print(result.exit_code, result.output);"
        "print({'tensorflow', 'apache_beam', 'tfx', 'grpc'} & set(sys.modules))"
    )
    arguments = ["predict", events, *ways["rest"], "--to", tmp_path / "out.csv"]
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("0 ")
    assert result.stdout.splitlines()[-1] == "set()"


def test_stable_model_of_the_runs_is_the_default(blessed_run, events, tmp_path, monkeypatch):
    monkeypatch.chdir(blessed_run.folder.parent)
    code, output = run(events, tmp_path / "out.csv")
    assert code == 0, output
    assert f"runs/serving/higgs/{blessed_run.versions[-1].name}\n" in output


def test_header_and_row_numbers_are_written_on_request(ways, events, rows, tmp_path):
    code, output = run(events, tmp_path / "p.csv", "--header", "--row-numbers", "--batch-size", 7, *ways["local"])
    assert code == 0, output
    head, *lines = (tmp_path / "p.csv").read_text().splitlines()
    assert head == "row,probability,label"
    assert [line.split(",")[0] for line in lines] == [str(number) for number in range(1, N_ROWS + 1)]
    assert [float(line.split(",")[2]) for line in lines] == rows[:, 0].tolist()
    run(events, tmp_path / "plain.csv", "--batch-size", 7, *ways["local"])
    assert [line.partition(",")[2] for line in lines] == (tmp_path / "plain.csv").read_text().splitlines()


def test_rows_that_the_model_was_trained_on_are_told(ways, events, rows, tmp_path):
    hashes = hash_rows(np.ascontiguousarray(rows[:, 1:].T))
    rule = SplitRule((("train", 8), ("val", 1), ("eval", 1)))
    in_train = rule.assign(hashes, np.arange(N_ROWS)) == 0
    output = run(events, tmp_path / "p.csv", *ways["local"])[1]
    assert f"Warning: The model was trained on {in_train.mean():.0%} of these rows: on others it does worse" in output
    (tmp_path / "new.csv").write_text(to_csv(rows[~in_train]))
    assert "trained on" not in run(tmp_path / "new.csv", tmp_path / "p.csv", *ways["local"])[1]


def test_values_outside_the_schema_are_told_with_the_first_of_them(ways, rows, tmp_path):
    assert "outside the schema's range" not in predicted(ways, rows, tmp_path)
    changed = rows.copy()
    changed[[5, 9], COLUMNS.index("lepton_eta")] = 9.5, -4.0
    expected = "2 of 300 rows have lepton_eta outside the schema's range, -3.5 to 3.5; the first is row 6: 9.5."
    assert f"Warning: {expected}" in predicted(ways, changed, tmp_path)
    changed[3, COLUMNS.index("m_bb")] = -1.0
    assert "m_bb outside the schema's range, at least 0; the first is row 4: -1." in predicted(ways, changed, tmp_path)


def predicted(ways, rows: np.ndarray, folder: Path) -> str:
    (folder / "rows.csv").write_text(to_csv(rows))
    return run(folder / "rows.csv", folder / "p.csv", *ways["local"])[1]
