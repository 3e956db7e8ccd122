"""Commands killed at any operation on a file, or met there by a full disk: nothing is half, and again is enough."""

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from file_faults import DIES, DIES_AFTER, FULL, Faults, KilledError
from test_versions import push

from events import files
from serving import served, versions

NOW = 1795649889.0


def build(base: Path, *steps: Callable) -> None:
    """The state that a command starts from."""
    for step in steps:
        step(base)


def pushing(content: str, **options) -> Callable:
    return lambda base: push(base, content, describe=lambda v, d: ({"of": content}, {"card.md": content}), **options)


def at(command: Callable, **options) -> Callable:
    return lambda base: command(str(base), **options)


def ageing(base: Path) -> None:
    """Makes what happened so far older than any server's memory."""
    path = base.parent / "models.config"
    path.write_text(path.read_text().replace('"at": "2026', '"at": "2025'))


ALL = tuple(map(pushing, "abcd"))
COMMANDS = {
    "first push": ((), pushing("a")),
    "push": (ALL[:1], pushing("b")),
    "push of a canary": (ALL[:2], pushing("c", promoted=False)),
    "push that retires two": ((*ALL, ageing), pushing("e", keep=2)),
    "push of what is served": (ALL[:2], pushing("b")),
    "push of the canary": ((ALL[0], pushing("b", promoted=False)), pushing("b")),
    "push of what was rolled back": ((*ALL[:2], at(versions.roll_back)), pushing("b")),
    "promote": ((ALL[0], pushing("b", promoted=False)), at(versions.promote)),
    "rollback": (ALL[:3], at(versions.roll_back)),
    "rollback of a canary": ((ALL[0], pushing("b", promoted=False)), at(versions.roll_back)),
    "restore": ((*ALL[:2], at(versions.roll_back)), at(versions.restore)),
    "withdraw": (ALL[:2], lambda base: versions.withdraw(str(base), int(NOW) + 1, "broken")),
}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands, so that every trial gives the same numbers."""
    monkeypatch.setattr(versions.time, "time", lambda: NOW)


def snapshot(root: Path) -> dict[str, str]:
    """Every file below the serving folder, and every folder."""
    return {str(path.relative_to(root)): path.read_text() if path.is_file() else "" for path in root.rglob("*")}


def run(base: Path, command: Callable, monkeypatch, faults: Faults | None = None) -> object:
    with (faults or Faults()).at_work(monkeypatch, files):
        return command(base)


def check_whole(base: Path) -> None:
    """What TF Serving is told to load is there, as it was pushed."""
    state = served.read(str(base))
    for version in state.listed:
        found = served.find(str(base), state, version)
        assert served.digest_model(found.folder) == found.digest


@dataclasses.dataclass
class Trial:
    """One command on copies of one state."""

    before: Path
    command: Callable

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.before, to)
        return to / "higgs"


@pytest.fixture(params=COMMANDS)
def trial(request, tmp_path) -> Trial:
    steps, command = COMMANDS[request.param]
    (tmp_path / "before").mkdir()
    build(tmp_path / "before" / "higgs", *steps)
    return Trial(tmp_path / "before", command)


def test_command_that_is_killed_anywhere_is_completed_or_undone_by_its_repetition(trial, tmp_path, monkeypatch):
    base = trial.copy(tmp_path / "whole")
    faults = Faults()
    result = run(base, trial.command, monkeypatch, faults)
    expected = snapshot(base.parent)
    configs = [snapshot(folder).get("models.config", "") for folder in (trial.before, base.parent)]
    assert faults.n_done > 0
    for n, kind in itertools.product(range(1, faults.n_done + 1), (DIES, DIES_AFTER)):
        base = trial.copy(tmp_path / f"{n} {kind}")
        with pytest.raises(KilledError):
            run(base, trial.command, monkeypatch, Faults(n, kind))
        assert snapshot(base.parent).get("models.config", "") in configs
        check_whole(base)
        assert run(base, trial.command, monkeypatch) == result
        assert snapshot(base.parent) == expected
        shutil.rmtree(base.parent)


def test_any_other_command_cleans_up_after_a_push_that_was_killed(tmp_path, monkeypatch):
    steps, command = COMMANDS["push that retires two"]
    (tmp_path / "before").mkdir()
    build(tmp_path / "before" / "higgs", *steps)
    trial = Trial(tmp_path / "before", command)
    faults = Faults()
    run(trial.copy(tmp_path / "whole"), command, monkeypatch, faults)
    for n in range(1, faults.n_done + 1):
        base = trial.copy(tmp_path / str(n))
        with pytest.raises(KilledError):
            run(base, command, monkeypatch, Faults(n))
        run(base, at(versions.roll_back), monkeypatch)
        state = served.read(str(base))
        there = {str(version) for version in state.pushed if version not in state.retired}
        assert set(os.listdir(base)) == there
        assert set(os.listdir(base.parent)) == {"higgs", "models.config", ".lock"}
        assert (base.parent / ".lock").read_text() == ""
        shutil.rmtree(base.parent)


def test_full_disk_leaves_nothing_and_changes_nothing_but_what_is_done(trial, tmp_path, monkeypatch):
    base = trial.copy(tmp_path / "whole")
    faults = Faults()
    result = run(base, trial.command, monkeypatch, faults)
    before, expected = snapshot(trial.before), snapshot(base.parent)
    before.setdefault(".lock", "")  # an empty file
    for n in range(1, faults.n_done + 1):
        base = trial.copy(tmp_path / str(n))
        with contextlib.suppress(OSError):
            run(base, trial.command, monkeypatch, Faults(n, FULL))
        assert snapshot(base.parent) | {".lock": ""} in (before, expected)
        assert run(base, trial.command, monkeypatch) == result
        assert snapshot(base.parent) == expected
        shutil.rmtree(base.parent)


def test_nothing_that_has_its_name_is_lost_with_the_power(trial, tmp_path, monkeypatch):
    base = trial.copy(tmp_path / "whole")
    faults = Faults()
    run(base, trial.command, monkeypatch, faults)  # which asserts that files are on the disk before they are renamed
    assert not {path for path in faults.dirty if os.path.exists(path)} - {str((base.parent / ".lock").resolve())}


@pytest.mark.parametrize("forgotten", ["files", "folders"])
def test_forgetting_to_bring_something_to_the_disk_is_noticed(tmp_path, monkeypatch, forgotten):
    @contextlib.contextmanager
    def new_file(path):
        with files.open(path, "wb") as file:
            yield file

    if forgotten == "files":
        monkeypatch.setattr(files, "new_file", new_file)
    else:
        monkeypatch.setattr(files, "sync_folder", lambda path: None)
    (tmp_path / "serving").mkdir()
    with pytest.raises(AssertionError, match="named before it is whole"):
        run(tmp_path / "serving" / "higgs", pushing("a"), monkeypatch)
