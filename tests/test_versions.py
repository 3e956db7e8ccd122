"""Push, promote, rollback, restore: what they lead to, and what a server makes of it."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server import ModelServer

from cli.main import cli
from events import files
from events.errors import VersionsError
from serving import served, versions

ROOT = Path(__file__).parent.parent


def push(base, content: str, **options) -> versions.Pushed:
    """Pushes a model whose only file has this content."""

    def copy(folder: str) -> None:
        with files.new_file(os.path.join(folder, "saved_model.pb")) as file:
            file.write(content.encode())

    return versions.push(str(base), copy, **options)


def names(base) -> list[list[str]]:
    """What TF Serving is told to load under its two names, by the versions' contents."""
    lists = served.read(str(base)).lists.values()
    return [[(Path(base) / str(version) / "saved_model.pb").read_text() for version in listed] for listed in lists]


def folders(base) -> list[str]:
    """What the folders hold that are there, in the order of their names."""
    there = sorted(os.listdir(base))
    assert all(name.isdecimal() for name in there), there
    return [(Path(base) / name / "saved_model.pb").read_text() for name in there]


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "higgs"


@pytest.fixture
def later(monkeypatch):
    """Makes time pass."""

    def pass_by(seconds: float) -> None:
        started = versions.time.time()
        monkeypatch.setattr(versions.time, "time", lambda: started + seconds)

    return pass_by


def test_first_version_is_stable_however_it_is_promoted(base):
    push(base, "a", promoted=False)
    assert names(base) == [["a"], ["a"]]


def test_version_is_stable_once_pushed_and_the_one_before_stays_loaded(base):
    for content in "abc":
        push(base, content)
    assert names(base) == [["b", "c"], ["b", "c"]]


def test_canary_answers_under_its_own_name_until_it_is_promoted(base):
    push(base, "a")
    canary = push(base, "b", promoted=False).version
    assert names(base) == [["a"], ["a", "b"]]
    assert versions.promote(str(base)) == canary
    assert names(base) == [["a", "b"], ["a", "b"]]
    push(base, "c", promoted=False)
    assert names(base) == [["b"], ["b", "c"]]
    push(base, "d", promoted=False)
    assert names(base) == [["b"], ["b", "d"]]


def test_version_on_offer_can_be_promoted_by_its_number(base):
    push(base, "a")
    passed_over, canary = (push(base, content, promoted=False).version for content in "bc")
    assert versions.promote(str(base), passed_over) == passed_over
    assert names(base) == [["a", "b"], ["a", "b"]]
    assert served.read(str(base)).state(canary) == "on offer"


def test_rollback_returns_to_the_version_that_was_stable_before_not_to_a_mere_canary(base):
    push(base, "a")
    push(base, "b", promoted=False)  # never promoted
    push(base, "c")
    versions.roll_back(str(base))
    assert names(base) == [["a"], ["a"]]


def test_rollback_of_a_canary_leaves_the_stable_version(base):
    for content in "ab":
        push(base, content)
    canary = push(base, "c", promoted=False).version
    assert versions.roll_back(str(base))[0] == (canary,)
    assert names(base) == [["b"], ["b"]]


def test_commands_that_are_repeated_go_no_step_further(base):
    for content in "abc":
        push(base, content)
    once = versions.roll_back(str(base))
    assert versions.roll_back(str(base)) == once
    assert names(base) == [["b"], ["b"]]
    once = versions.restore(str(base))
    assert versions.restore(str(base)) == once
    assert names(base) == [["b", "c"], ["b", "c"]]
    push(base, "d", promoted=False)
    assert versions.promote(str(base)) == versions.promote(str(base))
    assert names(base) == [["c", "d"], ["c", "d"]]


def test_rollback_to_a_version_takes_all_that_came_after_it_and_can_be_undone(base):
    numbers = [push(base, content).version for content in "abcd"]
    assert versions.roll_back(str(base), numbers[1]) == ((numbers[2], numbers[3]), numbers[1])
    assert names(base) == [["b"], ["b"]]
    assert push(base, "c").rolled_back == numbers[2]
    versions.restore(str(base))
    assert names(base) == [["c", "d"], ["c", "d"]]
    assert served.read(str(base)).previous == numbers[2]


