"""Files that appear whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from events.files import read_arrays, remove_unfinished, whole

WRITING = """
import sys
from events.files import whole
with whole(sys.argv[1]) as file:
    file.write("half")
    print("here", flush=True)
    sys.stdin.readline()
"""


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start_writing(path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    return process


@pytest.mark.parametrize(("mode", "content"), [("w", "text"), ("wb", b"bytes")])
def test_file_appears_when_it_is_complete(tmp_path, mode, content):
    path = tmp_path / "file"
    with whole(path, mode) as file:
        file.write(content)
        assert not path.exists()
    assert path.read_bytes().decode() == ("text" if mode == "w" else "bytes")
    assert names(tmp_path) == ["file"]


def test_file_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole(path) as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_file_is_on_the_disk_before_it_has_its_name_and_its_name_is_afterwards(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append(("folder" if is_folder else os.fstat(descriptor).st_size, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    with whole(path) as file:
        file.write("five!")
    assert calls == [(5, False), "rename", ("folder", True)]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"), whole(tmp_path / "file") as file:
        file.write("text")
    assert names(tmp_path) == []


def test_what_a_killed_writer_left_goes_with_the_next_write_and_other_files_stay(tmp_path):
    process = start_writing(tmp_path / "file")
    process.kill()
    process.communicate()
    [left] = names(tmp_path)
    assert left.startswith(".file.")
    (tmp_path / "other.unfinished").write_text("somebody's own")
    with whole(tmp_path / "fil"):
        pass
    assert left in names(tmp_path)
    with whole(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["fil", "file", "other.unfinished"]


def test_writer_at_work_keeps_its_file_and_the_last_to_end_wins(tmp_path):
    path = tmp_path / "file"
    process = start_writing(path)
    remove_unfinished(tmp_path)
    with whole(path) as file:
        file.write("mine")
    assert len(names(tmp_path)) == 2
    process.communicate("\n")
    assert process.returncode == 0
    assert path.read_text() == "half"
    assert names(tmp_path) == ["file"]


def test_interrupted_writer_leaves_nothing(tmp_path):
    process = start_writing(tmp_path / "file")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert names(tmp_path) == []


def test_file_has_the_mode_of_a_new_one_whatever_it_replaces(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    umask = os.umask(0o022)
    try:
        with whole(path):
            pass
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_link_stays_one_and_pipe_is_written_to(tmp_path):
    (tmp_path / "link").symlink_to("file")
    with whole(tmp_path / "link") as file:
        file.write("text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with whole(tmp_path / "pipe") as file:
        file.write("through")
    reader.join()
    assert read == ["through"]
    assert names(tmp_path) == ["file", "link", "pipe"]


def test_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError), whole(tmp_path):
        pass


def test_damaged_arrays_are_said_to_be_or_read_as_they_were(tmp_path):
    path = tmp_path / "arrays.npz"
    arrays = {"labels": np.arange(20, dtype=np.int8), "digest": np.array("0" * 64)}
    np.savez(path, **arrays)
    content = path.read_bytes()
    damaged = [content[:n_bytes] for n_bytes in range(len(content))]
    for place in range(len(content)):
        for change in (1, 64, 255):  # among them bits of encryption, compression and version
            damaged.append(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
    n_refused = 0
    for found in damaged:
        path.write_bytes(found)
        try:
            read = read_arrays(path)
        except ValueError as error:
            assert str(error) == f"{path} is damaged"
            n_refused += 1
        else:
            assert all(np.array_equal(read[name], arrays[name]) for name in read.keys() & arrays.keys())
    assert n_refused > len(content)  # each that is cut, and others


def test_array_with_fewer_values_than_were_written_is_damaged(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, labels=np.arange(40_000))
    path.write_bytes(path.read_bytes().replace(b"(40000,)", b"(4000 ,)"))
    with pytest.raises(ValueError, match="is damaged"):
        read_arrays(path)


def test_one_array_is_no_file_of_arrays(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.arange(3))
    with pytest.raises(ValueError, match="is damaged"):
        read_arrays(path)
