"""The study: what it plans, trains, keeps and says."""

import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import higgs, to_csv
from conftest import make_rows as make_csv_rows
from sklearn.metrics import log_loss, roc_auc_score

from events.errors import ModelError
from events.higgs.columns import FEATURES
from models.architectures import ARCHITECTURES, Architecture, named
from models.networks import build
from models.rules import Rules
from pipeline.config import Config, DataConfig
from study.dataset import Dataset, materialize
from study.outcome import rank, show, swept
from study.plan import Variant, plan
from study.trainings import Trainings, score

RULES = Rules(epochs=3, batch_size=50)


def make_rows(n_rows: int, seed: int):
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1, 1, (n_rows, 28)).astype(np.float32)
    labels = (features[:, :1] + rng.normal(0, 0.5, (n_rows, 1)) > 0).astype(np.float32)
    return tf.constant(features), tf.constant(labels)


class AsTheyAre:
    """Stands for a transform graph that changes nothing."""

    n_inputs = len(FEATURES)

    def __call__(self, columns):
        return tf.stack([columns[name] for name in FEATURES], axis=1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    train, val, eval_ = (make_rows(n_rows, seed) for seed, n_rows in enumerate((120, 60, 80)))
    return Dataset(
        train=train,
        val=val,
        eval=eval_,
        raw=tf.concat([train[0], val[0], eval_[0]], 0),
        transforms={"columns": AsTheyAre()},
        origin="simulated",
        files=[],
        counts={},
    )


def test_raw_rows_are_those_of_all_splits_in_the_order_of_the_normalised_ones(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(to_csv(make_csv_rows(400)))
    config = Config(data=DataConfig(path=str(path), origin="simulated"), output=str(tmp_path / "runs"))
    dataset = materialize(config, [named("tiny,augment=true")])
    columns = dict(zip(FEATURES, tf.unstack(dataset.raw, axis=1), strict=True))
    assert np.array_equal(dataset.transforms["columns"](columns), dataset.all[0])
    sizes = [len(rows[0]) for rows in (dataset.train, dataset.val, dataset.eval)]
    assert sizes == [sum(classes.values()) for classes in (dataset.counts[name] for name in ("train", "val", "eval"))]
    assert len(dataset.raw) == sum(sizes)
    assert materialize(config, [named("tiny")]).raw is None


def names(planned) -> list[str]:
    return [variant.name for variant in planned.variants]


def test_all_architectures_are_studied_unless_some_are_named():
    assert names(plan((), None, "tiny", "combined", RULES)) == list(ARCHITECTURES)
    some = plan(("large", "dropout,augment=true", "large"), None, "tiny", "combined", RULES)
    assert names(some) == ["tiny", "large", "dropout,augment=true"]
    assert some.variants[2].architecture == named("dropout,augment=true")


def test_sweep_of_several_architectures_varies_each():
    planned = plan(("large", "small"), "rows=5,10", "tiny", "combined", RULES)
    assert names(planned) == ["tiny", "large,rows=5", "large,rows=10", "small,rows=5", "small,rows=10"]
    assert planned.swept["small"] == ["small,rows=5", "small,rows=10"]


def test_sweep_varies_one_field_of_one_architecture_or_of_the_rules_or_the_rows():
    planned = plan(("large",), "l2=0,1e-3", "tiny", "combined", RULES)
    assert [variant.architecture.l2 for variant in planned.variants[1:]] == [0, 1e-3]
    assert planned.swept == {"large": ["large,l2=0", "large,l2=1e-3"]}
    planned = plan((), "batch_size=10,20", "tiny", "combined", RULES)
    assert [variant.rules.batch_size for variant in planned.variants[1:]] == [10, 20]
    assert planned.variants[1].architecture == named("combined")
    assert [variant.n_rows for variant in plan((), "rows=50,100", "tiny", "small", RULES).variants] == [None, 50, 100]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("largo",), None), "Received: 'largo'. Did you mean large"),
        (((), "l3=0"), r"A sweep is of one hyperparameter. Received: 'l3'. Use one of rows, hidden_units"),
        (((), "l2"), "A sweep needs values. Received: 'l2'"),
        (((), "l2=many"), "l2 cannot have this value"),
        (((), "rows=0"), "at least 1 row. Received: rows = 0"),
        (((), "rows=all"), "rows cannot have this value. Received: 'all'"),
        (((), "batch_size=0"), "batch_size is at least 1"),
    ],
)
def test_impossible_plan_is_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        plan(*arguments, "tiny", "combined", RULES)


