import dataclasses
import json

import pytest

from events.errors import ConfigError, IngestionError, ModelError
from models.rules import Rules
from pipeline.config import Config, keys, override


def test_settings_reach_their_section_with_their_type():
    settings = ["train.batch_size=512", "gate.min_improvement=1e-3", "cache=false", "data.eval_rows=:1000"]
    config = override(Config(), [*settings, "beam_args=--a=1 --b=2"])
    assert config.train.batch_size == 512
    assert config.gate.min_improvement == 0.001
    assert config.cache is False
    assert config.data.row_ranges == {"eval": ":1000"}
    assert config.beam_args == ("--a=1", "--b=2")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.batchsize=1", "Received: 'train.batchsize'. Did you mean train.batch_size?"),
        ("train=1", "Received: 'train'."),
        ("patience=10", "Received: 'patience'. Did you mean train.patience?"),
        ("trails=10", "Received: 'trails'. Did you mean tuner.trials?"),
        ("zzz=1", "Received: 'zzz'. Use one of data.path"),
        ("output.x=1", "Received: 'output.x'."),
        ("train.epochs", "A setting is KEY=VALUE. Received: 'train.epochs'."),
        ("train.epochs=many", "train.epochs is a whole number. Received: 'many'."),
        ("train.epochs=1.5", "train.epochs is a whole number. Received: '1.5'."),
        ("cache=maybe", "cache is true or false. Received: 'maybe'."),
        ("data.bad_rows=skip", "data.bad_rows is one of stop, quarantine. Received: 'skip'."),
        ("data.eval=0", "data.eval is a weight of at least 1. Received: 0."),
        ("data.train=1000001", "data.train is a weight of at most 1,000,000. Received: 1000001."),
        ("gate.min_improvement=-1", "gate.min_improvement is at least 0. Received: -1.0."),
        ("gate.min_improvement=nan", "gate.min_improvement is at least 0. Received: nan."),
        ("report.signal_events=0", "report.signal_events is a number of events above 0. Received: 0.0."),
        ("report.background_events=inf", "report.background_events is a number of events above 0. Received: inf."),
        (
            "report.background_uncertainty=nan",
            "report.background_uncertainty is a fraction, at least 0. Received: nan.",
        ),
        ("output=", "output is the path of a folder. Received: ''."),
        ("data.eval_rows=1000", "A row range is START:STOP. Received: '1000'."),
    ],
)
def test_setting_that_cannot_be_used_is_refused_in_one_line(setting, message):
    with pytest.raises((ConfigError, IngestionError)) as caught:
        override(Config(), [setting])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting", ["epochs=0", "patience=0", "batch_size=0", "learning_rate=0", "learning_rate=inf", "seed=-1"]
)
def test_rules_that_train_nothing_are_refused(setting):
    with pytest.raises(ModelError, match=setting.split("=")[0]):
        override(Config(), [f"train.{setting}"])


@pytest.mark.parametrize("key", ["train.epochs", "train.batch_size", "train.seed", "tuner.trials", "tuner.seed"])
def test_whole_number_that_tensorflow_cannot_take_is_refused(key):
    assert override(Config(), [f"{key}=2147483647"])
    with pytest.raises(ModelError, match=rf"{key} is at most 2,147,483,647\. Received: 2147483648\."):
        override(Config(), [f"{key}=2147483648"])


@pytest.mark.parametrize("name", ["", ".", "..", "a.b", "a/b", "../x", "-a", "_a", "a b", "é", "a\n", "a" * 51])
def test_name_that_is_no_folder_everywhere_is_refused(name):
    with pytest.raises(ConfigError, match=r"A name has 1 to 50 letters.* Received: .* Correct it with --set name=NAME"):
        dataclasses.replace(Config(), name=name)


@pytest.mark.parametrize("name", ["higgs", "Higgs-2_b", "7", "a" * 50])
def test_name_of_letters_digits_and_dashes_is_taken(name):
    assert override(Config(), [f"name={name}"]).name == name


def test_rules_are_the_same_for_candidate_and_baseline():
    assert Config().train.rules == dataclasses.asdict(Rules())


def test_every_key_can_be_set_to_its_own_default():
    config = Config()
    for key in keys():
        value = config
        for part in key.split("."):
            value = getattr(value, part)
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        assert override(config, [f"{key}={text}"]) == config


def test_written_configuration_keeps_no_password():
    config = override(Config(), ["metadata=mysql://me:secret@host:3306/lineage"])
    assert json.loads(config.to_json())["metadata"] == "mysql://me@host:3306/lineage"
    assert "secret" not in config.to_json()
