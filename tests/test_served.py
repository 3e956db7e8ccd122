"""The history of what is served, and the configuration that TF Serving is given with it."""

import subprocess
import sys

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from events.errors import VersionsError
from serving import served
from serving.history import PROMOTE, PUSH, RESTORE, ROLLBACK, Event, replay
from serving.served import Version, digest_model, read_events, render, stable_version


def pushed(version: int, stable: int, **others) -> Event:
    return Event(PUSH, "2026-11-25T20:15:00Z", stable, versions=(version,), digest=f"d{version}", **others)


# The table of serving/history.py, one event after another: what the two names list, and what else follows.
STEPS = [
    (pushed(1, 1), [1], [1], {1: "stable"}),
    (pushed(2, 1, canary=2), [1], [1, 2], {1: "stable", 2: "canary"}),
    (Event(PROMOTE, "", 2, beside=1), [1, 2], [1, 2], {1: "on offer", 2: "stable"}),
    (Event(ROLLBACK, "", 1, versions=(2,)), [1], [1], {1: "stable", 2: "rolled back"}),
    (Event(RESTORE, "", 2, beside=1, versions=(2,)), [1, 2], [1, 2], {1: "on offer", 2: "stable"}),
    (pushed(3, 2, canary=3), [2], [2, 3], {1: "on offer", 2: "stable", 3: "canary"}),
    (Event(ROLLBACK, "", 2, versions=(3,)), [2], [2], {1: "on offer", 2: "stable", 3: "rolled back"}),
    (pushed(4, 4, beside=2, retired=(1,)), [2, 4], [2, 4], {1: "retired", 2: "on offer", 4: "stable"}),
]


@pytest.mark.parametrize("n_steps", range(1, len(STEPS) + 1))
def test_state_follows_from_the_events(n_steps):
    events = [event for event, *_ in STEPS[:n_steps]]
    _, stable, canary, states = STEPS[n_steps - 1]
    state = replay(events)
    assert {name: list(versions) for name, versions in state.lists.items()} == {"": stable, "-canary": canary}
    assert {version: state.state(version) for version in states} == states


def test_way_back_is_the_version_stable_before_and_never_one_rolled_back():
    before = [replay([event for event, *_ in STEPS[:n_steps]]).previous for n_steps in range(1, len(STEPS) + 1)]
    assert before == [0, 0, 1, 0, 1, 1, 1, 2]


def test_configuration_is_one_that_tf_serving_parses_and_holds_the_history(tmp_path):
    base = tmp_path / "serving" / "higgs"
    base.mkdir(parents=True)
    events = {"other": [pushed(1, 1)], "higgs": [event for event, *_ in STEPS[:2]]}
    (tmp_path / "serving" / "models.config").write_text(render(events))
    assert read_events(str(base)) == events
    config = text_format.Parse(render(events), model_server_config_pb2.ModelServerConfig())
    found = {
        model.name: (model.base_path, model.model_platform, list(model.model_version_policy.specific.versions))
        for model in config.model_config_list.config
    }
    assert found == {
        "higgs": ("/models/higgs", "tensorflow", [1]),
        "higgs-canary": ("/models/higgs", "tensorflow", [1, 2]),
        "other": ("/models/other", "tensorflow", [1]),
        "other-canary": ("/models/other", "tensorflow", [1]),
    }
    assert not any(model.version_labels for model in config.model_config_list.config)


def test_no_two_models_get_one_name():
    with pytest.raises(VersionsError, match=r"Received: higgs-canary\. Choose another"):
        render({"higgs": [pushed(1, 1)], "higgs-canary": [pushed(1, 1)]})


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("", "an empty file"),
        ("model_config_list {}\n", "another first line"),
        (f"{served.HEADER}\n{served.MARK}{{\n", "Expecting property name"),
        (f'{served.HEADER}\n{served.MARK}{{"kind": "push"}}\n', "'model'"),
    ],
)
def test_configuration_that_higgs_did_not_write_is_one_line(tmp_path, text, received):
    (tmp_path / "models.config").write_text(text)
    with pytest.raises(VersionsError) as error:
        stable_version(str(tmp_path / "higgs"))
    assert received in str(error.value)
    assert str(error.value).endswith("the next push begins a new one.")
    assert "\n" not in str(error.value)


def test_stable_version_is_the_one_that_answers_requests(tmp_path):
    base = tmp_path / "serving" / "higgs"
    assert stable_version(str(base)) is None
    base.mkdir(parents=True)
    (tmp_path / "serving" / "models.config").write_text(render({"other": [pushed(1, 1)]}))
    assert stable_version(str(base)) is None
    (tmp_path / "serving" / "models.config").write_text(render({"higgs": [pushed(3, 3), pushed(4, 3, canary=4)]}))
    assert stable_version(str(base)) == Version(3, str(base / "3"), "d3")


def test_digest_is_that_of_the_model_and_not_of_what_lies_beside_it(tmp_path):
    for name in "ab":
        (tmp_path / name / "variables").mkdir(parents=True)
        (tmp_path / name / "saved_model.pb").write_text("graph")
        (tmp_path / name / "variables" / "data").write_text("weights")
        (tmp_path / name / "assets.extra").mkdir()
        (tmp_path / name / "assets.extra" / "warm-up").write_text(name)
    first, second = (digest_model(str(tmp_path / name)) for name in "ab")
    assert first == second
    (tmp_path / "b" / "variables" / "data").write_text("weighty")
    assert digest_model(str(tmp_path / "b")) != first
    (tmp_path / "b" / "variables" / "data").write_text("weights")
    (tmp_path / "b" / "saved_model.pb").rename(tmp_path / "b" / "model.pb")
    assert digest_model(str(tmp_path / "b")) != first


def test_reading_it_imports_no_tensorflow():
    code = "import sys, serving.served; print({'tensorflow', 'google.protobuf', 'tfx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
