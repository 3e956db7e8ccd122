"""The versions of a model in its serving folder, and TF Serving's configuration for them.

    serving/models.config                       which versions to load, and what `stable` and `canary` mean
    serving/higgs/<version>/                    a version on offer
    serving/higgs/<version>/assets.extra/rolled_back.txt    marks one that is not, though its folder is still there
    serving/higgs/retired-<version>/, rolled-back-<version>/    put by; names that are no numbers, so never loaded

What TF Serving does with models.config, which it reads again every few seconds, decides how this is done
(`ServerCore::ReloadConfig`, tensorflow_serving/model_servers/server_core.cc):

- It looks at the labels before it looks at the versions to load, and drops the whole change if a label that is in use
  moves to a version that is not loaded. Loading a version and moving a label there in one change can never succeed. So
  new versions are loaded because their folder appears (policy `all`), and a label that must wait for one is looked at
  again, with the next reading, until the version is there.
- Requests without a label go to the highest version that is loaded. So a version that is rolled back must be
  unloaded. Policy `specific` does that in the same change that moves the labels to a loaded version: no request fails.
- A label that is not in use may be given to a version that is not loaded yet, if the server is started with
  --allow_version_labels_for_unavailable_models. So there is no `canary` under policy `specific`, and the next push,
  which goes back to `all`, can give it anew.
"""

import os
import re
import time

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

STABLE, CANARY = "stable", "canary"
CONFIG_FILE = "models.config"  # beside the models' folders
SERVER_ROOT = "/models"  # where the serving folder is mounted in TF Serving's container
SOURCE_FILE = os.path.join("assets.extra", "source.txt")  # TF Serving leaves assets.extra alone
ROLLED_BACK_FILE = os.path.join("assets.extra", "rolled_back.txt")
ROLLED_BACK, RETIRED = "rolled-back", "retired"
N_KEPT = 2  # newest versions on offer; the stable one stays as well
SETTLED_S = 30  # by then every server has read models.config, which it does every 10 s, and loaded what it says

_Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy


def on_offer(base: str) -> list[int]:
    """The versions that are served or may be, ascending."""
    return [version for version in _numbers(base) if not _is_marked(base, version)]


def newest_version(base: str) -> int:
    """The highest version that was ever pushed below `base` and is still there, on offer or not; 0 if there is none."""
    return max(_numbers(base) + _numbers(base, RETIRED) + _numbers(base, ROLLED_BACK), default=0)


def labels(base: str) -> dict[str, int]:
    """Label to version, as TF Serving is told."""
    return dict(_read_entry(base).version_labels)


def read_source(base: str, version: int | str) -> str:
    """What was written down about a version when it was pushed; empty if nothing was."""
    return _read_text(os.path.join(base, str(version), SOURCE_FILE))


def find_rolled_back(base: str, source: str) -> int:
    """The version of this source that was rolled back; 0 if there is none."""
    folders = {version: str(version) for version in _numbers(base) if _is_marked(base, version)}
    folders |= {version: f"{ROLLED_BACK}-{version}" for version in _numbers(base, ROLLED_BACK)}
    return next((version for version, folder in folders.items() if read_source(base, folder) == source), 0)


def offer(base: str) -> None:
    """Labels the newest version, whose folder has just appeared: canary, or stable if it is the first.

    Does nothing if it has a label already, so that a push that was cut off can be done again.
    """
    versions = on_offer(base)
    if versions[-1] in labels(base).values():
        return
    for version in _numbers(base):
        if _is_marked(base, version):  # not loaded since it was rolled back; the policy will no longer keep it out
            _put_by(base, version, ROLLED_BACK)
    stable = _stable(base, versions, (versions[:-1] or versions)[-1])
    _write_config(base, stable)
    for version in versions[:-N_KEPT]:
        if version != stable:
            _put_by(base, version, RETIRED)


def promote(base: str) -> int:
    """Makes the newest version on offer the stable one; returns it, or 0 if there is none."""
    versions = on_offer(base)
    if versions:
        _write_config(base, versions[-1])
    return versions[-1] if versions else 0


