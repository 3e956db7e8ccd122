"""Training on several devices and in several processes: one network, the one that a single device trains."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_training import TRAIN, VAL

from events.errors import ModelError
from events.higgs.columns import FEATURES
from models.architectures import Architecture, named
from models.inputs import load
from models.replicas import Replicas, choose_strategy, n_tasks
from models.rules import Rules
from models.training import fit, run_fn
from models.transform_graph import TransformGraph

ARCHITECTURES = {
    "l2": Architecture((8,), l2=1e-3),
    "activity": Architecture((8,), l2=1e-2, penalized="activity"),
    "weight decay": Architecture((8,), weight_decay=0.5),
    "batch norm": Architecture((16, 16), batch_norm=True),
    "members": Architecture((4,), members=3),
}

TWO_DEVICES = """
import json, sys
import keras, numpy as np, tensorflow as tf
sys.path.insert(0, sys.argv[1])
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from test_replicas import *
from test_training import make_data
from models.loop import Loop
from models.networks import build

replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
rules = Rules(epochs=3, batch_size=50)
found = {name: describe(fit(a, rules, TRAIN, VAL, replicas=replicas)) for name, a in ARCHITECTURES.items()}
few = [array[:201] for array in TRAIN]
found["rest of one row"] = describe(fit(ARCHITECTURES["l2"], rules, few, VAL, replicas=replicas))
with replicas.strategy.scope():
    network = build(Architecture((4,), dropout=0.5))
    Loop(network, keras.optimizers.SGD(), 50, 0, replicas=replicas)
states = replicas.strategy.run(lambda: network.layers[-2].seed_generator.state.value).values
print(json.dumps(found | {"seeds": [state.numpy().tolist() for state in states]}))
"""

WORKER = """
import sys
from models.replicas import Replicas, choose_strategy

replicas = Replicas(choose_strategy())
sys.path.insert(0, sys.argv[1])
from test_replicas import *

run_fn(arguments(sys.argv[2], sys.argv[3]))
shard = slice(replicas.worker, None, replicas.n_workers)
train, val = ([array[shard] for array in arrays] for arrays in (TRAIN, VAL))
rules = Rules(epochs=3, batch_size=1000)
print(json.dumps({name: describe(fit(a, rules, train, val, replicas=replicas)) for name, a in ARCHITECTURES.items()}))
"""


def describe(training) -> dict:
    """What must be equal wherever the network was trained."""
    weights = [float(weight) for array in training.network.get_weights() for weight in np.ravel(array)]
    return {"weights": weights, "history": training.history, "n_train": training.summary["n_train"]}


def arguments(run: str, folder: str):
    """What TFX's Trainer hands over, for two epochs of a run's own rows; every row is in every step."""
    run, folder = Path(run), Path(folder)
    examples, graph = (max((run / "artifacts" / name).glob("*"), key=lambda path: int(path.name)) for name in INPUTS)
    return FnArgs(
        train_files=[str(examples / "Split-train" / "*")],
        eval_files=[str(examples / "Split-val" / "*")],
        transform_output=str(graph),
        serving_model_dir=str(folder / "model"),
        model_run_dir=str(folder / "logs"),
        custom_config={
            "name": "candidate",
            "architecture": named("tiny").to_dict(),
            "rules": dataclasses.asdict(Rules(epochs=2, batch_size=10_000)),
        },
    )


INPUTS = ("HiggsExampleGen/examples", "Transform/transform_graph")


@dataclasses.dataclass(frozen=True)
class FnArgs:
    """As much of TFX's FnArgs as `run_fn` reads."""

    train_files: list[str]
    eval_files: list[str]
    transform_output: str
    serving_model_dir: str
    model_run_dir: str
    custom_config: dict
    hyperparameters: dict | None = None


