"""Versions on offer, their labels, and the way back - against a model of how TF Serving reads models.config."""

import os
import random

import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components import versions
from components.versions import SOURCE_FILE, find_rolled_back, labels, newest_version, on_offer
from pipeline.cli import cli


def push(base, version: int, source: str = "") -> None:
    """What HiggsPusher does, with nothing in the folder."""
    (base / str(version) / "assets.extra").mkdir(parents=True)
    (base / str(version) / SOURCE_FILE).write_text(source or f"model {version}")
    versions.offer(str(base))


def read_config(base) -> model_server_config_pb2.ModelConfig:
    text = (base.parent / "models.config").read_text()
    [entry] = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return entry


class Server:
    """TF Serving with --allow_version_labels_for_unavailable_models, as server_core.cc has it.

    Each reading of models.config takes the labels first, and stops if one that is in use moves to a version that is not
    loaded; only then does it take the policy. The folder is looked at more often than the file.
    """

    def __init__(self, base):
        self.base = base
        self.policy = None
        self.labels, self.loaded = {}, set()
        self.read_config()

    def look(self) -> None:
        """Loads and unloads what the policy in force makes of the folder."""
        there = {int(name) for name in os.listdir(self.base) if name.isdecimal()}
        self.loaded = there if self.policy.HasField("all") else there & set(self.policy.specific.versions)

    def read_config(self) -> None:
        """Reads models.config, then looks at the folder."""
        entry = read_config(self.base)
        moved = {label: version for label, version in entry.version_labels.items() if self.labels.get(label) != version}
        if all(label not in self.labels or version in self.loaded for label, version in moved.items()):
            self.labels = dict(entry.version_labels)
            self.policy = entry.model_version_policy
        self.look()


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "higgs"


def test_first_version_is_stable_and_the_next_a_canary(base):
    push(base, 1)
    assert labels(str(base)) == {"stable": 1}
    push(base, 2)
    assert labels(str(base)) == {"stable": 1, "canary": 2}
    versions.promote(str(base))
    assert labels(str(base)) == {"stable": 2}
    assert on_offer(str(base)) == [1, 2]


def test_two_newest_and_the_stable_version_stay_on_offer(base):
    for version in (1, 2, 3, 4):
        push(base, version)
    assert on_offer(str(base)) == [1, 3, 4]
    assert (base / "retired-2" / SOURCE_FILE).exists()
    versions.promote(str(base))
    push(base, 5)
    assert on_offer(str(base)) == [4, 5]


def test_rollback_leaves_the_version_before_and_takes_the_canary_away(base):
    for version in (1, 2):
        push(base, version)
    versions.promote(str(base))
    assert versions.roll_back(str(base)) == (2, 1)
    assert on_offer(str(base)) == [1]
    assert labels(str(base)) == {"stable": 1}
    assert list(read_config(base).model_version_policy.specific.versions) == [1]
    assert versions.roll_back(str(base)) == (0, 0)


def test_push_after_a_rollback_is_a_canary_and_the_version_rolled_back_stays_away(base):
    for version in (1, 2):
        push(base, version)
    versions.roll_back(str(base))
    assert newest_version(str(base)) == 2  # no number is used twice
    push(base, 3)
    assert on_offer(str(base)) == [1, 3]
    assert labels(str(base)) == {"stable": 1, "canary": 3}
    assert read_config(base).model_version_policy.HasField("all")
    assert newest_version(str(base)) == 3
    assert find_rolled_back(str(base), "model 2") == 2
    assert versions.roll_back(str(base)) == (3, 1)
    assert find_rolled_back(str(base), "model 3") == 3
    assert find_rolled_back(str(base), "model 1") == 0


def test_rollback_can_be_undone_until_the_next_push(base):
    for version in (1, 2):
        push(base, version)
    assert versions.restore(str(base)) == 0
    versions.roll_back(str(base))
    assert versions.restore(str(base)) == 2
    assert labels(str(base)) == {"stable": 1, "canary": 2}
    versions.roll_back(str(base))
    push(base, 3)
    assert versions.restore(str(base)) == 0


def test_models_beside_each_other_keep_their_entries(tmp_path):
    for name in ("higgs", "other"):
        push(tmp_path / "serving" / name, 1)
    versions_before = labels(str(tmp_path / "serving" / "other"))
    push(tmp_path / "serving" / "higgs", 2)
    text = (tmp_path / "serving" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert [model.name for model in config.model_config_list.config] == ["higgs", "other"]
    assert [model.base_path for model in config.model_config_list.config] == ["/models/higgs", "/models/other"]
    assert labels(str(tmp_path / "serving" / "other")) == versions_before == {"stable": 1}


@pytest.mark.parametrize("seed", range(10))
def test_no_sequence_of_commands_confuses_a_server(base, seed):
    rng = random.Random(seed)
    push(base, 1)
    server = Server(base)
    newest, bad = 1, set()
    for _ in range(60):
        command = rng.choice(["push", "push", "rollback", "promote", "restore"])
        if command == "push":
            newest += 1
            push(base, newest)
        elif command == "rollback":
            bad |= {versions.roll_back(str(base))[0]}
        elif command == "restore":
            bad -= {versions.restore(str(base))}
        elif command == "promote":
            versions.promote(str(base))  # the command waits until the servers have settled, as they do below
        for read in rng.choice([(True,), (False, True)]):
            server.look()
            assert server.labels["stable"] in server.loaded
            if read:
                server.read_config()
                server.read_config()
            assert server.labels["stable"] in server.loaded
        assert server.labels == labels(str(base))
        assert server.loaded == set(on_offer(str(base)))
        assert not server.loaded & bad
        assert set(server.labels.values()) <= server.loaded


def higgs_serving(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["serving", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def age(base) -> None:
    """Makes the servers' configuration an hour old."""
    path = base.parent / "models.config"
    os.utime(path, (path.stat().st_mtime - 3600,) * 2)


def test_commands_promote_roll_back_and_restore(base, tmp_path):
    for version in (1, 2):
        push(base, version, f"model: m{version}\nrows: real\n")
    output = ("--output", tmp_path)
    assert higgs_serving("status", *output) == (0, "2 canary model: m2 rows: real\n1 stable model: m1 rows: real\n")
    code, message = higgs_serving("promote", *output)
    assert (code, "Try again in" in message) == (2, True)
    age(base)
    assert higgs_serving("promote", *output) == (0, "Stable: 2.\n")
    assert higgs_serving("rollback", *output) == (0, "Rolled back: 2. Stable: 1.\n")
    assert higgs_serving("restore", *output) == (0, "Restored: 2.\n")


@pytest.mark.parametrize("command", ["status", "rollback", "promote", "restore"])
def test_command_without_versions_is_one_line(tmp_path, command):
    code, message = higgs_serving(command, "--output", tmp_path)
    assert code == 2
    assert message.startswith("Error: A model must have been pushed. Received: no version in ")
    assert message.count("\n") == 1


def test_rollback_of_the_only_version_is_one_line_and_changes_nothing(base, tmp_path):
    push(base, 1)
    before = (base.parent / "models.config").read_text()
    code, message = higgs_serving("rollback", "--output", tmp_path)
    assert code == 2
    assert message.startswith("Error: A rollback needs an earlier version. Received: 1 only in ")
    assert (base.parent / "models.config").read_text() == before
    code, message = higgs_serving("restore", "--output", tmp_path)
    assert (code, message.startswith("Error: A version is restored that was rolled back")) == (2, True)