def settles_in_s(base: str) -> float:
    """How long the configuration must be left alone before `stable` may move to a version that it has just brought."""
    path = _config_path(base)
    changed_s = tf.io.gfile.stat(path).mtime_nsec / 1e9 if tf.io.gfile.exists(path) else 0.0
    return max(0.0, changed_s + SETTLED_S - time.time())


def roll_back(base: str) -> tuple[int, int]:
    """Takes the newest version on offer out of service.

    Returns:
      That version and the stable one afterwards; zeros if there are not two versions on offer.
    """
    versions = on_offer(base)
    if len(versions) < 2:
        return 0, 0
    *versions, withdrawn = versions
    _write_text(os.path.join(base, str(withdrawn), ROLLED_BACK_FILE), time.strftime("%Y-%m-%d %H:%M:%S %z\n"))
    stable = _stable(base, versions, versions[-1])
    _write_config(base, stable)
    return withdrawn, stable


def restore(base: str) -> int:
    """Puts the version rolled back last on offer again; returns it, or 0 if none was since the last push."""
    marked = [version for version in _numbers(base) if _is_marked(base, version)]
    if not marked:
        return 0
    tf.io.gfile.remove(os.path.join(base, str(marked[0]), ROLLED_BACK_FILE))
    _write_config(base, _stable(base, on_offer(base), marked[0]))
    return marked[0]


def _stable(base: str, versions: list[int], otherwise: int) -> int:
    """The version that is labelled stable, if it is among these."""
    labelled = labels(base).get(STABLE)
    return labelled if labelled in versions else otherwise


def _write_config(base: str, stable: int) -> None:
    """Replaces the model's entry in models.config."""
    config = _read_config(base)
    entry = _read_entry(base)
    entry.name = os.path.basename(base)
    entry.base_path = f"{SERVER_ROOT}/{entry.name}"
    entry.model_platform = "tensorflow"
    entry.version_labels.clear()
    entry.version_labels[STABLE] = stable
    versions = on_offer(base)
    if versions != _numbers(base):
        policy = _Policy(specific=_Policy.Specific(versions=versions))
    else:
        policy = _Policy(all=_Policy.All())
        if versions[-1] != stable:
            entry.version_labels[CANARY] = versions[-1]
    entry.model_version_policy.CopyFrom(policy)
    others = [other for other in config.model_config_list.config if other.name != entry.name]
    models = model_server_config_pb2.ModelConfigList(config=sorted([*others, entry], key=lambda model: model.name))
    text = text_format.MessageToString(model_server_config_pb2.ModelServerConfig(model_config_list=models))
    path = _config_path(base)
    partial = f"{path}.{os.getpid()}.partial"
    _write_text(partial, text)
    tf.io.gfile.rename(partial, path, overwrite=True)


def _read_entry(base: str) -> model_server_config_pb2.ModelConfig:
    models = _read_config(base).model_config_list.config
    return next((m for m in models if m.name == os.path.basename(base)), model_server_config_pb2.ModelConfig())


def _read_config(base: str) -> model_server_config_pb2.ModelServerConfig:
    return text_format.Parse(_read_text(_config_path(base)), model_server_config_pb2.ModelServerConfig())


def _config_path(base: str) -> str:
    return os.path.join(os.path.dirname(base), CONFIG_FILE)


def _numbers(base: str, prefix: str = "") -> list[int]:
    """The versions, ascending, whose folders are called by their number, behind a prefix if one is given."""
    names = tf.io.gfile.listdir(base) if tf.io.gfile.exists(base) else []
    pattern = re.compile(rf"{prefix}-(\d+)/?" if prefix else r"(\d+)/?")
    return sorted(int(match[1]) for match in map(pattern.fullmatch, names) if match)


def _is_marked(base: str, version: int) -> bool:
    return tf.io.gfile.exists(os.path.join(base, str(version), ROLLED_BACK_FILE))


def _put_by(base: str, version: int, prefix: str) -> None:
    tf.io.gfile.rename(os.path.join(base, str(version)), os.path.join(base, f"{prefix}-{version}"))


def _read_text(path: str) -> str:
    if not tf.io.gfile.exists(path):
        return ""
    with tf.io.gfile.GFile(path) as file:
        return file.read()


def _write_text(path: str, text: str) -> None:
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(text)
