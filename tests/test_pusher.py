"""HiggsPusher: what reaches the serving folder."""

import json
import os
import shutil
import threading

import pytest
import tensorflow as tf
from model_server import serve_status
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

from components import pusher
from components.pusher import Executor
from events.errors import UnservableModelError
from serving import served, server
from serving.versions import roll_back


def make_model(folder, content="weights"):
    (folder / "Format-Serving" / "variables").mkdir(parents=True)
    (folder / "Format-Serving" / "saved_model.pb").write_text("graph")
    (folder / "Format-Serving" / "variables" / "variables.data").write_text(content)
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return model


def run_pusher(model, base, blessed=True, verdict=None, **settings):
    blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    blessing.uri = model.uri
    blessing.set_int_custom_property("blessed", int(blessed))
    if verdict:
        blessing.set_string_custom_property("verdict", json.dumps(verdict))
    destination = pusher_pb2.PushDestination(filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(base)))
    properties = {
        "push_destination": proto_utils.proto_to_json(destination),
        "custom_config": json_utils.dumps({"origin": "real", **settings}),
    }
    Executor().Do({"model": [model], "model_blessing": [blessing]}, {"pushed_model": [pushed]}, properties)
    return pushed


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "higgs"


def contents(base) -> list[str]:
    """What the versions hold, in the order of their numbers."""
    return [(base / name / "variables" / "variables.data").read_text() for name in sorted(os.listdir(base))]


def test_blessed_model_becomes_the_stable_version(base, tmp_path):
    pushed = run_pusher(make_model(tmp_path / "model"), base, origin="simulated")
    [version] = os.listdir(base)
    assert pushed.get_string_custom_property("pushed_destination") == str(base / version)
    assert pushed.get_string_custom_property("pushed_version") == version
    assert contents(base) == ["weights"]
    assert served.stable_version(str(base)).folder == str(base / version)
    assert served.read(str(base)).last.about["origin"] == "simulated"


def test_canary_waits_to_be_promoted(base, tmp_path):
    for name in "ab":
        run_pusher(make_model(tmp_path / name, name), base, promote="manual")
    state = served.read(str(base))
    assert [state.state(version) for version in state.pushed] == ["stable", "canary"]


def test_model_that_was_not_compared_with_what_is_stable_by_now_is_a_canary(base, tmp_path):
    for name in "ab":
        run_pusher(make_model(tmp_path / name, name), base)
    first = min(map(int, os.listdir(base)))
    verdict = {"reason": "better than the baseline.", "champion": {"digest": served.stable_version(str(base)).digest}}
    roll_back(str(base))
    run_pusher(make_model(tmp_path / "c", "c"), base, verdict=verdict)
    state = served.read(str(base))
    assert (state.stable, state.canary) == (first, max(state.pushed))
    rival = {"champion": {"digest": served.stable_version(str(base)).digest}}
    run_pusher(make_model(tmp_path / "d", "d"), base, verdict=verdict | rival)
    assert served.read(str(base)).stable == max(map(int, os.listdir(base)))
    run_pusher(make_model(tmp_path / "e", "e"), base, verdict=verdict | {"champion": None})
    assert served.read(str(base)).stable == max(map(int, os.listdir(base)))
    card = base / str(served.read(str(base)).stable) / "assets.extra" / "model_card.md"
    assert "Blessed: better than the baseline." in card.read_text()