def test_same_model_is_one_version_wherever_it_comes_from(base):
    first = push(base, "a")
    assert push(base, "a") == first
    second = push(base, "b")
    third = push(base, "a")  # not what is served, though it was once
    assert second.version < third.version
    assert folders(base) == ["a", "b", "a"]


def test_canary_that_is_pushed_again_to_be_stable_is_promoted(base):
    push(base, "a")
    canary = push(base, "b", promoted=False)
    assert push(base, "b") == canary
    assert names(base) == [["a", "b"], ["a", "b"]]


def test_model_that_was_rolled_back_is_not_pushed_again_until_it_is_restored(base):
    push(base, "a")
    second = push(base, "b").version
    versions.roll_back(str(base))
    assert push(base, "b") == versions.Pushed(0, rolled_back=second)
    assert folders(base) == ["a", "b"]
    versions.restore(str(base))
    assert push(base, "b") == versions.Pushed(second)


def test_veto_outlives_the_folder(base, later):
    push(base, "a")
    bad = push(base, "b").version
    versions.roll_back(str(base))
    for content in "cde":
        later(3600)
        push(base, content, keep=2)
    assert folders(base) == ["c", "d", "e"]  # c was listed until now
    assert push(base, "b").rolled_back == bad


def test_restore_undoes_the_last_change_only(base):
    for content in "ab":
        push(base, content)
    with pytest.raises(VersionsError, match=r"Received: a push as the last one in .*\. See higgs serving status\."):
        versions.restore(str(base))
    versions.roll_back(str(base))
    push(base, "c")
    with pytest.raises(VersionsError, match="Received: a push as the last one"):
        versions.restore(str(base))


def test_versions_are_kept_to_so_many_but_never_less_than_are_needed(base, later):
    first = push(base, "a").version
    for content in "bcdefg":
        later(3600)
        push(base, content, promoted=False, keep=3)
    assert served.read(str(base)).stable == first
    assert folders(base) == ["a", "f", "g"]
    assert names(base) == [["a"], ["a", "g"]]
    state = served.read(str(base))
    assert [state.state(version) for version in state.pushed] == [
        "stable",
        "retired",
        "retired",
        "retired",
        "retired",
        "on offer",
        "canary",
    ]


def test_no_folder_goes_before_there_are_more_than_are_kept(base, later):
    for content in "abcd":
        later(3600)
        push(base, content, keep=4)
    assert folders(base) == ["a", "b", "c", "d"]
    later(3600)
    push(base, "e", keep=4)
    assert folders(base) == ["b", "c", "d", "e"]


def test_folder_that_a_server_may_still_list_stays(base, later):
    for content in "abcd":
        push(base, content, keep=2)
    assert folders(base) == ["a", "b", "c", "d"]  # all were listed less than a minute ago
    later(61)
    push(base, "e", keep=2)
    assert folders(base) == ["c", "d", "e"]  # c was listed until now


def test_no_number_is_used_twice(base, monkeypatch):
    monkeypatch.setattr(versions.time, "time", lambda: 5.0)  # a clock that stands
    assert [push(base, content).version for content in "abc"] == [5, 6, 7]
    (base / "40").mkdir()
    assert push(base, "d").version == 41
    assert (base / "40").is_dir()  # nobody's to remove


def test_folder_that_is_not_as_it_was_pushed_is_never_named(base):
    first, second = (push(base, content).version for content in "ab")
    (base / str(first) / "saved_model.pb").write_text("A")
    before = (base.parent / "models.config").read_text()
    with pytest.raises(VersionsError, match=rf"Received: {base / str(first)}, whose files are others or missing"):
        versions.roll_back(str(base))
    assert (base.parent / "models.config").read_text() == before
    (base / str(second) / "saved_model.pb").unlink()
    push(base, "c", promoted=False)
    assert names(base) == [["c"], ["c"]]  # there is no other that could be stable


def test_no_folder_is_renamed_after_it_has_appeared(base, later, monkeypatch):
    renamed = []
    rename = os.rename
    monkeypatch.setattr(files.os, "rename", lambda source, to: (renamed.append(Path(source).name), rename(source, to)))
    for content in "abcdef":
        push(base, content, promoted=content in "abc", keep=2)
        later(3600)
    versions.promote(str(base))
    versions.roll_back(str(base))
    versions.restore(str(base))
    assert len(renamed) == 6
    assert all(name.startswith("incoming-") for name in renamed)


