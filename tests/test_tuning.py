"""The space that is tuned and the search in it; the pipeline around it is in test_tuned_runs.py."""

import dataclasses
import json
import shutil
import time

import keras_tuner
import pytest
import tensorflow as tf
from test_training import TRAIN, VAL

from events.errors import ModelError
from models.architectures import ARCHITECTURES, Architecture
from models.rules import Rules, TuningRules
from models.space import RANGES, from_hyperparameters, space, start, values_of
from models.training import fit
from models.tuning import FIRST_POINTS, Tuner, make_tuner

BASE = Architecture((32, 32), l2=1e-4, dropout=0.5)
RULES = Rules(epochs=2, batch_size=50)
N_TRIALS = 8
POINT = {"width": 64, "depth": 3, "l2": 2e-3, "dropout": 0.25, "batch_norm": True, "learning_rate": 5e-4}


def test_point_of_the_space_is_the_network_written_by_hand():
    base = Architecture((16,), activation="relu", l1=1e-5, weight_decay=0.1)
    architecture, rules = from_hyperparameters(POINT, base, RULES)
    assert architecture == Architecture(
        (64, 64, 64), activation="relu", l1=1e-5, l2=2e-3, dropout=0.25, batch_norm=True, weight_decay=0.1
    )
    assert rules == dataclasses.replace(RULES, learning_rate=5e-4)


@pytest.mark.parametrize(
    ("name", "value", "trained"),
    [("l2", 9.9e-7, 0.0), ("l2", 1e-7, 0.0), ("l2", 1e-6, 1e-6), ("dropout", 0.049, 0.0), ("dropout", 0.05, 0.05)],
)
def test_lower_end_of_an_axis_is_none_at_all(name, value, trained):
    assert getattr(from_hyperparameters(POINT | {name: value}, BASE, RULES)[0], name) == trained


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_start_stands_for_the_architecture_as_it_is(name):
    base, rules = ARCHITECTURES[name], Rules()
    point = start(base, rules)
    assert from_hyperparameters(point, base, rules) == (base, rules)
    assert all(low <= point[axis] <= high for axis, (low, high) in RANGES.items())


def test_base_outside_the_space_is_trained_as_it_is_and_its_neighbours_inside():
    base, rules = Architecture((2048, 4), l2=0.5, dropout=0.9), Rules(learning_rate=0.05)
    point = start(base, rules)
    assert point == {
        "width": 1024, "depth": 2, "l2": 1e-2, "dropout": 0.75, "batch_norm": False, "learning_rate": 1e-2
    }  # fmt: skip
    assert from_hyperparameters(point, base, rules) == (base, rules)
    neighbour, _ = from_hyperparameters(point | {"depth": 3}, base, rules)
    assert neighbour == Architecture((1024, 1024, 1024), l2=1e-2, dropout=0.75)


def test_layers_that_differ_are_kept_in_the_base_and_become_equal_around_it():
    base = Architecture((256, 128), l1=(1e-4, 0.0), l2=(0.0, 2e-3), dropout=(0.5, 0.25), augment=True)
    point = start(base, RULES)
    assert from_hyperparameters(point, base, RULES) == (base, RULES)
    neighbour, _ = from_hyperparameters(point | {"width": 128}, base, RULES)
    assert neighbour == Architecture((128, 128), l1=5e-5, l2=1e-3, dropout=0.375, augment=True)


def test_point_survives_json_and_says_where_it_comes_from():
    config = json.loads(json.dumps(space(BASE, RULES, "named", "simulated").get_config()))
    values = values_of(config)
    assert values == start(BASE, RULES) | {"architecture": "named", "origin": "simulated"}
    assert keras_tuner.HyperParameters.from_config(config).get("width") == 32


NOT_OURS = {
    "a list": ([], "Received: none of them."),
    "no values": ({"values": {}}, "Received: none of them."),
    "values of another search": ({"values": {"units": 3}}, "Received: units."),
    "a width of 3": ({"width": 3}, "Tuned width is a whole number from 16 to 1024. Received: 3."),
    "half a layer": ({"depth": 1.5}, "Tuned depth is a whole number from 1 to 6. Received: 1.5."),
    "a depth of true": ({"depth": True}, "Received: True."),
    "a penalty that is no number": ({"l2": float("nan")}, "Tuned l2 is a number from 1e-07 to 0.01. Received: nan."),
    "a text for a number": ({"dropout": "0.5"}, "Received: '0.5'."),
    "a number for a choice": ({"batch_norm": 1}, "Tuned batch_norm is true or false. Received: 1."),
}


