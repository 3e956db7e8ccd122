"""`higgs run` killed at any operation on a file, or met there by a full disk: nothing is half, and again is enough.

A run is recorded once, by strace, with all that it does to files. What a kill leaves behind is what the folder held
at that moment; the same command is run there. A disk that is full is a real one, of as many blocks or files.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import file_history
import pytest
import run_recordings
from file_history import Files, History
from run_recordings import DATABASE, JOURNAL, NAMESPACE, Forks, Recorded, spread

from serving import served

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace: apt-get install strace")

RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d\.\d+")  # a run's name
BETWEEN = re.compile(r"(^|/)(incoming-|\.[^/]*\.unfinished$|\.lock$)|\.partial$")  # names of what is not there yet
FIRST, BESIDE = "first", "beside a champion"  # runs that are recorded
N_SOME, N_MANY = 4, 240  # kills of a run
N_FULL, N_MANY_FULL = 2, 30  # full disks
PAGE_BYTES = 4096
ROOMY = "size=1g,nr_inodes=10000"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Recorded]:
    """Runs none of whose stages is a stub but training."""
    folder = tmp_path_factory.mktemp("recorded").resolve()
    return dict(zip((FIRST, BESIDE), run_recordings.record(folder), strict=True))


@pytest.fixture(params=[FIRST, BESIDE])
def recorded(recordings, request) -> Recorded:
    return recordings[request.param]


@pytest.fixture(scope="module")
def forks(recordings):
    """Forks whose output folder is a disk of their own, where that can be."""
    output = recordings[FIRST].output
    mounts = not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode
    forks = Forks(output.with_name("kept"), "replay", NAMESPACE if mounts else ())
    if mounts:
        assert forks.do("mount", "-t", "tmpfs", "-o", ROOMY, "tmpfs", str(output))[0] == 0
    yield forks
    forks.close()


def test_what_is_recorded_is_what_was_done(recorded):
    history = History(recorded.output, recorded.before)
    for operation in filter(history.covers, recorded.operations):
        history.do(operation)
    assert history.files == recorded.first


def named(files: Files) -> Files:
    """What has a name that somebody goes by, but for stages' outputs, whose names are in the database."""
    found = {path: content for path, content in files.items() if content is not None and not BETWEEN.search(path)}
    return {path: found[path] for path in found if path.split("/")[0] in ("data", "results", "serving")}


def outputs(files: Files, output: Path, folder: Path) -> list[str]:
    """What the database says stages have made, by path below `output`; `folder` takes a copy of it."""
    file_history.restore({path: files[path] for path in (DATABASE, JOURNAL) if path in files}, folder)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        rows = database.execute("select uri from Artifact where state = 2") if "Artifact" in tables else ()
        return [os.path.relpath(uri, output) for (uri,) in rows if uri.startswith(f"{output}/")]


def below(files: Files, folder: str) -> Files:
    return {path.removeprefix(f"{folder}/"): files[path] for path in files if path.startswith(f"{folder}/")}


def check_whole(recorded: Recorded, files: Files, root: Path) -> None:
    """Nothing half-written has a final name, and what is served is whole: the old model or the new one."""
    whole = {}
    for recording in (recorded.before, recorded.first, recorded.second):
        for path, content in named(recording).items():
            whole.setdefault(RUN.sub("RUN", path), []).append(_timeless(path, content))
    for path, content in named(files).items():
        assert _timeless(path, content) in whole[RUN.sub("RUN", path)], f"{path} is half"
    for folder in outputs(files, recorded.output, recorded.output.with_name("database")):
        assert below(files, folder) == below(recorded.first, folder), f"{folder} is half"
    base = str(root / "serving" / "higgs")
    version = served.stable_version(base)
    assert version or not recorded.before, "nothing is served"
    assert not version or served.digest_model(version.folder) == version.digest, "what is served is half"


def check_again(recorded: Recorded, files: Files) -> None:
    """All is as after a run that was not disturbed, or after two; nothing is left over."""
    verdicts = [json.loads(_summary(whole))["verdict"] for whole in (recorded.first, recorded.second)]
    assert json.loads(_summary(files))["verdict"] in verdicts
    for folder in ("serving", "data"):
        found, expected = (below(whole, folder) for whole in (files, recorded.first))
        assert {path: _timeless(path, found[path]) for path in found} == {
            path: _timeless(path, expected[path]) for path in expected
        }
    assert _kinds(files) <= _kinds(recorded.first) | _kinds(recorded.second), "left over"
    made = {path for path in files if re.fullmatch(r"artifacts/[^/]+/[^./][^/]*/[^/]+", path) and files[path] is None}
    assert made == set(outputs(files, recorded.output, recorded.output.with_name("database")))


def _summary(files: Files) -> bytes:
    return files[max(path for path in files if path.endswith("/summary.json"))]