def test_results_are_those_of_the_networks_and_of_scikit_learn(dataset, tmp_path):
    trainings = Trainings(dataset, 2, 0, str(tmp_path))
    results = trainings.of(plan(("small", "augmented,hidden_units=8"), None, "tiny", "tiny", RULES).variants)
    ranked = rank(results, trainings.labels, "tiny")
    assert [entry["eval"]["mean"] for entry in ranked] == sorted(entry["eval"]["mean"] for entry in ranked)
    for result in results:
        [entry] = [entry for entry in ranked if entry["name"] == result.variant.name]
        labels = np.ravel(dataset.eval[1])
        bces = [log_loss(labels, repeat.astype(float)) for repeat in result.probabilities]
        assert entry["eval"]["mean"] == pytest.approx(np.mean(bces), abs=1e-6)
        assert entry["eval"]["sd"] == pytest.approx(np.std(bces, ddof=1), abs=1e-6)
        assert entry["auc"]["mean"] == pytest.approx(np.mean([roc_auc_score(labels, r) for r in result.probabilities]))
        assert [record["seed"] for record in entry["trainings"]] == [0, 1]
        assert entry["val"]["mean"] == pytest.approx(np.mean([min(r["history"]["val_bce"]) for r in result.records]))
    assert [entry["verdict"] for entry in ranked if entry["name"] == "tiny"] == ["baseline"]


@pytest.mark.parametrize("block", [30, 40, 79, 80, 81])
def test_every_block_of_the_scored_rows_is_scored(dataset, block, monkeypatch):
    network, features = build(Architecture((8,))), dataset.eval[0]
    monkeypatch.setattr("study.trainings.SCORED_ROWS", block)
    expected = 1 / (1 + np.exp(-np.ravel(network(features)).astype(np.float64)))
    assert score(network, features) == pytest.approx(expected, abs=1e-6)


def test_finished_trainings_are_not_repeated_and_a_broken_off_one_is(dataset, tmp_path):
    variants = plan((), "hidden_units=4,8", "tiny", "tiny", RULES).variants
    first = Trainings(dataset, 2, 0, str(tmp_path)).of(variants)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 6
    broken, cut, empty, foreign, *_ = sorted(files)
    broken.rename(broken.with_name(f".{broken.name}.12345678.unfinished"))
    cut.write_bytes(cut.read_bytes()[:-100])
    empty.write_bytes(b"")
    with np.load(foreign) as kept:
        np.savez(foreign, record=kept["record"], probabilities=kept["probabilities"][:-1])
    again = Trainings(dataset, 2, 0, str(tmp_path)).of(variants)
    kept = {path for path in files if path.stat().st_mtime_ns == files[path]}
    assert kept == set(files) - {broken, cut, empty, foreign}
    assert set(tmp_path.iterdir()) == set(files)  # what was broken off is gone
    for before, after in zip(first, again, strict=True):
        assert np.array_equal(before.probabilities, after.probabilities)


@pytest.mark.parametrize(
    "change", [{"epochs": 2}, {"patience": 7}, {"learning_rate": 0.01}, {"batch_size": 40}, {"seed": 9}]
)
def test_other_rules_are_other_trainings(dataset, tmp_path, change):
    for rules in (RULES, Rules(**{"epochs": 3, "batch_size": 50, **change})):
        Trainings(dataset, 1, 0, str(tmp_path)).of([Variant("tiny", named("tiny"), rules)])
    assert len(list(tmp_path.iterdir())) == 2