@pytest.mark.parametrize("fault", NOT_OURS)
def test_hyperparameters_that_are_not_ours_are_one_line(fault):
    content, message = NOT_OURS[fault]
    if isinstance(content, dict) and "values" not in content:
        content = {"values": POINT | {"architecture": "tiny", "origin": "real"} | content}
    with pytest.raises(ModelError) as caught:
        values_of(content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def search(folder, architecture=BASE, rules=RULES, **tuning):
    tuner = make_tuner(architecture, rules, TuningRules(**tuning), str(folder / "search"), "base", "simulated")
    tuner.search(train=TRAIN, val=VAL)
    return tuner


def tried(tuner) -> list[tuple[dict, float]]:
    """The points and scores of a search, in order."""
    return [(trial.hyperparameters.values, trial.score) for _, trial in sorted(tuner.oracle.trials.items())]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search long enough for Bayesian optimisation to take over from chance."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, search(folder, trials=N_TRIALS)


def test_first_trial_is_the_base_and_the_best_is_no_worse(searched):
    _, tuner = searched
    base = fit(BASE, RULES, TRAIN, VAL).summary["val"]["bce"]
    scores = [score for _, score in tried(tuner)]
    assert scores[0] == base
    [best] = tuner.get_best_hyperparameters()
    architecture, rules = from_hyperparameters(best.values, BASE, RULES)
    assert fit(architecture, rules, TRAIN, VAL).summary["val"]["bce"] == min(scores) <= base


def test_trials_are_as_many_as_asked_for_and_all_different(searched):
    points = [json.dumps(values, sort_keys=True) for values, _ in tried(searched[1])]
    assert len(points) == len(set(points)) == N_TRIALS > FIRST_POINTS


def test_same_seed_tries_the_same_points_and_another_seed_others(searched, tmp_path):
    again, other = search(tmp_path / "again", trials=3), search(tmp_path / "other", trials=2, seed=1)
    assert tried(again) == tried(searched[1])[:3]
    assert tried(other)[0] == tried(again)[0]
    assert tried(other)[1] != tried(again)[1]


def test_more_trials_go_on_with_those_that_are_done(searched, tmp_path):
    folder, tuner = searched
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    longer = search(tmp_path, trials=N_TRIALS + 1)
    assert tried(longer)[:-1] == tried(tuner)
    for trial in tuner.oracle.trials:
        file = f"search/trial_{trial}/trial.json"
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_fewer_trials_than_are_done_are_the_first_of_them(searched, tmp_path):
    folder, tuner = searched
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    assert tried(search(tmp_path, trials=2)) == tried(tuner)[:2]
    assert tried(search(tmp_path, trials=N_TRIALS)) == tried(tuner)


def test_search_that_was_killed_goes_on_as_if_nothing_had_been(searched, tmp_path, monkeypatch):
    def end_or_die(tuner, trial, end=Tuner.on_trial_end):
        if trial.trial_id == "3":
            raise KeyboardInterrupt
        end(tuner, trial)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Tuner, "on_trial_end", end_or_die)
        search(tmp_path, trials=N_TRIALS)
    assert tried(search(tmp_path, trials=N_TRIALS)) == tried(searched[1])


def test_search_whose_files_were_cut_off_begins_anew(tmp_path):
    before = tried(search(tmp_path, trials=2))
    oracle = tmp_path / "search" / "oracle.json"
    oracle.write_text(oracle.read_text()[:99])
    assert tried(search(tmp_path, trials=2)) == before


def test_time_ends_a_trial_with_its_epoch_and_lets_no_other_begin(tmp_path):
    endless = Rules(epochs=100_000, patience=100_000, batch_size=50)
    started = time.monotonic()
    tuner = search(tmp_path, rules=endless, trials=5, max_s=2)
    assert 2 <= time.monotonic() - started < 20
    assert len(tried(tuner)) == 1
    # The time is that of the search, however often it is taken up again.
    assert tried(search(tmp_path, rules=endless, trials=5, max_s=2)) == tried(tuner)


def test_time_so_short_that_nothing_fits_still_gives_the_base(tmp_path):
    [(values, score)] = tried(search(tmp_path, trials=5, max_s=1e-9))
    assert values == start(BASE, RULES) | {"architecture": "base", "origin": "simulated"}
    assert score > 0


def test_point_that_cannot_be_trained_is_passed_over(tmp_path, monkeypatch):
    def train_but_for_the_second(architecture, *arguments, **inputs):
        if architecture != BASE and not failed:
            failed.append(architecture)
            raise ModelError("The loss must stay a number.")
        return fit(architecture, *arguments, **inputs)

    failed = []
    monkeypatch.setattr("models.tuning.fit", train_but_for_the_second)
    scores = [score for _, score in tried(search(tmp_path, trials=3))]
    assert scores[1] is None
    assert scores[0] > 0 and scores[2] > 0


def test_search_without_any_network_is_one_line(tmp_path):
    tuner = make_tuner(BASE, RULES, TuningRules(trials=2), str(tmp_path / "search"), "base", "real")
    no_numbers = (tf.fill([60, 28], float("nan")), TRAIN[1][:60])
    with pytest.raises(ModelError, match=r"needs a trial that trains\. Received: 2 that failed"):
        tuner.search(train=no_numbers, val=VAL)


def test_bug_in_a_trial_ends_the_search(tmp_path):
    tuner = make_tuner(BASE, RULES, TuningRules(trials=2), str(tmp_path / "search"), "base", "real")
    with pytest.raises(keras_tuner.errors.FatalError):
        tuner.search(train=(TRAIN[0][:, :27], TRAIN[1]), val=VAL)


def test_trials_may_be_shorter_than_training():
    assert TuningRules(epochs=7, patience=2).of_trials(Rules()) == Rules(epochs=7, patience=2)
    assert TuningRules().of_trials(Rules(epochs=11)) == Rules(epochs=11)