def start(code: str, *arguments, **environment) -> subprocess.Popen:
    """A fresh process: devices and workers are settled before TensorFlow computes anything."""
    tests = Path(__file__).parent
    command = [sys.executable, "-c", code, str(tests), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=tests.parent,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> dict:
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def free_addresses(n: int) -> list[str]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(n)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def assert_equal(found: dict, expected: dict) -> None:
    assert found["n_train"] == expected["n_train"]
    assert found["weights"] == pytest.approx(expected["weights"], abs=1e-5)
    for name, values in expected["history"].items():
        assert found["history"][name] == pytest.approx(values, abs=1e-5), name


@pytest.fixture(scope="module")
def two_devices() -> dict:
    """What two devices of one process make of the architectures, in steps of 50 rows."""
    return finish(start(TWO_DEVICES))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_two_devices_train_the_network_that_one_does(two_devices, name):
    assert_equal(two_devices[name], describe(fit(ARCHITECTURES[name], Rules(epochs=3, batch_size=50), TRAIN, VAL)))


@pytest.mark.slow
def test_rest_too_small_for_two_devices_joins_the_step_before_it(two_devices):
    found = two_devices["rest of one row"]
    assert found["n_train"] == 201
    assert np.isfinite(found["weights"]).all()


@pytest.mark.slow
def test_two_devices_drop_other_units(two_devices):
    first, second = two_devices["seeds"]
    assert first != second


@pytest.fixture(scope="module")
def two_workers(blessed_run, tmp_path_factory) -> tuple[list[dict], Path]:
    """What each of two processes says, and the folder that both were told to write to."""
    folder = tmp_path_factory.mktemp("workers")
    cluster = {"worker": free_addresses(2)}
    processes = [
        start(
            WORKER,
            blessed_run.folder,
            folder,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    return [finish(process) for process in processes], folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_two_workers_train_the_network_that_one_does(two_workers, name):
    (chief, other), _ = two_workers
    assert chief[name] == other[name]
    assert_equal(chief[name], describe(fit(ARCHITECTURES[name], Rules(epochs=3, batch_size=1000), TRAIN, VAL)))


@pytest.mark.slow
def test_chief_alone_writes_the_model_that_one_process_writes(two_workers, blessed_run, tmp_path):
    _, folder = two_workers
    run_fn(arguments(str(blessed_run.folder), str(tmp_path)))
    assert sorted(path.name for path in folder.iterdir()) == ["logs", "model"]
    assert len(list((folder / "logs" / "train").glob("events*"))) == 1
    found, expected = (json.loads((each / "logs" / "history.json").read_text()) for each in (folder, tmp_path))
    for name in ("train", "val"):
        assert found["summary"][name] == pytest.approx(expected["summary"][name], abs=1e-5)
        assert found["summary"][f"n_{name}"] == expected["summary"][f"n_{name}"]
    ours, theirs = (
        tf.saved_model.load(str(each / "model")).signatures["serving_features"] for each in (folder, tmp_path)
    )
    events = {name: TRAIN[0][:, index] for index, name in enumerate(FEATURES)}
    assert ours(**events)["logit"].numpy() == pytest.approx(theirs(**events)["logit"].numpy(), abs=1e-5)


def test_shards_of_workers_hold_each_row_once(blessed_run):
    given = arguments(str(blessed_run.folder), "")
    transform = TransformGraph(given.transform_output)
    features, labels = load(given.train_files, transform)
    for index in range(3):
        own_features, own_labels = load(given.train_files, transform, (3, index))
        assert np.array_equal(own_features, features[index::3])
        assert np.array_equal(own_labels, labels[index::3])


class OneOf(Replicas):
    """One worker of several with one device each, for the arithmetic of steps."""

    n = n_workers = worker = 0

    def __init__(self, n: int, worker: int):
        self.__dict__.update(n=n, n_workers=n, worker=worker)


@pytest.mark.parametrize("n_workers", [1, 2, 3, 7])
def test_steps_take_each_row_once_and_as_many_from_each_worker(n_workers):
    order = np.arange(101)
    for n_rows in (*range(n_workers, 40), 100, 101):
        for size in range(n_workers, 12):
            taken = [[] for _ in range(n_workers)]
            last = OneOf(n_workers, 0).last(size, n_rows)
            for start in range(0, last + 1, size):
                n_in_step = size if start < last else n_rows - last
                parts = [OneOf(n_workers, worker).worker_slice(order, start, n_in_step) for worker in range(n_workers)]
                lengths = [len(part) for part in parts]
                assert sum(lengths) == n_in_step
                assert max(lengths) - min(lengths) <= 1 <= min(lengths)
                for rows, part in zip(taken, parts, strict=True):
                    rows += list(np.asarray(part))
            n_own = [len(range(worker, n_rows, n_workers)) for worker in range(n_workers)]
            assert taken == [list(range(n)) for n in n_own]


def test_tf_config_of_one_process_or_none_changes_nothing(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert choose_strategy() is tf.distribute.get_strategy()
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"chief": ["localhost:1"]}}))
    assert choose_strategy() is tf.distribute.get_strategy()
    assert n_tasks('{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}}') == 3


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("{", "Received: '{'."),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}', "at program startup."),
    ],
)
def test_workers_that_cannot_meet_are_refused_in_one_line(monkeypatch, text, received):
    tf.constant(0)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ModelError) as caught:
        choose_strategy()
    assert received in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fewer_rows_than_devices_are_refused():
    with pytest.raises(ModelError, match="Each of 2 devices needs a row per step"):
        fit(ARCHITECTURES["l2"], Rules(batch_size=1), TRAIN, VAL, replicas=Counted())


class Counted(Replicas):
    """Two devices, as far as counting goes."""

    n, n_workers = 2, 1