def test_folds_score_every_row_once_by_a_network_that_has_not_seen_it(dataset, tmp_path):
    trainings = Trainings(dataset, 1, 4, str(tmp_path))
    [result] = trainings.of([Variant("small", named("small"), RULES)])
    assert result.probabilities.shape == (1, 260)
    assert np.array_equal(
        trainings.labels, np.ravel(np.concatenate([dataset.train[1], dataset.val[1], dataset.eval[1]]))
    )
    assert [record["fold"] for record in result.records] == [0, 1, 2, 3]
    assert [record["summary"]["n_train"] for record in result.records] == [130, 130, 130, 130]
    assert [record["summary"]["n_val"] for record in result.records] == [65, 65, 65, 65]
    assert np.all((result.probabilities > 0) & (result.probabilities < 1))


def test_memorised_labels_do_not_reach_out_of_fold_predictions(tmp_path):
    # Labels that nothing explains: who had seen a row could tell its label, who has not cannot.
    rng = np.random.default_rng(0)
    features = tf.constant(rng.standard_normal((300, 28)).astype(np.float32))
    labels = tf.constant(rng.integers(0, 2, (300, 1)).astype(np.float32))
    splits = [(features[start : start + 100], labels[start : start + 100]) for start in (0, 100, 200)]
    memorising = Variant("wide", Architecture((256,)), Rules(epochs=60, batch_size=50, learning_rate=0.01))

    def scored(splits, n_folds):
        dataset = Dataset(*splits, features, {"columns": AsTheyAre()}, "simulated", [], {})
        trainings = Trainings(dataset, 1, n_folds, str(tmp_path))
        return roc_auc_score(trainings.labels, trainings.of([memorising])[0].probabilities[0])

    assert scored([splits[0]] * 3, 0) > 0.99
    assert 0.35 < scored(splits, 5) < 0.65


