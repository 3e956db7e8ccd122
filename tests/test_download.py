"""The download, against a server on this machine that misbehaves on request."""

import hashlib
import http.server
import socket
import threading

import pytest

from events.errors import DatasetError
from events.higgs.download import N_ATTEMPTS, download
from events.provenance import get_marker_path, write_marker

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        requested = self.headers.get("Range")
        server.ranges.append(requested)
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        start = 0
        if requested and server.honours_ranges:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.drops:
            body = body[: server.drops.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server of CONTENT; its attributes say how it misbehaves, and `ranges` what it was asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.content, server.honours_ranges = CONTENT, True
        server.drops = []  # bytes after which the next connections break off
        server.statuses = []  # errors the next requests get
        server.location = ""  # where requests are sent on to
        server.ranges = []
        server.url = f"http://127.0.0.1:{server.server_port}/HIGGS.csv.gz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _download(server, path, **changes):
    options = {"url": server.url, "size": len(CONTENT), "sha256": SHA256, "pause_s": 0.001}
    return download(path, **{**options, **changes})


def test_file_arrives_complete_under_its_name_only(server, tmp_path):
    path = _download(server, tmp_path / "new" / "HIGGS.csv.gz")
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["HIGGS.csv.gz"]


def test_existing_folder_gets_the_published_name(server, tmp_path):
    assert _download(server, tmp_path) == tmp_path / "HIGGS.csv.gz"


def test_progress_is_shown(server, tmp_path, capsys):
    _download(server, tmp_path)
    assert "512k/512k" in capsys.readouterr().err


def test_dropped_connections_are_resumed_where_they_broke(server, tmp_path):
    server.drops = [100_000, 50_000]
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_next_call_goes_on_where_the_last_gave_up(server, tmp_path):
    server.drops = [1000, *[0] * N_ATTEMPTS]
    with pytest.raises(DatasetError, match=r"ended early, 5 times in a row.*goes on at 1,000 bytes"):
        _download(server, tmp_path)
    assert (tmp_path / "HIGGS.csv.gz.part").read_bytes() == CONTENT[:1000]
    server.drops, server.ranges = [], []
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_server_that_ignores_ranges_sends_everything_again(server, tmp_path):
    server.honours_ranges = False
    server.drops = [300_000, 200_000]
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=200000-"]


def test_unsatisfiable_range_starts_from_the_beginning(server, tmp_path):
    (tmp_path / "HIGGS.csv.gz.part").write_bytes(b"stale")
    server.statuses = [416]
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=5-", None]


def test_complete_part_needs_no_request(server, tmp_path):
    (tmp_path / "HIGGS.csv.gz.part").write_bytes(CONTENT)
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


def test_part_longer_than_the_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "HIGGS.csv.gz.part").write_bytes(CONTENT + b"more")
    assert _download(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_wrong_checksum_deletes_what_arrived(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DatasetError, match=rf"SHA-256 {SHA256}\. Received: .*higgs data simulate"):
        _download(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_corrupt_part_is_noticed_and_deleted(server, tmp_path):
    (tmp_path / "HIGGS.csv.gz.part").write_bytes(b"other bytes")
    with pytest.raises(DatasetError, match="SHA-256"):
        _download(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"more"])
def test_wrong_size_is_refused_before_it_is_fetched(server, tmp_path, content):
    server.content = content
    with pytest.raises(DatasetError, match=rf"512,000 bytes\. Received: {len(content):,} from"):
        _download(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_complete_file_is_left_alone(server, tmp_path, capsys):
    path = tmp_path / "HIGGS.csv.gz"
    path.write_bytes(CONTENT)
    assert _download(server, tmp_path) == path
    assert "already there" in capsys.readouterr().out
    assert server.ranges == []


@pytest.mark.parametrize("content", [b"mine", bytes(len(CONTENT))])
def test_other_file_of_that_name_is_never_replaced(server, tmp_path, content):
    path = tmp_path / "HIGGS.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"Received: another file, .*Move it away"):
        _download(server, tmp_path)
    assert path.read_bytes() == content


def test_real_rows_lose_the_marker_of_simulated_ones(server, tmp_path):
    write_marker(tmp_path / "HIGGS.csv.gz", seed=0)
    path = _download(server, tmp_path)
    assert not get_marker_path(path).exists()


def test_refused_connection_names_the_simulation(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/HIGGS.csv.gz"
        with pytest.raises(DatasetError, match=r"Connection refused, 5 times.*higgs data simulate") as caught:
            download(tmp_path, url=url, size=10, sha256="", pause_s=0.001)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert _download(server, tmp_path).read_bytes() == CONTENT


def test_redirect_is_followed_for_what_arrives_is_checked_wherever_it_comes_from(server, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as other:
        other.content, other.honours_ranges, other.drops, other.statuses, other.ranges = CONTENT, True, [9], [], []
        other.location, server.location = "", f"http://localhost:{other.server_port}/mirror"
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        assert _download(server, tmp_path / "first").read_bytes() == CONTENT
        assert other.ranges == [None, "bytes=9-"]
        other.content = bytes(len(CONTENT))
        with pytest.raises(DatasetError, match="SHA-256"):
            _download(server, tmp_path / "second")
        other.shutdown()
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_redirect_in_a_circle_or_to_a_file_is_one_line(server, tmp_path):
    for location in (server.url, "file:///etc/hostname"):
        server.location = location
        with pytest.raises(DatasetError, match=r"Received: HTTP status 302 .*Check the address") as caught:
            _download(server, tmp_path)
        assert "\n" not in str(caught.value)


def test_missing_file_is_not_asked_for_again(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(DatasetError, match="HTTP status 404"):
        _download(server, tmp_path)
    assert len(server.ranges) == 1


def test_full_disk_is_noticed_before_the_request(server, tmp_path):
    with pytest.raises(DatasetError, match=r"needs 1000000000\.0 GB more disk\. Received: .* GB free"):
        _download(server, tmp_path, size=10**18)
    assert server.ranges == []


def test_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"must be written to disk\. Received: .* Choose another folder"):
        _download(server, tmp_path / "file" / "HIGGS.csv.gz")
