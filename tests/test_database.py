"""The metadata's database: its URL, its server, and what can be wrong with either or with SQLite's file."""

import socket
import subprocess
import sys

import pytest
from ml_metadata.errors import InternalError

from events.errors import ConfigError
from pipeline.config import Config, override
from pipeline.database import Database, reach
from pipeline.lineage import metadata_faults

# As much of MySQL as it takes to refuse everybody. In a process of its own: ML Metadata lets no other thread run.
REFUSING = """
import socket
refusal = b"\\xff\\x15\\x04#28000Access denied"
with socket.create_server(("127.0.0.1", 0)) as listening:
    print("{}:{}".format(*listening.getsockname()), flush=True)
    while True:
        with listening.accept()[0] as connection:
            connection.sendall(len(refusal).to_bytes(3, "little") + b"\\0" + refusal)
"""


@pytest.fixture
def server():
    """Host and port of a server that takes nobody."""
    with subprocess.Popen([sys.executable, "-c", REFUSING], stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


def test_url_says_where_and_who():
    expected = Database("db.example", 3307, "lineage", "me", "secret")
    assert Database.parse("mysql://me:secret@db.example:3307/lineage") == expected
    assert Database.parse("mysql://db.example/lineage") == Database("db.example", 3306, "lineage", "", "")


@pytest.mark.parametrize(
    "url", ["postgres://h/d", "mysql://h", "mysql:///d", "mysql://h:port/d", "mysql://h:99999/d", "mysql://[::1/d", "x"]
)
def test_other_url_is_refused_with_the_settings(url):
    with pytest.raises(ConfigError, match=r"Metadata is kept in SQLite or MySQL\. Received: ") as caught:
        override(Config(), [f"metadata={url}"])
    assert "\n" not in str(caught.value)


def test_server_that_answers_is_enough_and_the_password_is_told_for_masking(server):
    assert reach(f"mysql://me:secret@{server}/lineage") == "secret"
    assert reach(f"mysql://{server}/lineage") == reach("") == ""


def test_server_that_is_not_there_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConfigError) as caught:
        reach(f"mysql://me:secret@127.0.0.1:{port}/lineage")
    assert str(caught.value) == (
        f"Metadata needs its MySQL server. Received: 127.0.0.1:{port}: Connection refused. Start it, or correct "
        "--metadata."
    )


def test_database_that_refuses_is_one_line_without_the_password(server):
    from pipeline.lineage import open_store

    with pytest.raises(ConfigError) as caught, open_store(Config(metadata=f"mysql://me:secret@{server}/lineage")):
        pass
    assert f"Received: no connection to lineage at {server} as 'me'." in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_sqlite_file_is_one_line_with_the_remedy(tmp_path):
    from pipeline.lineage import open_store

    (tmp_path / "metadata.sqlite").write_text("no database")
    with pytest.raises(ConfigError) as caught, open_store(Config(output=str(tmp_path))):
        pass
    assert f"Received: {tmp_path}/metadata.sqlite: " in str(caught.value)
    assert "file is not a database. Restore it, or move it away" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", ["unable to open database file", "cannot commit - no transaction is active"])
def test_sqlite_file_that_cannot_be_written_to_any_more_is_one_line_and_other_faults_are_bugs(tmp_path, words):
    config = Config(output=str(tmp_path))
    with pytest.raises(ConfigError) as caught, metadata_faults(config):
        raise InternalError(f"Cannot create node.Error when executing query: {words} query: COMMIT;")
    assert str(caught.value) == (
        f"ML Metadata must be writable. Received: {tmp_path}/metadata.sqlite: {words}. "
        "See whether the disk is full, or another program holds the file, and run again."
    )
    with pytest.raises(InternalError), metadata_faults(config):
        raise InternalError("No such type.")