class Counting(AsTheyAre):
    """Counts calls in eager mode or traces of a graph: one for each pretraining."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, columns):
        self.n_calls += 1
        return super().__call__(columns)


def test_trainings_of_one_seed_share_their_pretraining_and_become_what_they_would_alone(dataset, tmp_path):
    counting = dataclasses.replace(dataset, transforms={"columns": Counting()})
    variants = [Variant("tiny", named("tiny,pretrain=1000,dropout=0.5"), RULES)]
    shared_trainings = Trainings(counting, 2, 3, str(tmp_path / "shared"))
    [shared] = shared_trainings.of(variants)
    assert counting.transforms["columns"].n_calls == 2
    assert len(list((tmp_path / "shared").iterdir())) == 2 * 3 + 2
    alone = Trainings(counting, 1, 3, str(tmp_path / "alone"))
    alone._pretrained = lambda task: None
    [repeated] = alone.of(variants)
    assert np.array_equal(repeated.probabilities, shared.probabilities[:1])
    for record in shared.records:
        assert record["summary"]["pretraining"]["n_rows"] == 1000
    n_calls = counting.transforms["columns"].n_calls
    shared_trainings.of([Variant("weaker", named("tiny,pretrain=1000,dropout=0.2,l2=0.001"), RULES)])
    assert counting.transforms["columns"].n_calls == n_calls  # regularizers do not act on simulated events


def test_results_are_the_same_by_one_process_and_by_two(dataset, tmp_path):
    variants = [
        Variant(name, named(name), RULES) for name in ("small", "tiny,pretrain=1000,dropout=0.5", "tiny,l2=0.1")
    ]
    alone, beside = (Trainings(dataset, 2, 3, str(tmp_path / str(n))).of(variants, n_processes=n) for n in (1, 2))
    for one, other in zip(alone, beside, strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
        assert [record["history"] for record in one.records] == [record["history"] for record in other.records]
    kept = [sorted(path.name for path in (tmp_path / str(n)).iterdir()) for n in (1, 2)]
    assert kept[0] == kept[1]


def test_damaged_pretraining_is_repeated(dataset, tmp_path):
    variant = Variant("tiny", named("tiny,pretrain=1000"), RULES)
    first = Trainings(dataset, 1, 3, str(tmp_path))
    [result] = first.of([variant])
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    [again] = Trainings(dataset, 1, 3, str(tmp_path)).of([variant])
    assert np.array_equal(again.probabilities, result.probabilities)


def test_sweep_of_rows_trains_on_the_first_rows_and_refuses_more_than_there_are(dataset, tmp_path):
    trainings = Trainings(dataset, 1, 0, str(tmp_path))
    planned = plan((), "rows=30,120", "tiny", "tiny", RULES)
    results = trainings.of(planned.variants)
    assert [result.records[0]["summary"]["n_train"] for result in results] == [120, 30, 120]
    curve = swept(rank(results, trainings.labels, "tiny"), planned.sweep, planned.swept["tiny"])
    assert curve["values"] == ["30", "120"]
    assert curve["val"] == [result.records[0]["summary"]["val"]["bce"] for result in results[1:]]
    with pytest.raises(ModelError, match=r"has at most 120 rows\. Received: rows = 121"):
        trainings.of(plan((), "rows=121", "tiny", "tiny", RULES).variants)


STUDY = ("study", "tiny", "medium", "--simulate", "1500", "--epochs", "4", "--repeats", "2")


def test_study_from_the_command_line_says_where_a_difference_is_noise_and_goes_on_where_it_was(tmp_path):
    code, output = higgs(*STUDY, "--output", tmp_path)
    assert code == 0, output
    assert "simulated rows" in output
    study = json.loads((tmp_path / "studies" / "architectures" / "study.json").read_text())
    assert {entry["name"] for entry in study["architectures"]} == {"tiny", "medium"}
    assert study["origin"] == "simulated"
    predictions = np.load(tmp_path / "studies" / "architectures" / "predictions.npz")
    assert predictions["medium"].shape == (2, len(predictions["labels"]))
    trainings = list((tmp_path / "studies" / "trainings").iterdir())
    assert len(trainings) == 4
    times = [path.stat().st_mtime_ns for path in trainings]
    code, output = higgs(*STUDY, "small", "--output", tmp_path, "--name", "three")
    assert code == 0, output
    assert [path.stat().st_mtime_ns for path in trainings] == times
    assert len(list((tmp_path / "studies" / "trainings").iterdir())) == 6
    assert (tmp_path / "studies" / "three" / "study.json").exists()


@pytest.mark.parametrize(("width", "n_intervals"), [(80, 1), (120, 2)])
def test_table_of_a_study_fits_the_terminal_with_every_number_whole(width, n_intervals, monkeypatch, capsys):
    names = ("regularizedbatchnorm", "combined,augment=true,hidden_units=256x3,inputs=physics,pretrain=100000", "tiny")
    entry = {key: {"mean": 0.51234, "sd": 0.01234} for key in ("val", "eval", "auc")}
    entry |= {"difference": -0.04321, "interval": (-0.05, -0.03), "interval_with_seeds": (-0.06, -0.02)}
    entry |= {"p_adjusted": 1.2e-5, "verdict": "better", "trainings": [{"summary": {"pretraining": None}}]}
    study = {"origin": "simulated", "scored": "eval", "repeats": 3, "confidence": 0.95, "baseline": "tiny"}
    study |= {"correction": "Holm", "architectures": [entry | {"name": name} for name in names]}
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    show(study, "runs")
    text = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= width
    for whole in ("0.5123", "-0.0432", "-0.0600 to -0.0200", "1.2e-05", "better"):
        assert text.count(whole) >= len(names), whole
    assert text.count(" to ") == n_intervals * len(names)
    assert "…" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("largo", "--simulate", "100"), "Received: 'largo'. Did you mean large?"),
        (("--sweep", "l2=", "--simulate", "100"), "A sweep needs values"),
        (("--sweep", "l3=1", "--simulate", "100"), "A sweep is of one hyperparameter. Received: 'l3'."),
        (("--set", "train.baseline=tinny", "--simulate", "100"), "Received: 'tinny'. Did you mean tiny?"),
        (("--name", "../x", "--simulate", "100"), "A name has 1 to 50 letters"),
        (("--name", "", "--simulate", "100"), "A name has 1 to 50 letters"),
        (("--folds", "2", "--simulate", "100"), "--folds"),
        ((), "either real rows or simulated ones. Received: neither"),
    ],
)
def test_bad_input_to_a_study_is_one_line(tmp_path, arguments, words):
    code, output = higgs("study", *arguments, "--output", tmp_path)
    assert code == 2
    assert words in output
    assert "Traceback" not in output
    assert not list(tmp_path.iterdir())  # told before anything is imported, made or locked
