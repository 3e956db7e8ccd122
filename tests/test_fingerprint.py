import builtins
import hashlib
import json
import os
import time

import pytest

from events import fingerprint as module
from events.fingerprint import digests, fingerprint, is_fingerprint

HOUR_NS = 3600 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where digests are kept, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "higgs" / "digests.json"


@pytest.fixture
def hour_later(monkeypatch):
    """The clock goes an hour ahead of that of the files, which are settled then."""
    monkeypatch.setattr(module.time, "time_ns", lambda now=time.time_ns: now() + HOUR_NS)


@pytest.fixture
def n_reads(monkeypatch):
    """How often the content of a file was read: a list of names."""
    read, names = module._digest, []
    monkeypatch.setattr(module, "_digest", lambda path: names.append(os.path.basename(path)) or read(path))
    return names


@pytest.fixture
def files(tmp_path):
    """Two files of one size."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name * 1000)
    return [str(tmp_path / name) for name in ("a", "b")]


def test_digests_are_those_of_the_content(files):
    expected = [hashlib.sha256(letter * 1000).hexdigest() for letter in (b"a", b"b")]
    assert digests(files) == expected
    assert digests(reversed(files)) == expected[::-1]


def test_fingerprint_is_of_names_and_content_in_order(files):
    contents = [[file, hashlib.sha256(file[-1:].encode() * 1000).hexdigest()] for file in files]
    expected = "files:2,sha256:" + hashlib.sha256(json.dumps(contents).encode()).hexdigest()
    assert fingerprint(files) == expected
    assert is_fingerprint(expected)
    assert not is_fingerprint("split:all,num_files:1,total_bytes:4,xor_checksum:5,sum_checksum:5")


def test_unchanged_files_are_not_read_again(files, hour_later, n_reads):
    assert digests(files) == digests(files)
    assert n_reads == ["a", "b"]


def replace_content(a, b):
    with open(a, "r+") as file:
        file.write("A")


def replace_file(a, b):
    with open(a + ".new", "w") as file:
        file.write("A" * 1000)
    os.replace(a + ".new", a)


def swap(a, b):
    os.rename(a, a + ".old")
    os.rename(b, a)
    os.rename(a + ".old", b)


@pytest.mark.parametrize("change", [replace_content, replace_file, swap])
def test_other_content_of_equal_size_and_times_has_another_fingerprint(files, hour_later, change):
    before, stats = fingerprint(files), [os.stat(file) for file in files]
    change(*files)
    for file, stat in zip(files, stats, strict=True):
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert [os.stat(file).st_size for file in files] == [1000, 1000]
    assert fingerprint(files) != before


def test_order_and_names_count_and_touching_does_not(files, hour_later):
    before = fingerprint(files)
    os.utime(files[0])
    assert fingerprint(files) == before
    assert fingerprint(files[::-1]) != before
    os.rename(files[0], files[0] + "2")
    assert fingerprint([files[0] + "2", files[1]]) != before


def test_file_that_changed_a_moment_ago_is_read_again(files, n_reads):
    digests(files)
    digests(files)
    assert n_reads == ["a", "b"] * 2


def test_file_that_changes_while_it_is_read_is_read_again(files, hour_later, monkeypatch):
    read = module._digest

    def read_and_change(path):
        digest = read(path)
        replace_content(path, None)
        return digest

    monkeypatch.setattr(module, "_digest", read_and_change)
    digests(files[:1])
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.dirname(files[0]) + "/cache")
    assert digests(files[:1]) == [hashlib.sha256(b"A" + b"a" * 999).hexdigest()]


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "null", '{"a": [1, 2'])
def test_damaged_cache_costs_nothing_but_time(files, cache, hour_later, content):
    cache.parent.mkdir(parents=True)
    cache.write_text(content.replace('"a"', json.dumps(files[0])))
    expected = [hashlib.sha256(letter * 1000).hexdigest() for letter in (b"a", b"b")]
    assert digests(files) == expected
    assert json.loads(cache.read_text())[files[0]][-1] == expected[0]


@pytest.mark.parametrize("folder", ["/dev/null", "relative"])
def test_where_nothing_can_be_kept_nothing_is(files, hour_later, monkeypatch, folder, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    monkeypatch.chdir(tmp_path)
    assert digests(files) == digests(files)
    assert not os.path.exists("relative")


def test_full_disk_leaves_nothing_behind(files, hour_later, cache, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert len(digests(files)) == 2
    assert os.listdir(cache.parent) == []


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        fingerprint([str(tmp_path / "nothing")])


def test_content_is_read_in_blocks(files, monkeypatch):
    sizes = []
    opened = builtins.open

    class Spy:
        def __init__(self, file):
            self._file = file

        def read(self, n_bytes):
            sizes.append(n_bytes)
            return self._file.read(n_bytes)

    with opened(files[0], "rb") as file:
        assert module._digest_of(Spy(file)) == digests(files[:1])[0]
    assert sizes == [module.BLOCK_BYTES] * 2


class Remote:
    """A file system of one file, of which it tells some things."""

    def __init__(self, updated: float, checksum: str, content: bytes):
        self.updated, self.sum, self.content = updated, checksum, content

    def metadata(self, path):
        from apache_beam.io.filesystem import FileMetadata

        return FileMetadata(path, len(self.content), self.updated)

    def checksum(self, path):
        return self.sum

    def open(self, path, mime_type=None, compression_type=None):
        import io

        return io.BytesIO(self.content)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((1.0, "crc", b"rows"), (1.0, "crc", b"rows"), True),
        ((1.0, "crc", b"rows"), (1.0, "other", b"swor"), False),
        ((1.0, "crc", b"rows"), (2.0, "crc", b"swor"), False),
        # One that tells sizes only: the content decides.
        ((0.0, "4", b"rows"), (0.0, "4", b"rows"), True),
        ((0.0, "4", b"rows"), (0.0, "4", b"swor"), False),
    ],
)
def test_remote_files_are_known_by_what_their_file_system_tells(monkeypatch, one, other, same):
    from apache_beam.io.filesystems import FileSystems

    found = []
    for told in (one, other):
        monkeypatch.setattr(FileSystems, "get_filesystem", lambda path, told=told: Remote(*told))
        found.append(fingerprint(["gs://bucket/rows.csv"]))
    assert (found[0] == found[1]) == same
