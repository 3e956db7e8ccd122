import os
import threading

import pytest
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

from components import pusher
from components.pusher import Executor, push
from components.versions import labels, newest_version, on_offer, read_source, roll_back


def make_model(folder, content="weights"):
    (folder / "Format-Serving" / "variables").mkdir(parents=True)
    (folder / "Format-Serving" / "saved_model.pb").write_text("graph")
    (folder / "Format-Serving" / "variables" / "variables.data").write_text(content)
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return model


def run_pusher(model, base, blessed=True, origin="real"):
    blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    blessing.uri = model.uri
    blessing.set_int_custom_property("blessed", int(blessed))
    destination = pusher_pb2.PushDestination(filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(base)))
    properties = {
        "push_destination": proto_utils.proto_to_json(destination),
        "custom_config": json_utils.dumps({"origin": origin}),
    }
    Executor().Do({"model": [model], "model_blessing": [blessing]}, {"pushed_model": [pushed]}, properties)
    return pushed


def test_blessed_model_becomes_a_version_with_its_source(tmp_path):
    pushed = run_pusher(make_model(tmp_path / "model"), tmp_path / "serving", origin="simulated")
    [version] = os.listdir(tmp_path / "serving")
    assert pushed.get_string_custom_property("pushed_destination") == str(tmp_path / "serving" / version)
    assert (tmp_path / "serving" / version / "variables" / "variables.data").read_text() == "weights"
    assert read_source(str(tmp_path / "serving"), int(version)).splitlines()[1] == "rows: simulated"


def test_refused_model_leaves_no_trace(tmp_path):
    pushed = run_pusher(make_model(tmp_path / "model"), tmp_path / "serving", blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_model_that_is_already_the_newest_is_not_pushed_again_but_an_older_one_is(tmp_path):
    serving = tmp_path / "serving"
    first, second = make_model(tmp_path / "1"), make_model(tmp_path / "2")
    for model, n_versions in ((first, 1), (first, 1), (second, 2), (first, 3)):
        run_pusher(model, serving)
        assert len(os.listdir(serving)) == n_versions
    versions = sorted(int(name) for name in os.listdir(serving))
    assert len(set(versions)) == 3
    assert newest_version(str(serving)) == versions[-1]


def test_reader_never_sees_half_a_model(tmp_path, monkeypatch):
    model = make_model(tmp_path / "model")
    seen = []
    copied = pusher.io_utils.copy_dir

    def copy_slowly(source, target):
        copied(source, target)
        seen.append(newest_version(str(tmp_path / "serving")))

    monkeypatch.setattr(pusher.io_utils, "copy_dir", copy_slowly)
    thread = threading.Thread(target=run_pusher, args=(model, tmp_path / "serving"))
    thread.start()
    thread.join()
    assert seen == [0]
    assert newest_version(str(tmp_path / "serving")) > 0


def test_push_that_was_cut_off_is_done_again(tmp_path):
    make_model(tmp_path / "model")
    serving = tmp_path / "serving"
    (serving / "incoming-7").mkdir(parents=True)
    (serving / "incoming-7" / "rubbish").write_text("")
    push(str(tmp_path / "model" / "Format-Serving"), str(serving), 7, "here")
    assert sorted(os.listdir(serving / "7")) == ["assets.extra", "saved_model.pb", "variables"]


@pytest.mark.parametrize("name", ["incoming-9", "notes", "1a"])
def test_other_folders_are_no_versions(tmp_path, name):
    (tmp_path / name).mkdir()
    assert newest_version(str(tmp_path)) == 0


def test_model_that_was_rolled_back_is_not_pushed_again_but_another_one_is(tmp_path):
    serving = tmp_path / "serving"
    first, second, third = (make_model(tmp_path / name) for name in "123")
    for model in (first, second):
        run_pusher(model, serving)
    withdrawn, stable = roll_back(str(serving))
    pushed = run_pusher(second, serving)
    assert pushed.get_int_custom_property("pushed") == 0
    assert on_offer(str(serving)) == [stable]
    run_pusher(third, serving)
    assert run_pusher(second, serving).get_int_custom_property("pushed") == 0
    assert [read_source(str(serving), version).split()[1] for version in on_offer(str(serving))] == [
        first.uri,
        third.uri,
    ]
    assert max(on_offer(str(serving))) > withdrawn


def test_push_that_was_cut_off_before_its_label_gets_it_the_next_time(tmp_path):
    serving = tmp_path / "serving"
    first, second = make_model(tmp_path / "1"), make_model(tmp_path / "2")
    run_pusher(first, serving)
    before = (tmp_path / "models.config").read_text()
    run_pusher(second, serving)
    expected = labels(str(serving))
    (tmp_path / "models.config").write_text(before)
    run_pusher(second, serving)
    assert labels(str(serving)) == expected == dict(zip(("stable", "canary"), on_offer(str(serving)), strict=True))