def test_models_beside_each_other_keep_their_entries(tmp_path):
    for name in ("higgs", "other"):
        push(tmp_path / "serving" / name, "a")
    push(tmp_path / "serving" / "higgs", "b")
    assert names(tmp_path / "serving" / "higgs") == [["a", "b"], ["a", "b"]]
    assert names(tmp_path / "serving" / "other") == [["a"], ["a"]]


@pytest.mark.parametrize(
    ("base", "received"), [("gs://bucket/serving/higgs", "gs://bucket"), ("/tmp/s/a-canary", "a-canary")]
)
def test_place_that_cannot_keep_versions_is_one_line(base, received):
    with pytest.raises(VersionsError, match=rf"Received: {received}"):
        push(base, "a")


def test_version_that_does_not_load_is_taken_back(base):
    first = push(base, "a").version
    assert not versions.withdraw(str(base), first, "out of memory")  # there is no other
    second = push(base, "b").version
    assert versions.withdraw(str(base), second, "out of memory")
    assert names(base) == [["a"], ["a"]]
    assert served.read(str(base)).last.reason == "out of memory"
    third, fourth = (push(base, content).version for content in "cd")
    assert versions.withdraw(str(base), third, "too late")  # the next one is there already
    assert names(base) == [["d"], ["d"]]
    assert served.read(str(base)).previous == first
    assert served.read(str(base)).stable == fourth


def test_version_that_is_withdrawn_goes_alone(base):
    first, second, _ = (push(base, content).version for content in "abc")
    assert names(base) == [["b", "c"], ["b", "c"]]
    assert versions.withdraw(str(base), first, "out of memory")  # which a rollback could have returned to
    assert names(base) == [["b", "c"], ["b", "c"]]
    push(base, "d", promoted=False)
    assert versions.withdraw(str(base), second, "out of memory")
    assert names(base) == [["c"], ["c", "d"]]
    assert served.read(str(base)).previous == 0


PUSHES = st.tuples(st.sampled_from(["push", "canary"]), st.sampled_from(["loads", "loads", "does not load"]))
ROLLBACKS = st.tuples(st.just("roll back"), st.integers(0, 4))  # to so many stable versions before this one
OTHERS = st.sampled_from([("roll back", None), ("promote", None), ("restore", None)])
LOOKS = st.sampled_from([True, True, True, False])  # whether the server looks before the next command
COMMANDS = st.lists(st.tuples(st.one_of(PUSHES, PUSHES, ROLLBACKS, OTHERS), LOOKS), min_size=10, max_size=60)


@settings(derandomize=True, deadline=None, database=None, max_examples=30)
@given(commands=COMMANDS)
def test_no_sequence_of_commands_confuses_a_server(commands):
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "serving" / "higgs"
        push(base, "0")
        server = ModelServer(base.parent, set())
        was_stable = {served.read(str(base)).stable}
        for step, ((command, detail), looks) in enumerate(commands):
            with contextlib.suppress(VersionsError):  # what is not possible now; nothing has changed then
                change(command, detail, base, step, server)
            state = served.read(str(base))
            was_stable.add(state.stable)
            if not looks:
                continue
            server.poll()
            assert server.answers("higgs") in was_stable
            server.read_config()
            assert server.answers("higgs") == state.stable
            assert server.answers("higgs-canary") == (state.canary or state.stable)
            assert not [version for version in server.managed["higgs"] if state.state(version) == "rolled back"]


def change(command: str, detail, base, step: int, server: ModelServer) -> None:
    """One command; a version that does not load is taken back."""
    if command in ("push", "canary"):
        version = push(base, f"model {step}", promoted=command == "push", keep=3).version
        if detail == "does not load":
            server.broken.add(version)
            server.read_config()
            assert server.status("higgs" if command == "push" else "higgs-canary", version) == "END"
            assert server.answers("higgs") != version
            versions.withdraw(str(base), version, "out of memory")
            server.read_config()
            server.broken.clear()
    elif detail is not None:
        state = served.read(str(base))
        stable = [state.stable, *reversed(state.before)]
        versions.roll_back(str(base), stable[min(detail, len(stable) - 1)])
    else:
        {"roll back": versions.roll_back, "promote": versions.promote, "restore": versions.restore}[command](str(base))


