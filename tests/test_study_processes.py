"""Trainings side by side: whatever happens to a process, each is done, and as one process alone would do it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from events.errors import ModelError
from study.processes import side_by_side

ROOT = Path(__file__).parent.parent


def note(item: tuple[str, str]) -> None:
    """Leaves a file that names its process."""
    folder, name = item
    Path(folder, name).write_text(str(os.getpid()))
    time.sleep(0.2)


def fail(item) -> None:
    raise ModelError(f"Received: {item}.")


def die(item) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def items(folder, n_items: int) -> list[tuple[str, str]]:
    return [(str(folder), str(number)) for number in range(n_items)]


def wait_for(paths) -> None:
    """Waits until each is there, a minute at most."""
    end = time.monotonic() + 60
    while not all(path.exists() for path in paths) and time.monotonic() < end:
        time.sleep(0.05)


def meet(item: tuple[str, str]) -> None:
    """Leaves a file that names its process, and waits for that of another process that does not work on item 0."""
    note(item)
    folder, _ = item
    end = time.monotonic() + 60
    while len(processes(folder, besides="0")) < 2 and time.monotonic() < end:
        time.sleep(0.05)


def processes(folder, besides: str) -> set[str]:
    return {path.read_text() for path in Path(folder).iterdir() if path.name != besides} - {""}


def test_each_item_is_worked_on_once_and_all_but_the_first_by_two_others(tmp_path):
    done = list(side_by_side(note, meet, items(tmp_path, 20), 2))
    assert sorted(done) == sorted(items(tmp_path, 20))
    assert (tmp_path / "0").read_text() == str(os.getpid())
    others = processes(tmp_path, besides="0")
    assert len(others) == 2
    assert str(os.getpid()) not in others


def test_error_of_another_process_is_raised_here(tmp_path):
    with pytest.raises(ModelError, match=r"Received: \('.*', '1'\)"):
        list(side_by_side(lambda item: None, fail, items(tmp_path, 2), 2))


def test_work_of_a_killed_process_is_done_here(tmp_path, caplog):
    done = list(side_by_side(note, die, items(tmp_path, 5), 3))
    assert sorted(done) == items(tmp_path, 5)
    assert {path.read_text() for path in tmp_path.iterdir()} == {str(os.getpid())}
    assert len(list(tmp_path.iterdir())) == 5
    assert "its work is done here instead" in caplog.text


def test_other_processes_end_with_the_first(tmp_path):
    script = (
        "import sys, time\n"
        "from test_study_processes import items, note, side_by_side\n"
        "list(side_by_side(lambda item: time.sleep(1000), note, items(sys.argv[1], 100000), 2))\n"
    )
    main = tmp_path / "main.py"
    main.write_text(f"if __name__ == '__main__':\n    {script.replace(chr(10), chr(10) + '    ')}")
    folder = tmp_path / "notes"
    folder.mkdir()
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen([sys.executable, str(main), str(folder)], env={**os.environ, "PYTHONPATH": paths})
    wait_for([folder / "1"])
    other = int((folder / "1").read_text())
    process.kill()
    process.wait()
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{other}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{other}")
