"""Two processes that change what is served at once: what comes of it is what one after the other would have made."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_serving_kills import check_whole
from test_versions import push

from serving import served, versions

N_TRIALS = 150
TESTS = Path(__file__).parent

# A process that does commands, one a line: its name, the folder, and when to begin.
WORKER = """
import json, sys, time
from events import files
from events.errors import VersionsError
from serving import versions

files.os.fsync = lambda handle: None  # no power is lost here, and the lock is held for a shorter time

def push(base):
    def copy(folder):
        with files.new_file(folder + "/saved_model.pb") as file:
            file.write(sys.argv[1].encode())
    versions.push(base, copy, promoted=sys.argv[2] == "automatic", keep=3)

commands = {"push": push, "promote": versions.promote, "rollback": versions.roll_back, "restore": versions.restore}
print(flush=True)
for line in sys.stdin:
    command, base, at = json.loads(line)
    while time.time() < at:
        pass
    try:
        commands[command](base)
        print("done", flush=True)
    except VersionsError as error:
        print("refused", flush=True)
"""
COMMANDS = ("push", "promote", "rollback", "restore")


class Worker:
    """One of the two processes."""

    def __init__(self, content: str, promote: str):
        command = [sys.executable, "-c", WORKER, content, promote]
        self._process = subprocess.Popen(
            command, cwd=TESTS.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._process.stdout.readline()

    def begin(self, command: str, base: Path, at: float) -> None:
        """Has it do a command at a time."""
        self._process.stdin.write(json.dumps([command, str(base), at]) + "\n")

    def end(self) -> str:
        """What came of it."""
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def workers():
    both = [Worker("x", "automatic"), Worker("y", "manual")]
    yield both
    for worker in both:
        worker.close()


def outcome(base: Path) -> tuple:
    """What is served, by contents in place of numbers; versions' folders are whole, and nothing else is there."""
    check_whole(base)
    state = served.read(str(base))
    kept = {str(version): version for version in state.pushed if version not in state.retired}
    assert {path.name for path in base.iterdir()} == set(kept)
    assert {path.name for path in base.parent.iterdir()} == {"higgs", "models.config", ".lock"}
    assert all(state.lists.values()) and max(state.lists[""]) == state.stable
    contents = {version: (base / name / "saved_model.pb").read_text() for name, version in kept.items()}
    lists = tuple(tuple(contents[version] for version in listed) for listed in state.lists.values())
    return lists, tuple((contents[version], state.state(version)) for version in sorted(kept.values()))


@pytest.fixture
def template(tmp_path) -> Path:
    """Three versions, the last of which is a canary, after a rollback that was undone."""
    base = tmp_path / "template" / "higgs"
    for content in "ab":
        push(base, content)
    versions.roll_back(str(base))
    versions.restore(str(base))
    push(base, "c", promoted=False)
    return base.parent


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [*itertools.combinations_with_replacement(COMMANDS, 2)])
def test_two_at_a_time_end_as_one_after_the_other(workers, template, tmp_path, first, second):
    def trial(name: str, at_once: bool, order=(0, 1)) -> tuple:
        shutil.copytree(template, tmp_path / name)
        base = tmp_path / name / "higgs"
        commands, ends = (first, second), ["", ""]
        at = versions.time.time() + 0.003
        for index in order:
            workers[index].begin(commands[index], base, at if at_once else 0.0)
            if not at_once:
                ends[index] = workers[index].end()
        if at_once:
            ends = [worker.end() for worker in workers]
        found = (*outcome(base), tuple(ends))
        shutil.rmtree(tmp_path / name)
        return found

    possible = [trial("in order", False), trial("the other way", False, (1, 0))]
    seen = {trial(str(n), True) for n in range(N_TRIALS)}
    assert seen <= set(possible)