def test_server_starts_again_with_a_broken_canary_and_with_a_broken_new_version(base):
    first, second = push(base, "a").version, push(base, "b", promoted=False).version
    server = ModelServer(base.parent, {second})
    assert server.answers("higgs") == server.answers("higgs-canary") == first
    versions.promote(str(base))
    server = ModelServer(base.parent, {second})
    assert server.answers("higgs") == server.answers("higgs-canary") == first


def higgs_serving(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["serving", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


ABOUT = {"architecture": "combined", "n_rows": 8000, "origin": "simulated", "bce": 0.51234, "auc": 0.8166, "run": "r1"}


def test_commands_show_promote_roll_back_and_restore(base, tmp_path, monkeypatch):
    monkeypatch.setattr(versions.time, "time", lambda: 1795649889.0)
    push(base, "a")
    push(base, "b", promoted=False, describe=lambda version, digest: (ABOUT, {}))
    output = ("--output", tmp_path)
    code, table = higgs_serving("status", *output)
    assert code == 0
    assert table.splitlines() == [
        "version     state   pushed (UTC)         architecture  trained on       eval BCE  AUC    run",
        "1795649890  canary  2026-11-25 23:38:09  combined      8,000 simulated  0.5123    0.817  r1",
        "1795649889  stable  2026-11-25 23:38:09",
    ]
    assert higgs_serving("promote", *output) == (0, "Stable: 1795649890.\n")
    assert higgs_serving("rollback", *output) == (0, "Rolled back: 1795649890. Stable: 1795649889.\n")
    assert higgs_serving("restore", *output) == (0, "Restored: 1795649890. Stable: 1795649890.\n")
    assert higgs_serving("rollback", *output, "--to", 1795649889) == (
        0,
        "Rolled back: 1795649890. Stable: 1795649889.\n",
    )
    states = [line.split("  ")[1] for line in higgs_serving("status", *output)[1].splitlines()[1:]]
    assert states == ["rolled back", "stable"]


WRONG = {
    "nothing to promote": (("promote",), "A canary is promoted. Received: none in "),
    "one that is older": (("promote", 1795649889), "Received: 1795649889, on offer; 1795649890 is stable."),
    "one that is unknown": (("promote", 1795649999), "Received: 1795649999, which was never pushed;"),
    "nothing to restore": (("restore",), "Received: a push as the last one in "),
    "back to nowhere": (("rollback", "--to", 7), "Received: 7, which was never pushed. See higgs serving status."),
}


@pytest.mark.parametrize("fault", WRONG)
def test_command_that_is_not_possible_is_one_line_and_changes_nothing(base, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(versions.time, "time", lambda: 1795649889.0)
    for content in "ab":
        push(base, content)
    before = (base.parent / "models.config").read_text()
    arguments, expected = WRONG[fault]
    code, message = higgs_serving(*arguments, "--output", tmp_path)
    assert (code, message.count("\n"), expected in message) == (2, 1, True), message
    assert (base.parent / "models.config").read_text() == before


def test_rollback_of_the_only_version_is_one_line(base, tmp_path):
    push(base, "a")
    code, message = higgs_serving("rollback", "--output", tmp_path)
    assert code == 2
    assert message.startswith("Error: A rollback needs an earlier version that was stable. Received: ")


@pytest.mark.parametrize("command", ["status", "rollback", "promote", "restore"])
def test_command_without_versions_is_one_line(tmp_path, command):
    code, message = higgs_serving(command, "--output", tmp_path)
    assert code == 2
    assert message.startswith("Error: A model must have been pushed. Received: no version in ")
    assert message.count("\n") == 1


def test_status_takes_less_than_a_second_and_neither_tensorflow_nor_tfx(base, tmp_path):
    for content in "ab":
        push(base, content)
    code = (
        "import sys, time, resource; from cli.main import cli; cli(sys.argv[1:], standalone_mode=False);"
        "usage = resource.getrusage(resource.RUSAGE_SELF); print(usage.ru_utime + usage.ru_stime);"
        "print({'tensorflow', 'tfx', 'google.protobuf', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "serving", "status", "--output", str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["state", "stable", "on"]
    assert float(lines[-2]) < 1.0
    assert lines[-1] == "set()"