def test_refused_model_leaves_no_trace(base, tmp_path):
    pushed = run_pusher(make_model(tmp_path / "model"), base, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not base.parent.exists()


def test_model_is_known_by_its_content_and_nowhere_by_its_path(base, tmp_path):
    """As when the metadata is lost: paths begin again at 1, under which another model lies now."""
    run_pusher(make_model(tmp_path / "model" / "1", "first"), base)
    shutil.rmtree(tmp_path / "model")
    pushed = run_pusher(make_model(tmp_path / "model" / "1", "second"), base)
    assert contents(base) == ["first", "second"]
    assert pushed.get_string_custom_property("pushed_version") == sorted(os.listdir(base))[1]
    again = run_pusher(make_model(tmp_path / "model" / "2", "second"), base)
    assert contents(base) == ["first", "second"]
    assert again.get_string_custom_property("pushed_version") == pushed.get_string_custom_property("pushed_version")


def test_model_that_was_rolled_back_is_not_pushed_again_wherever_it_lies(base, tmp_path):
    for name in ("first", "second"):
        run_pusher(make_model(tmp_path / name, name), base)
    roll_back(str(base))
    assert run_pusher(make_model(tmp_path / "elsewhere", "second"), base).get_int_custom_property("pushed") == 0
    run_pusher(make_model(tmp_path / "third", "third"), base)
    assert run_pusher(make_model(tmp_path / "4", "second"), base).get_int_custom_property("pushed") == 0
    assert contents(base) == ["first", "second", "third"]


def test_reader_never_sees_half_a_model(base, tmp_path, monkeypatch):
    model = make_model(tmp_path / "model")
    seen = []
    copy = pusher.copy_model

    def copy_and_look(source, target):
        copy(source, target)
        seen.append(([name for name in os.listdir(base) if name.isdecimal()], served.stable_version(str(base))))

    monkeypatch.setattr(pusher, "copy_model", copy_and_look)
    thread = threading.Thread(target=run_pusher, args=(model, base))
    thread.start()
    thread.join()
    assert seen == [([], None)]
    assert contents(base) == ["weights"]


def test_model_on_another_file_system_is_copied(base):
    tf.io.gfile.makedirs("ram://higgs/pushed/Format-Serving/variables")
    with tf.io.gfile.GFile("ram://higgs/pushed/Format-Serving/variables/variables.data", "w") as file:
        file.write("from memory")
    model = standard_artifacts.Model()
    model.uri = "ram://higgs/pushed"
    run_pusher(model, base)
    assert contents(base) == ["from memory"]


def is_bad(version) -> bool:
    return "bad" in (version / "variables" / "variables.data").read_text()


@pytest.mark.parametrize("promote", ["automatic", "manual"])
def test_version_that_the_server_cannot_load_is_taken_back(base, tmp_path, promote):
    with serve_status(base.parent, is_bad) as url:
        run_pusher(make_model(tmp_path / "1", "good"), base, promote=promote, url=url)
        stable = served.stable_version(str(base))
        with pytest.raises(UnservableModelError) as error:
            run_pusher(make_model(tmp_path / "2", "bad"), base, promote=promote, url=url)
    bad = max(map(int, os.listdir(base)))
    assert str(error.value) == (
        f"A version that is pushed loads. Received: version {bad}, Could not load {bad}: out of memory, from {url}. "
        "The version before is served."
    )
    assert served.stable_version(str(base)) == stable
    assert served.read(str(base)).lists == {"": (stable.number,), "-canary": (stable.number,)}
    assert run_pusher(make_model(tmp_path / "3", "bad"), base).get_int_custom_property("pushed") == 0


def test_only_version_stays_though_it_does_not_load(base, tmp_path):
    with serve_status(base.parent, is_bad) as url, pytest.raises(UnservableModelError, match="there is no other"):
        run_pusher(make_model(tmp_path / "1", "bad"), base, url=url)
    assert contents(base) == ["bad"]


def test_version_that_the_server_never_hears_of_is_taken_back(base, tmp_path, monkeypatch):
    run_pusher(make_model(tmp_path / "1", "first"), base)
    monkeypatch.setattr(server, "LOAD_WAIT_S", 0.0)
    (tmp_path / "another").mkdir()
    with (
        serve_status(tmp_path / "another", is_bad) as url,
        pytest.raises(UnservableModelError, match="unknown after 0 s"),
    ):
        run_pusher(make_model(tmp_path / "2", "second"), base, url=url)
    assert served.stable_version(str(base)).number == min(map(int, os.listdir(base)))


def test_server_that_does_not_answer_takes_nothing_back(base, tmp_path):
    for name in ("first", "second"):
        run_pusher(make_model(tmp_path / name, name), base, url="http://127.0.0.1:9")
    assert served.stable_version(str(base)).number == max(map(int, os.listdir(base)))