def _timeless(path: str, content: bytes | None) -> object:
    """What does not depend on when a file was written: of a summary its fields, or all if it is half."""
    if content is not None and path.endswith("/summary.json") and content.endswith(b"}\n"):
        return sorted(json.loads(content))
    return content and RUN.sub("RUN", content.decode("latin-1"))


def _kinds(files: Files) -> set[str]:
    """The paths without the numbers in them."""
    return {re.sub(r"\d+", "N", path) for path in files if not path.startswith("logs/")}


def kill_and_run_again(recorded: Recorded, forks: Forks, files: Files) -> None:
    """Runs the command where another one was killed."""
    root = forks.seen(recorded.output)
    file_history.restore(files, root)
    check_whole(recorded, files, root)
    code, said = forks.do(*recorded.command)
    assert code == 0, said
    check_again(recorded, file_history.look(root))


def fill_and_run_again(recorded: Recorded, forks: Forks, room: str) -> None:
    """Runs the command on a disk with so much room, and again on one with more."""
    output, root = str(recorded.output), forks.seen(recorded.output)
    assert forks.do("mount", "-o", f"remount,{ROOMY}", output)[0] == 0
    file_history.restore(recorded.before, root)
    assert forks.do("mount", "-o", f"remount,{room}", output)[0] == 0
    code, said = forks.do(*recorded.command)
    assert "Traceback" not in said, said
    if code:  # if there is no room for the report alone, the run does not fail
        assert code == 2, said
        assert re.fullmatch(r"Error: .* (room|disk)\b.*", said.splitlines()[-1]), said
        assert said.count("Error") == 1, said
    files = file_history.look(root)
    check_whole(recorded, files, root)
    left = [path for path in files if BETWEEN.search(path) and not path.endswith(".lock")]
    assert not left, f"left over: {left}"
    assert forks.do("mount", "-o", f"remount,{ROOMY}", output)[0] == 0
    code, said = forks.do(*recorded.command)
    assert code == 0, said
    check_again(recorded, file_history.look(root))


def try_all(trial, recorded: Recorded, forks: Forks, disturbances: dict) -> None:
    """Disturbs a run in every one of these ways; tells of all that went wrong."""
    faults, started = {}, time.monotonic()
    for name, disturbance in disturbances.items():
        try:
            trial(recorded, forks, disturbance)
        except AssertionError as error:
            faults[name] = str(error)
    print(f"{len(disturbances)} in {time.monotonic() - started:.0f} s")
    assert not faults, "\n".join(f"{name}: {error}" for name, error in faults.items())


@pytest.mark.parametrize("n_kills", [N_SOME, pytest.param(N_MANY, marks=pytest.mark.slow)])
def test_run_that_was_killed_is_completed_by_its_repetition(recorded, forks, n_kills):
    states = list(recorded.states())
    print(f"{n_kills} of {len(states)} states")
    try_all(kill_and_run_again, recorded, forks, dict(spread(states, n_kills)))


@pytest.mark.parametrize("n_disks", [N_FULL, pytest.param(N_MANY_FULL, marks=pytest.mark.slow)])
def test_run_on_a_full_disk_fails_in_a_line_and_is_completed_where_there_is_room(recorded, forks, n_disks):
    if not os.path.ismount(forks.seen(recorded.output)):
        pytest.skip("needs mounts of one's own: unshare --map-root-user --mount")
    sizes, counts = (range(*ends) for ends in zip(_size(recorded.before), _size(recorded.first), strict=True))
    rooms = [f"size={n * PAGE_BYTES},nr_inodes=10000" for n in spread(sizes, n_disks)]
    rooms += [f"size=1g,nr_inodes={n}" for n in spread(counts, n_disks)]
    print(f"{len(rooms)} of {len(sizes) + len(counts)} sizes")
    try_all(fill_and_run_again, recorded, forks, {room: room for room in rooms})


def _size(files: Files) -> tuple[int, int]:
    """How many pages and how many inodes a disk needs to hold that."""
    return sum(-(-len(content or b"") // PAGE_BYTES) for content in files.values()) + 1, len(files) + 2


def test_names_are_given_to_what_is_on_the_disk(recorded):
    history, unsynced, n_renamed = History(recorded.output, recorded.before), set(), 0
    for operation in filter(history.covers, recorded.operations):
        path, name = operation.path, operation.name
        if name.startswith("rename") and _is_final(os.path.relpath(path, recorded.output)):
            source = operation.paths[0]
            assert not [other for other in unsynced if f"{other}/".startswith(f"{source}/")], f"{path} may be empty"
            n_renamed += 1
        if "write" in name or name in ("sendfile", "ftruncate"):
            unsynced.add(operation.paths[0])
        elif name in ("fsync", "fdatasync"):
            unsynced.discard(path)
    assert n_renamed > 20


def _is_final(name: str) -> bool:
    """Whether somebody goes by a name that does not depend on the database."""
    return name.split("/")[0] in ("data", "results", "serving")
